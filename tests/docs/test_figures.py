"""The page of figures names every benchmark, and the places it points to are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
