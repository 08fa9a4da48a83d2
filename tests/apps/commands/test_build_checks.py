from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentsao.apps.commands.build_checks import filter_, overlap, report
from bentsao.core.errors import ConfigError

ROWS = [
    {"instruction": "一名35岁女性患偏头痛，应该怎样治疗？", "input": "", "output": "可服用布洛芬，并注意休息。"},
    {
        "instruction": "小王被确诊为肝炎，最可能的并发症是什么？",
        "input": "",
        "output": "根据知识，并发症是[bold]肝硬化。",
    },
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.json"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), encoding="utf-8")
    return path


def test_filter_reports_and_writes_nothing_unless_asked(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filter_(data)
    shown = capsys.readouterr().out
    assert "2 行，通过 1 行（50.0%），拒绝 1 行" in shown
    assert "生成者的口吻" in shown
    assert [path.name for path in data.parent.iterdir()] == ["data.json"]


def test_filter_writes_both_files_and_prints_figures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data.parent / "clean.jsonl"
    filter_(data, out=out, json=True)
    figures = json.loads(capsys.readouterr().out)
    assert (figures["rows"], figures["kept"], figures["filters"]) == (2, 1, {"leak": 1})
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1
    assert "根据知识" in (data.parent / "clean.refused.jsonl").read_text(encoding="utf-8")


def test_filters_can_be_chosen(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filter_(data, skip=("leak",), json=True)
    assert json.loads(capsys.readouterr().out)["kept"] == 2
    filter_(data, only=("leak",), json=True)
    assert json.loads(capsys.readouterr().out)["refused"] == 1
    with pytest.raises(ConfigError, match="没有留下任何过滤器"):
        filter_(data, only=("leak",), skip=("leak",))
    with pytest.raises(ConfigError, match="会覆盖"):
        filter_(data, out=data)


def test_overlap_prints_the_form_that_programs_rely_on(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = data.parent / "one.json"
    one.write_text(json.dumps(ROWS[0], ensure_ascii=False), encoding="utf-8")
    overlap(one, data, json=True)
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["rows", "verbatim", "near", "pairs"]
    assert (found["rows"], found["verbatim"], found["near"], found["pairs"][0]["b"]) == (1, 1, 0, "data:1")
    overlap(data, one)
    assert "data.json 的 2 行中，1 行与 one.json 逐字相同，0 行近似（合计 50.0%）" in capsys.readouterr().out


def test_report_writes_a_page(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data.parent / "page.html"
    report((data,), out=out, json=True)
    figures = json.loads(capsys.readouterr().out)
    assert figures["files"] == {str(data): 2}
    assert figures["refused"] is None
    assert "本草：数据报告" in out.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="会覆盖"):
        report((data,), out=data)
