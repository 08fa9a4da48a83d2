"""Continued pre-training: every token once, documents apart by end tokens, none both learnt and validated on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.errors import ConfigError, DataError, MissingError
from bentsao.core.rendering import IGNORE
from bentsao.tuning.recipe import DataPart
from bentsao.tuning.texts import Document, gather_texts, pack
from tests.doubles import END_ID, CharTokens


def part(*files: Path, **more: Any) -> DataPart:
    return DataPart(kind="text", files=tuple(map(str, files)), **more)


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), max_size=9),
    st.integers(2, 12),
    st.booleans(),
)
def test_rows_in_turn_are_the_documents(texts: list[str], length: int, start: bool) -> None:
    tokens = CharTokens(start=start)
    rows = pack([Document(str(n), text) for n, text in enumerate(texts)], tokens, length=length)
    read = [i for row in rows.rows for i in row.ids]
    targets = [t for row in rows.rows for t in row.targets]
    wanted = [i for text in texts for i in (*tokens.start_ids, *tokens.encode(text), END_ID)]
    assert read == wanted[: len(read)]
    assert set(wanted[len(read) :]) <= {END_ID}  # a last row in which nothing would be learnt is left out
    assert all(len(row.ids) == length for row in rows.rows[:-1])
    for at, target in enumerate(targets):
        assert target == (IGNORE if read[at] == END_ID else wanted[at + 1])
    assert rows.account.learnt_tokens == sum(len(tokens.start_ids) + len(text) for text in texts)
    assert len(rows.ids) == len(rows.rows)


def test_files_and_folders_are_read_and_copies_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "books" / "inner"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("感冒是病。\n\n多喝水。\n", encoding="utf-8")
    (folder / "b.txt").write_text("咳嗽。", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    rows = tmp_path / "c.jsonl"
    lines = [{"text": "咳嗽。"}, {"content": "头痛。"}, "发热。"]
    rows.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    found = gather_texts(part(tmp_path / "books", rows, validation=0.25), 0)
    texts = [document.text for document in (*found.train, *found.valid)]
    assert sorted(texts) == sorted(["感冒是病。\n\n多喝水。", "咳嗽。", "头痛。", "发热。"])
    assert (len(found.valid), found.copies) == (1, 1)
    assert set(found.files) == {str(folder / "a.txt"), str(folder / "b.txt"), str(rows)}
    assert f"{rows}:2" in [document.id for document in (*found.train, *found.valid)]


def test_what_is_learnt_is_not_validated_on(tmp_path: Path) -> None:
    own, other = tmp_path / "own.jsonl", tmp_path / "other.jsonl"
    own.write_text('"感冒。"\n"咳嗽。"\n', encoding="utf-8")
    other.write_text('"咳嗽。"\n"头痛。"\n"头痛。"\n', encoding="utf-8")
    found = gather_texts(part(own, validation_file=str(other)), 0)
    assert [document.text for document in found.valid] == ["头痛。"]
    assert (len(found.train), found.copies) == (2, 2)
    with pytest.raises(ConfigError, match="validation=2 不小于数据的条数 2"):
        gather_texts(part(own, validation=2), 0)


def test_what_is_no_text_is_told_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": ""}\n{"question": "?"}\n[1\n', encoding="utf-8")
    with pytest.raises(DataError) as error:
        gather_texts(part(tmp_path), 0)
    assert len(error.value.faults) == 4
    (tmp_path / "none").mkdir()
    with pytest.raises(MissingError, match="没有"):
        gather_texts(part(tmp_path / "none"), 0)
