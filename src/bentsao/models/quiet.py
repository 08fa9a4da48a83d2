"""Libraries kept from writing over what we tell."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without_bars() -> Generator[None]:
    """transformers' own bars say little: the first tensor, often a third of all weights, counts as one of hundreds."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
