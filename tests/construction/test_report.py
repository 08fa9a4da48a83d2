from __future__ import annotations

from pathlib import Path

import pytest

from bentsao.apps.reports.data import data_page
from bentsao.construction.filtering import filter_to
from bentsao.construction.report import report
from bentsao.core.errors import DataError, MissingError
from bentsao.core.records import Conversation, Made
from tests.construction.rows import MIGRAINE, grounded, row

EVIL = "<script>alert(1)</script>&"


def rows() -> list[Conversation]:
    made = Made(form="qa", writer="composer", difficulty="易", split="train", patterns=("问法1",))
    return [
        grounded("我妈偏头痛吃什么药？", "偏头痛可用布洛芬[1]。"),
        *(row(f"第{n}位病人偏头痛怎么治{n * n}？", "可用布洛芬。", name=f"{n}", made=made) for n in range(20)),
        row(f"偏头痛{EVIL}怎么治？", f"可用布洛芬{EVIL}。", name=EVIL, made=made, facts=MIGRAINE[:1]),
        row("偏头痛怎么办？", f"根据知识，{EVIL}可用布洛芬。", name="坏" + EVIL),
    ]


def test_figures_count_what_is_there_and_what_was_refused(tmp_path: Path) -> None:
    out = tmp_path / "qa.jsonl"
    tally = filter_to(out, rows(), ["leak"])
    found = report([out], samples=3)
    assert found.files == {str(out): 22}
    assert found.counts["form"] == {"qa": 21, "grounded": 1}
    assert found.counts["split"] == {"train": 21, "（未标明）": 1}
    assert found.counts["attribute"] == {"（未标明）": 20, "药物治疗": 2, "临床症状及体征": 1}
    assert found.refused
    assert found.refused.labels == tally.labels
    assert {form: len(drawn) for form, drawn in found.samples.items()} == {"qa": 3, "grounded": 1}
    assert found.samples == report([out], samples=3).samples
    assert found.diversity.rows == 22


def test_the_page_shows_rows_with_their_evidence_and_nothing_of_them_is_markup(tmp_path: Path) -> None:
    out = tmp_path / "qa.jsonl"
    filter_to(out, rows(), ["leak"])
    page = data_page(report([out], samples=50))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in page
    assert "偏头痛的药物治疗：布洛芬；佐米曲普坦（测试.json 第 3 行）" in page
    assert "说到给它的知识" in page
    assert "坏&lt;script" in page
    assert "width=device-width" in page
    assert "http://" not in page
    assert "https://" not in page


def test_without_refused_rows_the_page_says_so(tmp_path: Path) -> None:
    out = tmp_path / "qa.jsonl"
    filter_to(out, rows())
    (tmp_path / "qa.refused.jsonl").unlink()
    found = report([out])
    assert found.refused is None
    assert "没有被拒绝的行" in data_page(found)


def test_faults_are_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        report([tmp_path / "没有.jsonl"])
    out = tmp_path / "qa.jsonl"
    filter_to(out, rows())
    (tmp_path / "qa.refused.jsonl").write_text('{"row": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"reasons  值 .* 缺少这个字段"):
        report([out])
