"""What this machine can do: devices, memory, number formats, installed extras, and which bases fit."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import psutil
import torch

from bentsao.core.errors import ConfigError
from bentsao.core.files import cache_folder
from bentsao.core.records import Record
from bentsao.models.presets import Preset

EXTRAS: dict[str, tuple[str, ...]] = {
    "export": ("xllamacpp",),
    "gpu": ("bitsandbytes",),
    "ray": ("ray",),
    "serve": ("fastapi", "uvicorn", "prometheus-client"),
    "track": ("tensorboard", "wandb", "trackio"),
    "vllm": ("vllm",),
}
"""The optional parts of the installation and the packages of each; `pip install 'bentsao[NAME]'` adds one."""

PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "ctranslate2")

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""The number formats of weights by name."""


CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says how much memory a container may take (version 2)."""


class Device(Record):
    """Where a model can run. total, free: bytes; dtype: what `load_base` uses there by default."""

    name: str
    model: str
    total: int
    free: int
    dtype: str


class Machine(Record):
    """This machine. cores: those this process may use; disk: free bytes where the cache is; extras: see `missing`."""

    system: str
    versions: dict[str, str]
    cores: int
    devices: tuple[Device, ...]
    cache: str
    disk: int
    missing: dict[str, tuple[str, ...]]


class Fit(Record):
    """Whether a base fits into a device's free memory.

    inference, tuning: the most exact way that fits ("float32", "bfloat16", "8bit", "4bit"); None if none does.
    batch_tokens: tokens of one forward and backward that fit then; 0 where tuning does not fit.
    """

    inference: str | None
    tuning: str | None
    batch_tokens: int


def inspect_machine() -> Machine:
    """Look at this machine; takes a second or two."""
    cache = cache_folder()
    there = next(folder for folder in (cache, *cache.resolve().parents) if folder.exists())
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        versions={"python": platform.python_version(), **{p: v for p in PACKAGES if (v := _version(p))}},
        cores=available_cores(),
        devices=tuple(_describe(device) for device in devices()),
        cache=str(cache),
        disk=shutil.disk_usage(there).free,
        missing={name: tuple(p for p in packages if _version(p) is None) for name, packages in EXTRAS.items()},
    )


def devices() -> list[torch.device]:
    """All devices of this machine, the one that `choose_device` takes first, the CPU last."""
    cpu = torch.device("cpu")
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is None:
        return [cpu]
    return [*(torch.device(accelerator.type, n) for n in range(torch.accelerator.device_count())), cpu]


def choose_device(wanted: str | None) -> torch.device:
    """The device of that name; None takes the accelerator (this process's, under `accelerate launch`), else the CPU.

    Raises ConfigError for a device that is not there.
    """
    there = devices()
    if wanted is None:
        place = int(os.environ.get("LOCAL_RANK", "0"))
        return there[place] if place < len(there) - 1 else there[0]
    for device in there:
        if wanted in (str(device), device.type):
            return device
    raise ConfigError(f"这台机器上没有设备 {wanted!r}。可用：{'、'.join(map(str, there))}。")


def choose_dtype(wanted: str | None, device: torch.device) -> torch.dtype:
    """The number format of that name; None takes float32 on a CPU, elsewhere bfloat16, or float16 where there is none.

    Raises ConfigError for a name that is not in DTYPES.
    """
    if wanted is not None:
        if wanted not in DTYPES:
            raise ConfigError(f"不认识的精度 {wanted!r}。可用：{'、'.join(DTYPES)}。")
        return DTYPES[wanted]
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if _has_bfloat16(device) else torch.float16


def memory(device: torch.device) -> tuple[int, int]:
    """(free, total) bytes of a device; one that shares the machine's memory (CPU, Apple's GPU) has the machine's.

    Within a container with a limit (cgroup v2), that limit counts.
    """
    module = cast(Any, getattr(torch, device.type, None))
    if hasattr(module, "mem_get_info"):
        return module.mem_get_info(device)
    host = psutil.virtual_memory()
    free, total = host.available, host.total
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))
        statistics = dict(line.split() for line in (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        used = int((CGROUP / "memory.current").read_text(encoding="ascii")) - int(statistics["inactive_file"])
    except (OSError, ValueError, KeyError):
        return free, total
    return min(free, max(0, limit - used)), min(total, limit)


ROOM = 1_000_000_000
"""Bytes for everything else: the program, the device's context, a chunk of logits, an answer's cache."""
ACTIVATIONS = 56
"""Numbers kept for the backward per token, layer and unit of hidden size; measured with all-linear LoRA and the loss of
`tuning/objective.py`: 44 to 47 (Gemma 3) and 55 to 56 (Qwen3)."""
LORA = 200
"""Adapter weights per layer and unit of hidden size, all-linear at rank 8; 16 bytes each with gradient and Adam."""
FEWEST_TOKENS = 256
"""With fewer tokens in a forward, tuning is no pleasure; gradient checkpointing makes at least 512 of them."""


def fit(preset: Preset, device: Device) -> Fit:
    """Whether a base fits into a device's free memory. An estimate:

    inference = weights + ROOM
    tuning    = weights + ROOM + 16 · LORA · layers · hidden + tokens · ACTIVATIONS · layers · hidden · bytes a number

    weights = parameters · bytes a number; quantised, the embedding and the head stay in 16 bits and the rest takes 1.1
    (8bit) or 0.6 (4bit) bytes. Gradient checkpointing needs less than half of the last term.
    """
    units = preset.layers * preset.hidden
    inference = tuning = None
    tokens = 0
    for way in _ways(device):
        weights = weight_bytes(preset, way)
        if inference is None and weights + ROOM <= device.free:
            inference = way
        room = device.free - weights - ROOM - 16 * LORA * units
        fitting = int(room // (ACTIVATIONS * units * (4 if way == "float32" else 2)))
        if tuning is None and fitting >= FEWEST_TOKENS:
            tuning, tokens = way, fitting
    return Fit(inference=inference, tuning=tuning, batch_tokens=tokens)


def weight_bytes(preset: Preset, way: str) -> int:
    """Bytes of a base's weights; `way` is a name of DTYPES, "8bit" or "4bit" (see `fit`)."""
    if way in DTYPES:
        return preset.parameters * DTYPES[way].itemsize
    words = min(preset.parameters, 2 * preset.vocabulary * preset.hidden)
    return int(2 * words + (preset.parameters - words) * {"8bit": 1.1, "4bit": 0.6}[way])


