"""What the machine can do, on machines that are made up."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from bentsao.core.errors import ConfigError
from bentsao.models import machine
from bentsao.models.machine import (
    Device,
    choose_device,
    choose_dtype,
    devices,
    fit,
    inspect_machine,
    memory,
    weight_bytes,
)
from bentsao.models.presets import BASES, EMBEDDED

GB = 10**9


def device(free: float, name: str = "cuda:0", dtype: str = "bfloat16") -> Device:
    return Device(name=name, model="", total=int(free * GB), free=int(free * GB), dtype=dtype)


def test_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "not" / "there"))
    found = inspect_machine()
    assert found.devices[-1].name == "cpu"
    assert 0 < found.devices[-1].free <= found.devices[-1].total
    assert found.cores >= 1
    assert found.disk > 0
    assert (
        found.versions["torch"] == torch.__version__.partition("+")[0] or found.versions["torch"] == torch.__version__
    )
    assert set(found.missing) == set(machine.EXTRAS)


def test_extras_that_are_missing_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(machine.EXTRAS, "dream", ("torch", "no-such-package"))
    assert inspect_machine().missing["dream"] == ("no-such-package",)


def test_more_memory_never_fits_less():
    order = ["4bit", "8bit", "bfloat16"]
    for preset in BASES.values():
        before = (-1, -1, 0)
        for free in (1, 2, 4, 8, 12, 16, 24, 40, 80):
            now = fit(preset, device(free))
            ranks = tuple(order.index(way) if way else -1 for way in (now.inference, now.tuning))
            assert ranks >= before[:2]
            assert ranks[1] <= ranks[0], "tuning needs more than inference"
            assert (now.tuning is None) == (now.batch_tokens == 0)
            before = (*ranks, now.batch_tokens)


@pytest.mark.parametrize(
    ("name", "where", "inference", "tuning"),
    [
        (EMBEDDED, device(8, "cpu", "float32"), "float32", "float32"),
        ("qwen3-1.7b", device(8), "bfloat16", "bfloat16"),
        ("qwen3-8b", device(20), "bfloat16", "8bit"),
        ("qwen3-8b", device(80), "bfloat16", "bfloat16"),
        ("llama-7b", device(10), "8bit", "4bit"),
        ("llama-7b", device(8), "4bit", None),
        ("llama-7b", device(16, "cpu", "float32"), "bfloat16", None),
        ("llama-7b", device(4), None, None),
    ],
)
def test_what_fits(name: str, where: Device, inference: str | None, tuning: str | None):
    found = fit(BASES[name], where)
    assert (found.inference, found.tuning) == (inference, tuning)


def test_estimate_is_near_what_was_measured():
    """The embedded base took 5.8 GB for 2,048 tokens in float32 (all-linear LoRA, rank 8, loss at every token)."""
    tokens = fit(BASES[EMBEDDED], device(5.8, "cpu", "float32")).batch_tokens
    assert 0.6 * 2048 < tokens < 1.1 * 2048


def test_weights_by_number_format():
    preset = BASES["llama-7b"]
    assert weight_bytes(preset, "float32") == 4 * preset.parameters
    assert weight_bytes(preset, "bfloat16") == 2 * preset.parameters
    assert weight_bytes(preset, "4bit") < weight_bytes(preset, "8bit") < 2 * preset.parameters


def test_cpu_by_name_and_by_default():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(None) == devices()[0]


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "meta"])
def test_devices_that_are_not_there(name: str):
    with pytest.raises(ConfigError, match="cpu"):
        choose_device(name)


def test_each_process_takes_its_own_device(monkeypatch: pytest.MonkeyPatch):
    there = [torch.device("cuda", 0), torch.device("cuda", 1), torch.device("cpu")]
    monkeypatch.setattr(machine, "devices", lambda: there)
    assert choose_device(None) == there[0]
    assert choose_device("cuda") == there[0]
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device(None) == there[1]
    monkeypatch.setattr(machine, "devices", lambda: there[2:])
    assert choose_device(None) == there[2]


def test_number_format_by_device(monkeypatch: pytest.MonkeyPatch):
    assert choose_dtype(None, torch.device("cpu")) == torch.float32
    assert choose_dtype("float16", torch.device("cpu")) == torch.float16
    with pytest.raises(ConfigError, match=r"'fp8'.*bfloat16"):
        choose_dtype("fp8", torch.device("cpu"))
    for able, wanted in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
        assert choose_dtype(None, torch.device("cuda", 0)) == wanted


def test_a_device_with_memory_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda where: (where.index + 1, 10))
    assert memory(torch.device("cuda", 1)) == (2, 10)


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    unlimited = memory(torch.device("cpu"))
    assert unlimited[1] == psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("1000000\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("400000\n", encoding="ascii")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 100000\n", encoding="ascii")
    assert memory(torch.device("cpu")) == (700_000, 1_000_000)
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert memory(torch.device("cpu"))[1] == unlimited[1]
