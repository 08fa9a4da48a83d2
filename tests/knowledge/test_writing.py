"""Importing and removing: idempotent, by source, and whatever comes out of a sequence of them is what sources say."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.core.errors import DataError, Fault, MissingError
from bentsao.knowledge import terms, writing
from bentsao.knowledge.database import StoreError
from bentsao.knowledge.rows import Alias, EntityRow, FactRow, PassageRow, Row, Skipped, SourceInfo
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.writing import import_rows, remove_source
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, TRIAL, entity, put

TABLES = ("source", "term", "entity", "name", "fact", "passage")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kb.sqlite"


def contents(path: Path) -> object:
    """Everything the file says, without its numbers."""
    with closing(sqlite3.connect(path)) as connection:
        facts = connection.execute(
            "SELECT s.text, e.kind, a.name, o.name, o.file, q.text, v.text, f.row FROM fact f "
            "JOIN entity e ON e.id = f.entity JOIN term s ON s.id = e.term JOIN attribute a ON a.id = f.attribute "
            "JOIN source o ON o.id = f.source JOIN term v ON v.id = f.value LEFT JOIN qualifier q ON q.id = f.qualifier"
        )
        names = connection.execute(
            "SELECT t.text, s.text, e.kind, o.name, n.type FROM name n JOIN term t ON t.id = n.term "
            "JOIN entity e ON e.id = n.entity JOIN term s ON s.id = e.term JOIN source o ON o.id = n.source"
        )
        passages = connection.execute("SELECT title, text, keywords, year, row FROM passage")
        return [sorted(map(repr, rows)) for rows in (facts, names, passages)]


def index(path: Path) -> object:
    """What the search index holds: each gram and how many texts it is in."""
    with closing(sqlite3.connect(path)) as connection:
        found: list[object] = []
        for corpus in ("term", "passage"):
            connection.execute(f"INSERT INTO {corpus}_grams ({corpus}_grams) VALUES ('integrity-check')")
            connection.execute(f"CREATE VIRTUAL TABLE temp.{corpus}_words USING fts5vocab(main, {corpus}_grams, 'row')")
            found.append(connection.execute(f"SELECT term, doc FROM {corpus}_words").fetchall())
        return found


def counts(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


def test_the_report_says_what_came_in_and_what_did_not(path: Path) -> None:
    report = put(
        path,
        "甲",
        entity("感冒", ("病因", "病毒"), ("病因", "病毒"), ("病因", " "), ("星座", "白羊座"), also=["伤风", "感冒"]),
        entity("感冒", ("病因", "病毒"), ("病因", "受凉"), ("病因", "\ud800")),
        entity("阿司匹林", ("发病部位", "胃"), kind="drug"),
        entity(" "),
        Skipped("值是句子", "多喝水，早休息。"),
        Skipped("值是句子", "多喝水，早休息。"),
        TRIAL,
    )
    assert (report.entities, report.aliases, report.facts, report.passages) == (2, 1, 2, 1)
    assert report.duplicates == 2
    assert report.skipped == {
        "值是句子": 2,
        "空的名称或值": 2,
        "疾病没有的属性": 1,
        "药物没有的属性": 1,
        "不是合法的 Unicode 文本": 1,
    }
    assert report.examples["疾病没有的属性"] == ("星座",)
    assert report.examples["值是句子"] == ("多喝水，早休息。",)
    assert not report.unchanged
    assert not report.replaced


def test_the_same_file_again_changes_nothing_and_is_not_read(path: Path) -> None:
    put(path, "甲", COLD, FEVER)
    before, size = contents(path), path.stat().st_size

    def never() -> Iterator[Row]:
        raise AssertionError("read")
        yield COLD

    source = SourceInfo(name="甲", file="甲.jsonl", licence="测试用", sha256="6b86b273ff34fce1")
    first = import_rows(path, [COLD, FEVER], source)
    again = import_rows(path, never(), source)
    assert first.replaced
    assert again.unchanged
    assert (again.entities, again.facts) == (0, 0)
    assert contents(path) == before
    assert path.stat().st_size == size


def test_the_same_file_is_read_again_when_asked_for(path: Path) -> None:
    put(path, "甲", COLD)
    report = put(path, "甲", FEVER, again=True)
    assert report.replaced
    with KnowledgeBase.open(path) as kb:
        assert [name for name, *_ in kb.names()] == ["发热", "发烧"]


def test_a_new_file_replaces_the_old_and_entities_keep_their_ids(path: Path) -> None:
    put(path, "甲", COLD, APPENDICITIS)
    put(path, "乙", FEVER)
    with KnowledgeBase.open(path) as kb:
        before = {name: id_ for name, id_, *_ in kb.names()}
        assert put(path, "甲", APPENDICITIS, entity("流感"), edition="2").replaced
        after = {name: id_ for name, id_, *_ in kb.names()}
        assert set(after) == {"急性阑尾炎", "盲肠炎", "流感", "发热", "发烧"}
        assert all(after[name] == before[name] for name in after.keys() & before.keys())
        assert kb.search("伤风") == []
        assert [source.name for source in kb.sources()] == ["乙", "甲"]


def test_removing_a_source_leaves_what_others_say(path: Path) -> None:
    put(path, "甲", COLD, TRIAL)
    alone, found = contents(path), index(path)
    put(path, "乙", entity("感冒", ("病因", "病毒"), ("临床症状及体征", "发热"), also=["小感冒"]), APPENDICITIS)
    remove_source(path, "乙")
    assert contents(path) == alone
    assert index(path) == found


def test_removing_everything_leaves_nothing(path: Path) -> None:
    put(path, "甲", COLD, APPENDICITIS, FEVER, TRIAL)
    remove_source(path, "甲")
    assert counts(path) == dict.fromkeys(TABLES, 0)
    assert index(path) == [[], []]


def test_an_unknown_source_cannot_be_removed(path: Path) -> None:
    put(path, "甲", COLD)
    with pytest.raises(StoreError, match=r"没有来源 '乙'。已有的来源：甲"):
        remove_source(path, "乙")
    with pytest.raises(MissingError, match="找不到知识库"):
        remove_source(path.with_name("none.sqlite"), "甲")
    assert not path.with_name("none.sqlite").exists()


def test_an_error_while_reading_leaves_all_as_it_was(path: Path) -> None:
    put(path, "甲", COLD)
    before = contents(path)

    def broken() -> Iterator[Row]:
        yield APPENDICITIS
        raise DataError([Fault("甲.jsonl", 2, "JSON", "{", "不是合法的 JSON。")])

    with pytest.raises(DataError):
        import_rows(path, broken(), SourceInfo(name="甲", file="甲.jsonl", sha256="2"))
    assert contents(path) == before
    put(path, "甲", FEVER, edition="2")


def test_small_batches_and_a_short_memory_make_the_same_knowledge_base(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [entity(f"病{n}", *(("病因", f"因{n * m % 7}") for m in range(5)), also=[f"因{n % 3}"]) for n in range(40)]
    put(path, "甲", *rows, TRIAL)
    monkeypatch.setattr(writing, "BATCH", 3)
    monkeypatch.setattr(terms, "KNOWN_TERMS", 4)
    put(tmp_path / "other.sqlite", "甲", *rows, TRIAL)
    assert contents(tmp_path / "other.sqlite") == contents(path)
    assert index(tmp_path / "other.sqlite") == index(path)


def test_progress_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BATCH", 2)
    monkeypatch.setattr(writing, "REPORT_EVERY", 2)
    told: list[str] = []
    import_rows(path, [COLD, APPENDICITIS], SourceInfo(name="甲", file="", sha256="1"), told.append)
    assert told == ["甲：已写入 5 条事实", "甲：已写入 7 条事实"]


NAMES = st.sampled_from(["感冒", "流感", "发热", "发烧", "肝癌", "β-内酰胺"])
FACTS = st.builds(
    FactRow,
    attribute=st.sampled_from(["病因", "相关疾病"]),
    value=NAMES | st.sampled_from(["受凉", "病毒", "，"]),
    qualifier=st.sampled_from([None, "儿童"]),
)
ROWS: st.SearchStrategy[Row] = st.builds(
    EntityRow,
    name=NAMES,
    kind=st.sampled_from(["disease", "symptom"]),
    aliases=st.lists(st.builds(Alias, NAMES), max_size=2).map(tuple),
    facts=st.lists(FACTS, max_size=3).map(tuple),
    row=st.integers(1, 9),
) | st.builds(PassageRow, title=NAMES, text=NAMES, row=st.integers(1, 9))
CHANGES = st.tuples(st.sampled_from("甲乙丙"), st.lists(ROWS, max_size=4) | st.none())


@settings(max_examples=20, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_after_any_sequence_the_contents_are_those_of_the_sources_left(
    changes: list[tuple[str, list[Row] | None]],
) -> None:
    left: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        changed, fresh = Path(folder, "changed.sqlite"), Path(folder, "fresh.sqlite")
        for at, (name, rows) in enumerate(changes):
            left.pop(name, None)
            if rows is not None:
                left[name] = rows
                put(changed, name, *rows, edition=str(at))
            elif changed.exists() and name in known_sources(changed):
                remove_source(changed, name)
        KnowledgeBase.open(changed, create=True).close()
        KnowledgeBase.open(fresh, create=True).close()
        for name, rows in left.items():
            put(fresh, name, *rows)
        assert contents(changed) == contents(fresh)
        assert index(changed) == index(fresh)
        assert counts(changed) == counts(fresh)


def known_sources(path: Path) -> set[str]:
    with KnowledgeBase.open(path) as kb:
        return {source.name for source in kb.sources()}


def test_the_report_is_a_record_that_json_can_hold(path: Path) -> None:
    report = put(path, "甲", COLD)
    assert json.loads(report.model_dump_json())["facts"] == 5
