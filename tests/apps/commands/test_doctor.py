from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentsao.apps.commands.doctor import doctor
from bentsao.models import machine
from bentsao.models.machine import Device, Machine, fit
from bentsao.models.presets import BASES

GB = 10**9
CPU = Device(name="cpu", model="C", total=64 * GB, free=20 * GB, dtype="float32")


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, one of them busy, and without the packages of one extra."""
    devices = (
        Device(name="cuda:0", model="A", total=24 * GB, free=2 * GB, dtype="bfloat16"),
        Device(name="cuda:1", model="B", total=24 * GB, free=20 * GB, dtype="bfloat16"),
        CPU,
    )
    found = Machine(
        system="Linux x86_64",
        versions={"torch": "2"},
        cores=8,
        devices=devices,
        cache=str(tmp_path),
        disk=100 * GB,
        missing={"gpu": ("bitsandbytes",), "serve": ()},
    )
    monkeypatch.setattr(machine, "inspect_machine", lambda: found)
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


def test_as_tables(capsys: pytest.CaptureFixture[str]):
    doctor()
    said = capsys.readouterr().out
    assert "pip install 'bentsao[gpu]'" in said
    assert "bentsao[serve]" not in said
    assert "cuda:0" in said
    assert "cuda:1 上放得下的" in said
    assert "cuda:0 上放得下的" not in said, "of equal devices the freest is told"
    assert "cpu 上放得下的" in said
    (row,) = [line for line in said.split("cpu 上放得下的")[0].splitlines() if "qwen3-8b" in line]
    assert "✓ bfloat16" in row
    assert "--quantization 8bit" in row
    assert "首次使用时转换" in said


def test_as_json(capsys: pytest.CaptureFixture[str]):
    doctor(as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["embedded_ready"] is False
    assert found["missing"]["gpu"] == ["bitsandbytes"]
    assert set(found["fits"]) == {"cuda:1", "cpu"}
    assert set(found["fits"]["cpu"]) == set(BASES)
    assert found["fits"]["cpu"]["llama-7b"] == fit(BASES["llama-7b"], CPU).model_dump()
