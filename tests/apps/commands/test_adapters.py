from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentsao.apps.commands.adapters import app
from bentsao.core.errors import ConfigError
from bentsao.models.adapter_files import CONFIG_NAME, WEIGHTS_NAME
from bentsao.models.adapters import read_adapter
from tests.doubles import tiny_base_folder
from tests.models.test_adapter_places import aged, harm_config
from tests.models.test_adapters import make_adapter

Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `bentsao adapters …` and returns what it printed, parsed where it is JSON."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: object) -> Any:
        app(list(map(str, words)), result_action="return_value")
        said = capsys.readouterr().out
        return json.loads(said) if "--json" in words else said

    return call


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "one", str(tiny_base_folder(tmp_path / "base")))


def test_inspect(run: Run, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run("inspect", aged(adapter), "--base", tmp_path / "base", "--json")
    assert (found["file"], found["rank"], found["faults"]) == ("adapter_model.bin", 4, [])
    assert "adapter_model.bin" in run("inspect", adapter)
    harm_config(lora_alpha=...)(adapter)
    with pytest.raises(SystemExit) as caught:
        run("inspect", adapter)
    assert caught.value.code == 1
    assert "没有 lora_alpha" in capsys.readouterr().out


def test_convert(run: Run, adapter: Path, tmp_path: Path) -> None:
    harm_config(lora_alpha=...)(aged(adapter))
    said = run("convert", adapter, "--out", tmp_path / "new", "--alpha", "16")
    assert "lora_alpha：None → 16" in said
    assert (tmp_path / "new" / WEIGHTS_NAME).is_file()
    assert json.loads((tmp_path / "new" / CONFIG_NAME).read_text(encoding="utf-8"))["lora_alpha"] == 16
    with pytest.raises(ConfigError, match="已经存在"):
        run("convert", adapter, "--out", tmp_path / "new")


def test_merge_and_diff(run: Run, adapter: Path, tmp_path: Path) -> None:
    two = make_adapter(tmp_path / "two", str(tmp_path / "base"), rank=2)
    run("merge", adapter, two, "--weights", "0.5", "0.5", "--out", tmp_path / "both")
    assert read_adapter(tmp_path / "both").base == str(tmp_path / "base")
    found = run("diff", adapter, tmp_path / "both", "--json")
    assert len(found["layers"]) == 14
    assert found["total"]["apart"] > 0
    said = run("diff", adapter, tmp_path / "both", "--layers", 3)
    assert "差别最大的 3 层；共 14 层" in said
    wrong: list[tuple[list[object], str]] = [
        ([adapter], "两个以上"),
        ([adapter, two, "--weights", "1"], "一一对应"),
        ([adapter, two, "--weights", "1", "0"], "里有 0"),
    ]
    for words, message in wrong:
        with pytest.raises(ConfigError, match=message):
            run("merge", *words, "--out", tmp_path / "none")
