"""The shapes of stored weights, by the headers of their files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any


def stored_parameters(folder: Path) -> int | None:
    """How many numbers a folder's safetensors files hold, by their headers; None where there are none to read."""
    try:
        return sum(prod(shape) for _, shape in _headers(folder)) or None
    except _UNREADABLE:
        return None  # loading says what is wrong with it


def stored_shapes(folder: Path, endings: Sequence[str]) -> tuple[int, ...] | None:
    """The shape of the first weight whose name ends so; None where there is none to read."""
    try:
        return next((tuple(shape) for name, shape in _headers(folder) if name.endswith(tuple(endings))), None)
    except _UNREADABLE:
        return None


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError)


def _headers(folder: Path) -> Iterator[tuple[str, list[int]]]:
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            header: dict[str, Any] = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                yield name, tensor["shape"]
