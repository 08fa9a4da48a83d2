"""Each room's page has all of its files, in the modules' own words."""

from __future__ import annotations

import sys

import pytest

from tests.docs.fences import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from room_files import MARKS, ROOMS, table, updated  # pyright: ignore[reportMissingImports]


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_has_the_files_as_they_are(room: str) -> None:
    _, text, right = updated(room)
    assert MARKS.search(text), "no place for the table"
    assert text == right, "run: python scripts/room_files.py"


def test_every_folder_is_a_room_with_a_page() -> None:
    folders = {path.name for path in (ROOT / "src" / "bentsao").iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ROOMS)


def test_every_module_says_what_it_is() -> None:
    assert all(len(table(room).split("\n")) > 5 for room in ROOMS)
