"""What this machine can do: devices, memory, number formats, installed extras, and which bases fit."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from bentsao.core.errors import ConfigError
from bentsao.core.files import cache_folder
from bentsao.core.records import Record
from bentsao.models.presets import Preset

EXTRAS: dict[str, tuple[str, ...]] = {
    "gpu": ("bitsandbytes",),
    "serve": ("fastapi", "uvicorn"),
    "track": ("tensorboard", "wandb", "trackio"),
}
"""The optional parts of the installation and the packages of each; `pip install 'bentsao[NAME]'` adds one."""


class Device(Record):
    """Where a model can run. total, free: bytes; dtype: what `load_base` uses there by default."""

    name: str
    model: str
    total: int
    free: int
    dtype: str


class Machine(Record):
    """This machine. cores counts physical ones; disk: free bytes where the cache is; extras: name → missing packages."""

    system: str
    python: str
    versions: dict[str, str]
    cores: int
    devices: tuple[Device, ...]
    cache: str
    disk: int
    extras: dict[str, tuple[str, ...]]


class Fit(Record):
    """Whether a base fits into a device's free memory, and how.

    inference, tuning: the lightest-handed way that fits ("float32", "bfloat16", "8bit", "4bit"), None if none does.
    batch_tokens: tokens of one forward and backward that fit then; 0 where tuning does not fit.
    """

    inference: str | None
    tuning: str | None
    batch_tokens: int
