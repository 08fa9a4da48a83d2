"""The Chinese and the English pages of a pair say the same."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.fences import ROOT, commands, fences

PAIRS = [("README.md", "README_EN.md"), ("docs/tutorial.md", "docs/tutorial_en.md")]


def shape(page: Path) -> list[int]:
    """The levels of the headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [len(found[1]) for found in re.finditer(r"^(#+) ", text, flags=re.MULTILINE)]


@pytest.mark.parametrize(("chinese", "english"), PAIRS)
def test_a_pair_names_the_same_commands_in_the_same_order(chinese: str, english: str) -> None:
    ours, theirs = ([command.text for command in commands(ROOT / page)] for page in (chinese, english))
    assert ours == theirs


@pytest.mark.parametrize(("chinese", "english"), PAIRS)
def test_a_pair_has_the_same_sections_fences_and_links(chinese: str, english: str) -> None:
    assert shape(ROOT / chinese) == shape(ROOT / english)
    assert len(list(fences(ROOT / chinese))) == len(list(fences(ROOT / english)))
    # The English page also links the tutorial's translation.
    linked = [
        {
            link
            for link in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text(encoding="utf-8"))
            if "README" not in link and "_en." not in link and link != Path(chinese).name
        }
        for page in (chinese, english)
    ]
    assert linked[0] == linked[1]


def figures(page: Path) -> Counter[str]:
    """The figures of the text, however they are punctuated; fences are held together by their commands."""
    text = re.sub(r"^```.*?^```|\]\([^)]*\)", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return Counter(figure.replace(",", "") for figure in re.findall(r"\d(?:[\d.,]*\d)?", text))


@pytest.mark.parametrize(("chinese", "english"), PAIRS)
def test_a_pair_has_the_same_figures(chinese: str, english: str) -> None:
    assert figures(ROOT / chinese) == figures(ROOT / english)
