"""The threat model names tests: each of them must be there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 40
    assert len(set(NAMED)) == len(NAMED), "one threat, one line"


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_files_that_are_named_are_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:apps|core|knowledge|models|inference)/[\w/]*(?:\.py)?)`", text):
        assert (ROOT / "src" / "bentsao" / name).exists(), name
