"""The words the teacher is given (`models/remote/prompts.py` says how they are filled)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bentsao.core.files import read_text


def load(name: str, folder: Path | None = None) -> str:
    """A prompt by name (qa, dialogue, again, styles); from `folder` where it has one of its own."""
    own = folder / f"{name}.txt" if folder else None
    if own and own.is_file():
        return read_text(own)
    return files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
