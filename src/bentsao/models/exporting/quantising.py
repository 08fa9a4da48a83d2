"""GGUF's formats of few bits: the blocks are packed by llama.cpp's own code, which the package xllamacpp carries.

Which weight gets how many bits is llama.cpp's rule for Q4_K_M; the test holds it against a published file.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from bentsao.core.errors import MissingError

Kind = GGMLQuantizationType

_NARROW = {Kind.Q4_K: Kind.Q5_0, Kind.Q6_K: Kind.Q8_0}
"""What is used instead where a row is no multiple of the format's 256."""

_PIECE = 1 << 22
"""Numbers that a thread packs at once."""


def kind_of(form: str, name: str, shape: tuple[int, ...], *, layers: int, tied: bool) -> GGMLQuantizationType:
    """How a weight is stored in a file of this form ("F16", "Q8_0", "Q4_K_M"). name: llama.cpp's; vectors are F32.

    tied: the embedding is the head too.
    """
    if len(shape) < 2:
        return Kind.F32
    kind = {"F16": Kind.F16, "Q8_0": Kind.Q8_0}.get(form) or _mixed(name, layers, tied)
    if shape[-1] % GGML_QUANT_SIZES[kind][0]:
        kind = _NARROW.get(kind, kind)
    return Kind.F16 if shape[-1] % GGML_QUANT_SIZES[kind][0] else kind


def _mixed(name: str, layers: int, tied: bool) -> GGMLQuantizationType:
    """Q4_K_M: six bits for the head, and for what suffers most, in the first, the last and each third layer."""
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        return Kind.Q6_K
    hit = re.fullmatch(r"blk\.(\d+)\.(attn_v|ffn_down)\.weight", name)
    if hit is None:
        return Kind.Q4_K
    layer, eighth = int(hit[1]), layers // 8
    more = layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
    return Kind.Q6_K if more else Kind.Q4_K


def stored_bytes(shape: tuple[int, ...], kind: GGMLQuantizationType) -> int:
    """How many bytes a weight takes."""
    block, size = GGML_QUANT_SIZES[kind]
    return int(np.prod(shape)) // block * size


def check_quantiser() -> None:
    """Raises MissingError where llama.cpp's code is not there."""
    if find_spec("xllamacpp") is None:
        raise MissingError("量化为 Q4_K_M 需要 llama.cpp。请运行：pip install 'bentsao[export]'，或改用 gguf-q8_0。")
    _packer()


def pack(rows: Any, kind: GGMLQuantizationType) -> Any:
    """A matrix in float32, C order, [rows, columns] → its bytes in blocks, uint8 [rows, bytes of a row]."""
    count, width = rows.shape
    block, size = GGML_QUANT_SIZES[kind]
    out = np.empty((count, width // block * size), np.uint8)
    step = max(1, _PIECE // width)

    def piece(start: int) -> None:
        part, target = rows[start : start + step], out[start : start + step]
        _packer()(int(kind), part.ctypes.data, target.ctypes.data, 0, len(part), width, None)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(piece, range(0, count, step)))
    return out


@cache
def _packer() -> Callable[..., int]:
    import xllamacpp.xllamacpp as library

    try:
        found: Any = ctypes.CDLL(library.__file__).ggml_quantize_chunk
    except (OSError, AttributeError):
        raise MissingError("这个平台的 xllamacpp 没有给出量化的函数。请改用 gguf-q8_0，或在 Linux 上导出。") from None
    found.restype = ctypes.c_size_t
    address, count = ctypes.c_void_p, ctypes.c_int64
    found.argtypes = [ctypes.c_int, address, address, count, count, count, address]
    return found
