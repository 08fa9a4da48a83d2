"""The original's own data, where it is there: what the filters and the overlap check find in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bentsao.construction.overlap import overlap
from bentsao.core.conversations import read_conversations, read_questions
from tests.construction.rows import run_filters

DATA = Path(os.environ.get("BENTSAO_SHARED_DATA", Path(__file__).parents[2] / "../shared/data"))


def shared(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} 不在（用 BENTSAO_SHARED_DATA 指定开发数据的目录）")
    return path


def test_all_rows_of_its_test_file_are_in_its_training_file() -> None:
    found = overlap(read_questions(shared("infer.json")), read_conversations(shared("llama_data.json")).conversations)
    assert (found.rows, found.verbatim, found.near) == (5, 5, 0)
    assert {pair.kind for pair in found.pairs} == {"verbatim"}


def test_what_the_filters_find_in_its_training_file() -> None:
    done = run_filters(read_conversations(shared("llama_data.json")).conversations)
    found = done.tally.filters
    assert done.tally.rows == done.tally.kept + done.tally.refused == 8_658
    assert found["leak"] == 289
    assert done.tally.labels["leak"]["说到给它的知识"] == 147, "each was read: all speak of the prompt"
    assert found["unfinished"] == 183
    assert found["short"] == 27
    assert found["unsafe"] == 14
    assert found["personal"] == found["repetition"] == found["ungrounded"] == 0
    assert 35 <= found["duplicate"] <= 55
    assert not any("根据知识" in message.content for row in done.kept for message in row.messages)
