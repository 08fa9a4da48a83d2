"""Opening a converted model for CTranslate2, with as many threads as are fastest on this machine."""

from __future__ import annotations

import math
import os
import platform
import time
from contextlib import suppress
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bentsao.core.errors import BentsaoError, ModelError
from bentsao.core.files import cache_folder, read_json, sha256_text, write_json
from bentsao.models.machine import available_cores

_Model = Any
"""`ctranslate2.Generator`, which has no types."""

_TRIAL = 0.25
"""Seconds of generation that are measured for each number of threads."""


def open_generator(folder: Path, precision: str, threads: int) -> _Model:
    """The model, computing in that precision. Raises ModelError where it cannot be opened."""
    import ctranslate2  # not every machine has it

    try:
        return ctranslate2.Generator(str(folder), compute_type=precision, intra_threads=threads)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"打不开转换好的模型 {folder}：{error}。请删去这个目录，再运行一次。") from None


def best_threads(folder: Path, precision: str) -> int:
    """How many threads generate fastest. Where OMP_NUM_THREADS is set, that.

    Found by trying 1, 2, 4 … up to the cores, for a second or two in all, and kept in the cache for this machine and
    model (a converted folder is named by the hash of its contents). On cores shared with others, one thread too many
    loses 5 to 7 times the speed.
    """
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    cores = available_cores()
    kept = _kept_at(folder, precision, cores)
    with suppress(BentsaoError, KeyError, TypeError):
        if 1 <= (known := read_json(kept)["threads"]) <= cores:
            return known
    found = _measure(folder, precision, cores)
    with suppress(OSError):  # without a place to write it is measured again
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, {"threads": found, "model": folder.name, "precision": precision, "cores": cores})
    return found


def _kept_at(folder: Path, precision: str, cores: int) -> Path:
    """The file of this machine's and this model's figure."""
    machine = [platform.node(), platform.machine(), platform.processor(), str(psutil.virtual_memory().total)]
    parts = [*machine, str(cores), folder.name, precision, version("ctranslate2")]
    return cache_folder() / "threads" / f"{sha256_text(chr(0).join(parts))[:16]}.json"


def _measure(folder: Path, precision: str, cores: int) -> int:
    best, least = 1, math.inf
    for threads in sorted({cores, *(1 << power for power in range(cores.bit_length()))} if cores > 1 else []):
        seconds = _seconds_a_step(open_generator(folder, precision, threads))
        if seconds > least:
            break
        best, least = threads, seconds
    return best


def _seconds_a_step(model: _Model) -> float:
    """The median, which what else runs on the machine for a moment does not change."""
    ends: list[float] = []

    def step(_: object) -> bool:
        ends.append(time.perf_counter())
        return len(ends) > 3 and ends[-1] - ends[0] > _TRIAL

    model.generate_batch([["0"]], max_length=256, min_length=256, callback=step)
    return median(after - before for before, after in pairwise(ends))
