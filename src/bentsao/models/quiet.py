"""Libraries kept from writing over what we tell."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial


@contextmanager
def without_bars() -> Generator[None]:
    """transformers' own bars say little: the first tensor, often a third of all weights, counts as one of hundreds."""
    from transformers import modeling_gguf_pytorch_utils as gguf
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    plain, gguf.tqdm = gguf.tqdm, partial(gguf.tqdm, disable=True)  # it does not ask transformers' switch
    try:
        yield
    finally:
        gguf.tqdm = plain
        if shown:
            logging.enable_progress_bar()
