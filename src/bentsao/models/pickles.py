"""torch's pickles from elsewhere (`*.bin`, `*.pth`): opened without running anything, and without being blown up.

A pickle may hold code, which `weights_only` refuses. Its archive may be compressed, which torch never writes and opens
all the same: 200 KB become 200 MB. And a tensor may say that one number is repeated for a terabyte.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from bentsao.core.errors import ModelError


def open_pickle(file: Path, *, mmap: bool = False) -> Any:
    """What the file holds. Raises ModelError where it would be larger in memory than on the disk; else torch's errors.

    mmap: leave the tensors on the disk until they are read.
    """
    size = file.stat().st_size
    if zipfile.is_zipfile(file):
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except zipfile.BadZipFile as error:
            raise RuntimeError(str(error)) from None  # as torch says of broken archives
        if any(one.compress_type != zipfile.ZIP_STORED for one in entries) or sum(e.file_size for e in entries) > size:
            raise _larger_than_it_is(file)
    found = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    for tensor in found.values() if isinstance(found, dict) else ():
        if isinstance(tensor, torch.Tensor) and tensor.numel() * tensor.element_size() > size:
            raise _larger_than_it_is(file)
    return found


def _larger_than_it_is(file: Path) -> ModelError:
    return ModelError(
        f"{file} 打开后会比文件本身大（压缩过，或一个数重复许多遍），正常的权重不会这样，所以没有打开它。"
        "请向发布者要 safetensors 格式的权重。"
    )
