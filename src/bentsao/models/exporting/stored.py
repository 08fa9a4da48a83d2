"""Weights in files, one tensor at a time: read when they are asked for, written as they come.

So a model of any size can be gone through in the memory that its largest tensor takes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bentsao.core.errors import ModelError
from bentsao.models.pickles import open_pickle

_NAMES: dict[torch.dtype, str] = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


@dataclass(frozen=True)
class Tensors:
    """The tensors of a folder, in the order of its files. `read` brings one into memory; the rest stays on disk."""

    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, torch.dtype]
    read: Callable[[str], Tensor]


def stored_tensors(folder: Path) -> Tensors:
    """The weights of a base's folder: safetensors, or else pickles, which are opened with `weights_only`.

    Raises ModelError for files that are broken or hold what is not known here.
    """
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return _safetensors(files)
    pickles = sorted(folder.glob("pytorch_model*.bin"))
    if not pickles:
        raise ModelError(f"{folder} 里没有权重文件（*.safetensors 或 pytorch_model*.bin）。")
    return _pickles(pickles)


def _safetensors(files: list[Path]) -> Tensors:
    where: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, torch.dtype] = {}
    for file in files:
        with _opened(file) as opened:
            for name in opened.keys():  # noqa: SIM118
                part = opened.get_slice(name)
                if part.get_dtype() not in _DTYPES:
                    raise ModelError(
                        f"{file} 里的 {name} 是 {part.get_dtype()} 精度，不能合并。请用没有量化的基座（16 或 32 位）。"
                    )
                where[name] = file
                shapes[name], dtypes[name] = tuple(part.get_shape()), _DTYPES[part.get_dtype()]

    def read(name: str) -> Tensor:
        # Opened anew for each, so that the file's pages do not gather in memory.
        with _opened(where[name]) as opened:
            return opened.get_tensor(name)

    return Tensors(shapes, dtypes, read)


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except SafetensorError as error:
        raise ModelError(f"{file} 已损坏或没有写完：{error}。请重新下载。") from None


def _pickles(files: list[Path]) -> Tensors:
    found: dict[str, Tensor] = {}
    for file in files:
        try:
            found.update(open_pickle(file, mmap=True))
        except (RuntimeError, ValueError, OSError, TypeError, UnpicklingError) as error:
            raise ModelError(f"打不开 {file}：{str(error).splitlines()[0]}。请换用 safetensors 权重。") from None
    return Tensors(
        {name: tuple(tensor.shape) for name, tensor in found.items()},
        {name: tensor.dtype for name, tensor in found.items()},
        lambda name: found[name],
    )


def write_safetensors(
    file: Path, tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], make: Callable[[str], Tensor]
) -> None:
    """Write a safetensors file, one tensor after the other: `make` gives each, of the dtype and shape that is told."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = torch.Size(shape).numel() * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name, (dtype, shape) in tensors.items():
            tensor = make(name)
            if tensor.dtype != dtype or tuple(tensor.shape) != shape:
                raise ValueError(f"{name}: {tensor.dtype} {tuple(tensor.shape)} instead of {dtype} {shape}")
            flat = tensor.contiguous().view(-1)
            out.write(cast(Any, flat.view(torch.uint8).numpy()) if flat.numel() else b"")
            del tensor, flat
