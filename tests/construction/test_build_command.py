"""`bentsao build`: every command run as a person runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bentsao.apps.commands import build as command
from bentsao.core.errors import ConfigError
from tests.construction.materials import small_kb

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_kb(tmp_path_factory.mktemp("kb"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*tokens: str | Path) -> str:
        command.app([str(token) for token in tokens], result_action="return_value")
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize("dataset", ["qa", "dialogue", "grounded", "polarity", "choice"])
def test_each_data_set(run: Run, base: Path, tmp_path: Path, dataset: str) -> None:
    said = run(dataset, "--kb", base, "--out", tmp_path / "out", "--rows", "40", "--split", "0.8,0.1,0.1")
    assert "train" in said
    assert "覆盖最少的属性" in said
    assert (tmp_path / "out" / "train.jsonl").stat().st_size > 0


def test_a_part_without_entities_is_told(run: Run, base: Path, tmp_path: Path) -> None:
    said = run("qa", "--kb", base, "--out", tmp_path / "out", "--rows", "40", "--split", "0.9998,0.0001,0.0001")
    assert "valid、test 是空的" in said
    assert not (tmp_path / "out" / "test.jsonl").exists()
    said = run("qa", "--kb", base, "--out", tmp_path / "few", "--rows", "4", "--split", "0.8,0.1,0.1")
    assert "valid 是空的" in said
    assert "test 没有写出一条" in said


def test_all_at_once(run: Run, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SIZES", dict.fromkeys(command.SIZES, 20))
    said = run("all", "--kb", base, "--out", tmp_path / "all")
    assert all(name in said for name in ("qa", "dialogue", "grounded", "polarity", "choice"))
    manifests = json.loads(run("all", "--kb", base, "--out", tmp_path / "again", "--json"))
    assert manifests["qa"]["rows"]["train"] > 10
    for name in manifests:
        one, two = (tmp_path / folder / name / "train.jsonl" for folder in ("all", "again"))
        assert one.read_bytes() == two.read_bytes()


def test_flags(run: Run, base: Path, tmp_path: Path) -> None:
    names = tmp_path / "不写.txt"
    names.write_text("流感\n\n银屑病\n", encoding="utf-8")
    said = run(
        "qa", "--kb", base, "--out", tmp_path / "out", "--rows", "30", "--exclude", names, "--kinds", "疾病",
        "--no-filters", "--seed", "3", "--json",
    )  # fmt: skip
    manifest = json.loads(said)
    assert manifest["excluded_entities"] == ["流行性感冒", "银屑病"]
    assert manifest["options"]["kinds"] == ["disease"]
    assert manifest["filters"]["names"] == []
    for wrong in (["--split", "0.5"], ["--split", "甲,乙,丙"], ["--kinds", "诗"]):
        with pytest.raises(ConfigError):
            run("qa", "--kb", base, "--out", tmp_path / "no", *wrong)


def test_what_was_built_can_be_looked_at(run: Run, base: Path, tmp_path: Path) -> None:
    run("qa", "--kb", base, "--out", tmp_path / "qa", "--rows", "60", "--split", "0.6,0.2,0.2")
    train, test = tmp_path / "qa" / "train.jsonl", tmp_path / "qa" / "test.jsonl"
    assert "通过" in run("filter", train)
    assert json.loads(run("overlap", test, train, "--json"))["verbatim"] == 0
    run("report", train, "--out", tmp_path / "report.html")
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
