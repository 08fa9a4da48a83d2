from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from rich.cells import cell_len

from bentsao.apps.commands.bases import app, size
from bentsao.core.errors import MissingError
from bentsao.models import embedded
from bentsao.models.presets import BASES
from tests.doubles import TEMPLATE, tiny_base_folder
from tests.models.hub import COMMIT, serving
from tests.systems import SYSTEMS, baichuan

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `bentsao bases …` and returns what it printed, parsed where it is JSON."""

    def call(*words: str) -> Any:
        app(words, result_action="return_value")
        said = capsys.readouterr().out
        return json.loads(said) if "--json" in words else said

    return call


def put_embedded_base_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(folder: Path) -> None:
        tiny_base_folder(folder, "gemma3")

    monkeypatch.setattr(embedded, "_convert_package", convert)


def test_list_tells_what_is_here(run: Run, monkeypatch: pytest.MonkeyPatch):
    assert [row["name"] for row in run("list", "--json")] == list(BASES)
    assert not any(row["here"] for row in run("list", "--json"))
    put_embedded_base_here(monkeypatch)
    run("fetch")
    assert [row["name"] for row in run("list", "--json") if row["here"]] == ["embedded"]
    monkeypatch.setenv("COLUMNS", "80")
    table = run("list")
    assert all(cell_len(line) <= 80 for line in table.splitlines())
    assert all(any(line.lstrip().startswith(f"{name} ") for line in table.splitlines()) for name in BASES)
    llama = run("show", "llama-7b")
    assert "…" not in table + llama
    assert all(word in llama for word in ("huggyllama/llama-7b", "non-commercial", "16 位 13.5", "decapoda"))
    memory = {row["name"]: row["memory_bytes"] for row in run("list", "--json")}
    assert memory["llama-7b"]["16"] == 2 * BASES["llama-7b"].parameters
    assert memory["llama-7b"]["4"] < memory["llama-7b"]["8"] < memory["llama-7b"]["16"]


def test_fetch_converts_the_embedded_base(run: Run, monkeypatch: pytest.MonkeyPatch):
    put_embedded_base_here(monkeypatch)
    found = run("fetch", "--json")
    assert found["folder"] == str(embedded.embedded_folder())
    assert found["revision"] == embedded.GGUF_SHA256
    assert found["bytes"] == sum(file.stat().st_size for file in embedded.embedded_folder().iterdir())
    assert "Gemma Terms of Use" in run("fetch")


def test_fetch_and_show_from_the_hub(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tiny_base_folder(tmp_path / "served", "bloom")
    with pytest.raises(MissingError, match="bases fetch someone/tiny"):
        run("show", "someone/tiny")
    with serving("someone/tiny", folder) as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        assert run("fetch", "someone/tiny", "--json")["revision"] == COMMIT
        shown = run("show", "someone/tiny", "--json")
    assert (shown["architecture"], shown["revision"], shown["here"]) == ("BloomForCausalLM", COMMIT, True)


def test_show_a_folder(run: Run, tmp_path: Path):
    folder = tiny_base_folder(tmp_path / "base", chat_template=TEMPLATE)
    shown = run("show", str(folder), "--json")
    assert shown["architecture"] == "LlamaForCausalLM"
    assert (shown["layers"], shown["hidden"], shown["context"]) == (2, 32, 512)
    assert (shown["start"], shown["end"], shown["chat_format"]) == (["<bos>"], "<eos>", "base")
    table = run("show", str(folder))
    assert "LlamaForCausalLM" in table
    assert "基座自带的模板" in table


def test_show_what_is_not_here(run: Run, capsys: pytest.CaptureFixture[str]):
    assert run("show", "qwen3-4b", "--json")["here"] is False
    app(("show", "qwen3-4b"), result_action="return_value")
    captured = capsys.readouterr()
    assert "Qwen/Qwen3-4B" in captured.out
    assert "bases fetch qwen3-4b" in captured.err


def test_unknown_names_are_refused(run: Run):
    for verb in ("show", "fetch"):
        with pytest.raises(MissingError, match="no-such"):
            run(verb, "no-such")


@pytest.mark.parametrize(("count", "text"), [(268_098_176, "268M"), (999_885_952, "1.0B"), (8_190_735_360, "8.2B")])
def test_size(count: int, text: str):
    assert size(count) == text


def test_check_tells_and_ends_with_1_where_it_cannot_be_used(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = SYSTEMS["decapoda"](tmp_path / "decapoda")
    assert "0 个错误" in run("check", str(folder))
    found = run("check", str(folder), "--json")
    assert found["usable"]
    assert {item["level"] for item in found["findings"]} == {"warning", "note"}
    published = baichuan(tmp_path / "baichuan")
    with pytest.raises(SystemExit) as caught:
        run("check", str(published))
    assert caught.value.code == 1
    assert "bentsao bases convert" in capsys.readouterr().out
    run("convert", str(published), "--out", str(tmp_path / "converted"))
    assert "0 个错误" in run("check", str(tmp_path / "converted"))
