"""The search index: what is in a text is found by it, whatever its width, case and length."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.knowledge.grams import folded, grams, indexed_grams
from bentsao.knowledge.migrations import migrate
from bentsao.knowledge.search import CANDIDATES, add_to_index, nearest, remove_from_index
from bentsao.knowledge.store import KnowledgeBase
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, TRIAL, put

TEXTS = st.text(st.sampled_from("急性慢肝炎癌β-1aＡ，（）")) | st.text(max_size=12)


def indexed(texts: list[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    connection.executemany("INSERT INTO term (text) VALUES (?)", [(text,) for text in dict.fromkeys(texts)])
    add_to_index(connection, "term", "true")
    return connection


def found(connection: sqlite3.Connection, query: str, limit: int = 10) -> list[str]:
    sql = "SELECT text FROM term WHERE id = ?"
    return [connection.execute(sql, (id_,)).fetchone()[0] for id_, _ in nearest(connection, "term", query, limit)]


@given(st.text())
def test_folding_keeps_letters_and_digits_in_one_width_and_case(text: str) -> None:
    slow = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
    assert folded(text) == slow


def test_grams_are_pairs_and_the_last_character() -> None:
    assert grams(folded("β-内酰胺")) == {"β内", "内酰", "酰胺"}
    assert indexed_grams("感冒") == {"感冒", "冒"}
    assert indexed_grams("癌") == {"癌"}
    assert indexed_grams("，") == set()


@given(st.lists(TEXTS.filter(lambda text: text.isprintable()), min_size=1, max_size=30), st.data())
def test_every_part_of_a_text_finds_it_and_the_text_itself_comes_first(texts: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(texts))
    start = data.draw(st.integers(0, len(text)))
    part = text[start : data.draw(st.integers(start, len(text)))]
    with closing(indexed(texts)) as connection:
        if folded(text):
            first, *_ = found(connection, text)
            assert grams(folded(first)) == grams(folded(text))
        hits = found(connection, part, limit=len(texts))
        holding = {known for known in texts if folded(part) and folded(part) in folded(known)}
        # A short part of a long text may be less than the share of it that counts as near, but never of the query.
        assert holding <= set(hits)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("感冒", "感冒"),
        ("癌", "肝癌"),
        ("癌", "癌症"),
        ("ＣＯＰＤ", "COPD"),
        ("β内酰胺", "β-内酰胺类抗生素"),
        ("急性阑委炎", "急性阑尾炎"),
        ("牙𬌗", "牙𬌗面"),
    ],
)
def test_short_foreign_and_misspelt_queries_find_their_text(query: str, text: str) -> None:
    with closing(indexed([text, "慢性胃炎", "急性肾炎", "阿莫西林"])) as connection:
        assert found(connection, query)[0] == text


def test_a_rare_text_is_found_among_more_common_ones_than_are_scored() -> None:
    common = [f"急性{chr(0x5000 + number)}炎" for number in range(CANDIDATES + 100)]
    with closing(indexed([*common, "急性阑尾炎"])) as connection:
        assert found(connection, "急性阑尾病")[0] == "急性阑尾炎"
        assert found(connection, common[-1])[0] == common[-1]
        assert len(found(connection, "急性", limit=10**6)) <= CANDIDATES


def test_a_name_in_a_question_is_found_though_its_grams_are_common_and_the_questions_are_not() -> None:
    common = [f"{chr(0x5000 + number)}糖尿病者慎用" for number in range(CANDIDATES + 100)]
    with closing(indexed([*common, "能不", "糖尿病"])) as connection:
        assert "糖尿病" in found(connection, "糖尿病能不能吃西瓜")[:2]


def test_nothing_is_found_where_nothing_is_near() -> None:
    with closing(indexed(["急性阑尾炎", "阿莫西林"])) as connection:
        assert found(connection, "骨折") == found(connection, "，。") == found(connection, "") == []
        assert found(connection, "阑尾", limit=0) == []
        assert found(connection, '" OR NOT (* NEAR') == []  # FTS5's own query language is not the user's


def test_a_whole_page_as_query_is_no_trouble() -> None:
    page = "".join(chr(0x4E00 + number * 7 % 5000) for number in range(3000))
    with closing(indexed([page[1000:1008], *(page[at : at + 9] for at in range(0, 3000, 9))])) as connection:
        assert page[1000:1008] in found(connection, page, limit=1000)


def test_what_is_removed_is_not_found_and_leaves_no_trace() -> None:
    with closing(indexed(["急性阑尾炎", "急性肾炎"])) as connection:
        remove_from_index(connection, "term", "text = ?", "急性阑尾炎")
        connection.execute("DELETE FROM term WHERE text = ?", ("急性阑尾炎",))
        assert found(connection, "急性阑尾炎") == ["急性肾炎"]
        remove_from_index(connection, "term", "text = ?", "急性肾炎")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5vocab(term_grams, 'row')")
        assert connection.execute("SELECT * FROM words").fetchall() == []


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    put(tmp_path / "kb.sqlite", "甲", COLD, APPENDICITIS, FEVER, TRIAL)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        yield kb


def test_search_gives_entities_facts_and_passages_best_first(kb: KnowledgeBase) -> None:
    hits = kb.search("发热")
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert hits[0].entity is not None
    assert hits[0].entity.name == "发热"
    assert [(hit.fact.subject, hit.fact.values) for hit in hits if hit.fact] == [
        ("感冒", ("发热",)),
        ("急性阑尾炎", ("发热",)),
    ]
    (hit,) = kb.search("索拉非尼 肝细胞癌")
    assert hit.passage is not None
    assert hit.passage.title == TRIAL.title


def test_an_entity_is_found_once_however_many_of_its_names_fit(kb: KnowledgeBase) -> None:
    assert [hit.entity.name for hit in kb.search("上呼吸道感染感冒") if hit.entity] == ["感冒"]
    assert len(kb.search("发热", limit=1)) == 1
