"""The page of figures names every benchmark, its links lead somewhere, and figures that are quick to make hold."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from bentsao.apps.cli import build
from tests.docs.fences import PAGES, ROOT

HELPERS = {"engines_llama_cpp", "tuning_systems", "knowledge_rows"}
"""Parts of other benchmarks."""


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes links of them."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_benchmark_is_named() -> None:
    text = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    named = set(re.findall(r"benchmarks/(\w+)\.py", text))
    assert named == {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - HELPERS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_headings_lead_to_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for file, anchor in re.findall(r"\]\(([\w./-]*)#([^)]+)\)", text):
        target = page.parent / file if file else page
        assert anchor in anchors(target), f"{file}#{anchor}"


def printed(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a benchmark prints."""
    name, *flags = script.split()
    monkeypatch.setattr(sys, "argv", [name, *flags])
    runpy.run_path(str(ROOT / "benchmarks" / name), run_name="__main__")
    return capsys.readouterr().out


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_table_on_paper_stands_in_its_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line for line in printed("scaling_table.py", monkeypatch, capsys).split("\n") if line.startswith("| ")]
    assert len(rows) > 20
    shown = page("docs/scaling.md").split("\n")
    assert [row for row in rows if row not in shown] == []


def test_the_detectors_figures_stand_in_their_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for script, shares in (
        ("safety_detector.py", r": (\d+/\d+ = .*)"),
        ("safety_detector.py --split dev", r": (\d+/\d+) ="),
    ):
        found = re.findall(shares, printed(script, monkeypatch, capsys))
        assert len(found) == 2
        assert [share for share in found if f"| {share} |" not in page("docs/page.md")] == []


def test_the_sample_is_of_the_size_that_the_pages_say(capsys: pytest.CaptureFixture[str]) -> None:
    build()(["kb", "stats", "--json"], result_action="return_value")
    stats = json.loads(capsys.readouterr().out)
    kinds = stats["entities"]
    values, passages = f"{stats['facts']:,}", stats["passages"]
    disease, drug, both = kinds["disease"], kinds["drug"], kinds["symptom"] + kinds["examination"]
    chinese = f"{disease} 种疾病、{drug} 种药物、{both} 种症状与检查、{passages} 条文献结论，共 {values} 个值"
    assert chinese in page("README.md")
    said = f"{disease} diseases, {drug} drugs, {both} symptoms and examinations, "
    assert said + f"{passages} conclusions from the literature, {values}" in " ".join(page("README_EN.md").split())
    assert said + f"{kinds['operation']} operations, {kinds['department']} departments" in page("docs/knowledge.md")
    card = page("docs/data_card.md")
    for row in (
        f"{disease}, {drug}",
        ", ".join(str(kinds[kind]) for kind in ("department", "symptom", "examination", "operation")),
        str(stats["aliases"]),
        f"{values}, of {len(stats['attributes'])} attributes",
        str(passages),
    ):
        assert f"| {row} |" in card
