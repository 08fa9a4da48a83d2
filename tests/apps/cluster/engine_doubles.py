"""What the workers of a test's cluster open: it is imported in their processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bentsao.core.errors import ModelError
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated
from bentsao.inference.engines.opening import open_engine

SLOWLY = 0.3
"""Seconds more that a batch takes, so that there is time to lose a node."""


def open_slowly(base: Path, report: Callable[[str], None]) -> Engine:
    """A real engine on a small random base, made slower."""
    report("打开了")
    engine = open_engine(adapter=None, base=str(base), chat_format=None, report=report, engine="transformers")
    at_once = engine.generate

    def generate(
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        time.sleep(SLOWLY)
        return at_once(prompts, decoding, on_text=on_text, called_off=called_off)

    engine.generate = generate  # type: ignore[method-assign]
    return engine


def open_once(marker: Path, base: Path, report: Callable[[str], None]) -> Engine:
    """Opens for the first who asks, and fails for all others."""
    if marker.exists():
        raise ModelError("权重不在这里。")
    marker.touch()
    return open_slowly(base, report)


def fall(_: Engine, piece: int) -> int:
    """The process ends at once where the piece is 2, as it does when memory runs out."""
    if piece == 2:
        import os

        os._exit(1)
    return piece * piece