def _ways(device: Device) -> list[str]:
    """From the most exact to the smallest. bitsandbytes' formats need CUDA; a CPU is slow in 16 bits, but can."""
    if device.name.startswith("cuda"):
        return [device.dtype, "8bit", "4bit"]
    return [device.dtype] if device.dtype != "float32" else ["float32", "bfloat16"]


def _describe(device: torch.device) -> Device:
    free, total = memory(device)
    dtype = choose_dtype(None, device)
    name = next(name for name, known in DTYPES.items() if known == dtype)
    return Device(name=str(device), model=_model(device), total=total, free=free, dtype=name)


def _model(device: torch.device) -> str:
    module = cast(Any, getattr(torch, device.type, None))
    if hasattr(module, "get_device_name"):
        return module.get_device_name(device)
    return platform.processor() or platform.machine()


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 itself, so that it is faster than float32 and not slower."""
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return bool(can.get("avx512_bf16") or can.get("amx_bf16") or can.get("sve_bf16"))
    return _has_bfloat16(device)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        one = torch.ones(2, 2, dtype=torch.bfloat16, device=device)
        return bool((one @ one).sum().item() == 8)
    except (RuntimeError, TypeError):
        return False


def available_cores() -> int:
    """Physical cores that this process may use; where that is not known, logical ones."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes: the device's on CUDA, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
