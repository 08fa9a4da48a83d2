"""An adapter opened on the base that it names, as the engines do it step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentsao.models.adapters import AdapterInfo, load_onto, locate_base, read_adapter
from bentsao.models.loading import Base


def load_adapted(
    folder: Path, *, base: str | None = None, report: Callable[[str], None] = lambda _: None, **how: Any
) -> tuple[Base, AdapterInfo]:
    """The adapter's base (or another) with the adapter on it, and what the adapter says. how: as for `load_base`."""
    info = read_adapter(folder, report)
    return load_onto(locate_base(info, base, report), info, report=report, **how), info
