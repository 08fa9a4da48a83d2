"""Whatever a file holds, a reader gives rows, or one of the project's own errors; never another exception."""

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.core.errors import DataError, MissingError
from bentsao.knowledge.importers import (
    READERS,
    cmekg,
    detect,
    disease_csv,
    drug_text,
    literature,
    medical_json,
    triples,
)
from bentsao.knowledge.rows import EntityRow, PassageRow, Skipped
from bentsao.knowledge.schema import ATTRIBUTES, KINDS

SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt")

KEYS = sorted(
    {
        "中心词",
        "类别",
        "值",
        "限定",
        "标题",
        "结论",
        "关键词",
        "年份",
        "属性",
        "实体",
        "text",
        "spo_list",
        "name",
        "desc",
    }
    | {"subject", "subject_type", "predicate", "object", "@value", "object_type"}
    | set(list(ATTRIBUTES)[::5])
    | set(list(disease_csv.COLUMNS)[::2])
    | set(list(medical_json.FIELDS)[::2])
)
WORDS = [
    "疾病",
    "偏头痛",
    "[详细]",
    "头痛 恶心",
    "盐酸...",
    "暂无相关资料",
    "1.口服：(1)成人：每次10mg。2.",
    "无传染性",
    "",
    " ",
]

texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)),
    max_leaves=12,
)
tables = st.lists(
    st.lists(
        st.one_of(st.sampled_from([*disease_csv.COLUMNS, "name", "实体", "属性", "值", *WORDS]), texts), max_size=6
    ),
    max_size=4,
)
monographs = st.builds(
    lambda name, fields: "\n".join([name, *(f"{key}:{value}" for key, value in fields)]),
    texts,
    st.lists(
        st.tuples(
            st.sampled_from([*drug_text.FIELDS, "专家点评"]),
            st.text("1.2(3)①②：。、，；引起的用于禁用慎偶见脉", max_size=40),
        )
    ),
)


def read_all(read: Callable[[Path], object], content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"soup{suffix}"
        path.write_bytes(content)
        try:
            rows = list(read(path))  # type: ignore[call-overload]
        except (DataError, MissingError):
            return
    for row in rows:
        assert isinstance(row, EntityRow | PassageRow | Skipped)
        if isinstance(row, EntityRow):
            assert row.kind in KINDS
            written = [row.name, *(alias.text for alias in row.aliases)]
            for fact in row.facts:
                assert fact.attribute in ATTRIBUTES
                written += [fact.value] if fact.qualifier is None else [fact.value, fact.qualifier]
            for text in written:
                assert text
                assert text.strip() == text
                assert text.encode()  # no half of a surrogate pair, which no database takes


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from(SUFFIXES))
def test_bytes(name: str, content: bytes, suffix: str) -> None:
    read_all(READERS[name].read, content, suffix)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(json_values, max_size=4), lines=st.booleans())
def test_json(name: str, rows: list[object], lines: bool) -> None:
    content = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    read_all(READERS[name].read, content.encode(), ".jsonl" if lines else ".json")


@pytest.mark.parametrize("name", ["disease_csv", "triples", "literature", "table"])
@settings(max_examples=60, deadline=None)
@given(rows=tables, tabs=st.booleans())
def test_tables(name: str, rows: list[list[str]], tabs: bool) -> None:
    content = "\n".join(("\t" if tabs else ",").join(row) for row in rows)
    read_all(READERS[name].read, content.encode("utf-8", "surrogatepass"), ".tsv" if tabs else ".csv")


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(monographs, min_size=1, max_size=3))
def test_monographs(texts: list[str]) -> None:
    read_all(drug_text.read, json.dumps(texts).encode(), ".json")


@settings(max_examples=80, deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from(SUFFIXES))
def test_detecting_bytes(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"soup{suffix}"
        path.write_bytes(content)
        with suppress(DataError):
            assert detect(path) in READERS


@pytest.mark.parametrize("read", [*(reader.read for reader in READERS.values()), detect])
def test_no_file(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        list(read(tmp_path / "none.csv"))  # type: ignore[call-overload]


def test_the_modules_are_the_readers() -> None:
    assert READERS["cmekg"].read is cmekg.read
    assert READERS["literature"].read is literature.read
    assert READERS["triples"].read is triples.read
