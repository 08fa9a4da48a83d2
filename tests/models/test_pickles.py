"""Pickles of torch that are meant to do harm, wherever one is opened: adapters, and bases that are converted."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bentsao.core.errors import ModelError
from bentsao.models.adapter_files import PICKLE_NAME, WEIGHTS_NAME, weight_shapes
from bentsao.models.exporting.stored import stored_tensors
from bentsao.models.pickles import open_pickle

NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


class Evil:
    """Leaves a file where it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (open, (str(self.trace), "w"))


def saved(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def compressed(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as small:
        for entry in archive.infolist():
            small.writestr(entry.filename, archive.read(entry))
    return out.getvalue()


def as_adapter(folder: Path, content: bytes) -> Callable[[], object]:
    (folder / PICKLE_NAME).write_bytes(content)
    return lambda: weight_shapes(folder)


def as_base(folder: Path, content: bytes) -> Callable[[], object]:
    (folder / "pytorch_model.bin").write_bytes(content)
    return lambda: stored_tensors(folder)


@pytest.mark.parametrize("place", [as_adapter, as_base])
def test_nothing_in_a_pickle_is_run(place: Any, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    opened = place(tmp_path, saved({NAME: Evil(trace)}))
    with pytest.raises(ModelError):
        opened()
    assert not trace.exists()


@pytest.mark.parametrize("place", [as_adapter, as_base])
def test_an_archive_is_no_larger_than_it_is(place: Any, tmp_path: Path) -> None:
    """200 KB became 200 MB."""
    bomb = compressed(saved({NAME: torch.zeros(1_000_000)}))
    assert len(bomb) < 10_000
    with pytest.raises(ModelError, match="比文件本身大"):
        place(tmp_path, bomb)()


@pytest.mark.parametrize("place", [as_adapter, as_base])
def test_one_number_is_not_a_terabyte(place: Any, tmp_path: Path) -> None:
    opened = place(tmp_path, saved({NAME: torch.zeros(1).expand(10**6, 10**6)}))
    with pytest.raises(ModelError, match="比文件本身大"):
        opened()


def test_an_honest_pickle_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(saved({NAME: torch.ones(3), "b": torch.ones(2, 2).T}))
    assert {name: tuple(tensor.shape) for name, tensor in open_pickle(tmp_path / "a.bin").items()} == {
        NAME: (3,),
        "b": (2, 2),
    }


HEADERS: dict[str, bytes] = {
    "a header as long as the disk": struct.pack("<Q", 1 << 62) + b"{}",
    "a header longer than the file": struct.pack("<Q", 50_000_000) + b"{}",
    "more numbers than there are": b"",
    "depth": struct.pack("<Q", 90_000) + b"[" * 90_000,
}


@pytest.mark.parametrize("case", HEADERS)
def test_safetensors_that_claim_what_they_have_not(case: str, tmp_path: Path) -> None:
    header = {NAME: {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    (tmp_path / WEIGHTS_NAME).write_bytes(HEADERS[case] or struct.pack("<Q", len(text)) + text + b"\0" * 4)
    with pytest.raises(ModelError, match="已损坏"):
        weight_shapes(tmp_path)
