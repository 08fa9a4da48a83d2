"""Exports: what is written can be read back, with nothing lost but what the form cannot hold."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentsao.core.errors import ConfigError
from bentsao.core.files import read_text
from bentsao.knowledge.compare import compare
from bentsao.knowledge.export import FORMS, export
from bentsao.knowledge.importers import READERS, detect
from bentsao.knowledge.importers.tables import iterate_table
from bentsao.knowledge.rows import Alias, EntityRow, FactRow, Row
from bentsao.knowledge.schema import ATTRIBUTES, Kind
from bentsao.knowledge.store import KnowledgeBase
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, TRIAL, entity, put

ALONE = entity("无人提起的病")


def exported(folder: Path, form: str, name: str, *rows: Row) -> Path:
    put(folder / "kb.sqlite", "甲", *rows)
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        export(kb, folder / name, form)
    return folder / name


def differences(folder: Path, *files: Path) -> list[str]:
    """What differs between the knowledge base in the folder and one made of these files."""
    for file in files:
        put(folder / "back.sqlite", file.name, *READERS[detect(file)].read(file))
    with (
        KnowledgeBase.open(folder / "kb.sqlite") as kb,
        KnowledgeBase.open(folder / "back.sqlite") as back,
    ):
        return [str(change) for change in compare(kb, back)]


def test_cmekg_lines_and_literature_are_read_back_whole(tmp_path: Path) -> None:
    rows = (COLD, APPENDICITIS, FEVER, TRIAL, ALONE)
    lines = exported(tmp_path, "jsonl", "kb.jsonl", *rows)
    literature = exported(tmp_path, "literature", "lit.jsonl", *rows)
    assert differences(tmp_path, lines, literature) == []


def test_triples_are_read_back_whole_and_carry_their_sources(tmp_path: Path) -> None:
    table = exported(tmp_path, "csv", "kb.csv", COLD, APPENDICITIS, FEVER, ALONE)
    assert differences(tmp_path, table) == []
    rows = list(csv.DictReader(read_text(table).splitlines()))
    child = next(row for row in rows if row["值"] == "布洛芬混悬液")
    assert child == {
        "实体": "感冒",
        "类别": "疾病",
        "属性": "药物治疗",
        "值": "布洛芬混悬液",
        "限定": "儿童",
        "来源": "甲",
        "文件": "甲.jsonl",
        "行": "3",
        "许可": "测试用",
    }


def test_no_cell_is_a_formula_and_all_are_read_back(tmp_path: Path) -> None:
    """A spreadsheet would work out `=HYPERLINK(…)` and start programs from `=cmd|…`."""
    values = ("+1+1", "@SUM(1)", "-3℃", "=1+1", "'=1+1", "胃镜")
    put(tmp_path / "a.kb", "甲", entity("=胃溃疡", *(("检查", value) for value in values)))
    with KnowledgeBase.open(tmp_path / "a.kb") as kb:
        export(kb, tmp_path / "a.csv", "csv")
    rows = list(csv.reader((tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 1 + len(values)
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@")]
    back = [cells for _, cells in iterate_table(tmp_path / "a.csv")]
    assert [row[0] for row in back[1:]] == ["=胃溃疡"] * len(values)
    assert {row[3] for row in back[1:]} == set(values)


def test_values_of_several_sources_stand_once_in_a_line(tmp_path: Path) -> None:
    put(tmp_path / "kb.sqlite", "乙", entity("感冒", ("药物治疗", "氯苯那敏")))
    line = read_text(exported(tmp_path, "jsonl", "kb.jsonl", COLD))
    assert line.count("氯苯那敏") == 1


def test_neo4j_has_a_node_for_all_that_relationships_join(tmp_path: Path) -> None:
    folder = exported(tmp_path, "neo4j", "neo", COLD, APPENDICITIS, FEVER, TRIAL)
    nodes = list(csv.DictReader(read_text(folder / "nodes.csv").splitlines()))
    relationships = list(csv.DictReader(read_text(folder / "relationships.csv").splitlines()))
    called = {node["id:ID"]: (node["name"], node[":LABEL"]) for node in nodes}
    assert len(called) == len(nodes)
    joined = [(called[r[":START_ID"]], r[":TYPE"], called[r[":END_ID"]], r["qualifier"]) for r in relationships]
    assert (("感冒", "疾病"), "临床症状及体征", ("发热", "症状"), "") in joined
    assert (("感冒", "疾病"), "药物治疗", ("布洛芬混悬液", "药物"), "儿童") in joined
    assert Counter(name for name, _ in called.values())["发热"] == 1
    assert len(joined) == 8
    assert next(node for node in nodes if node["name"] == "感冒")["aliases:string[]"] == "上呼吸道感染;伤风"


def test_what_a_form_cannot_hold_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "kb.sqlite", "甲", COLD, TRIAL)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        done = {form: export(kb, tmp_path / f"out.{form}", form) for form in FORMS}
    assert {form: (one.entities, one.facts, one.passages, one.left_out) for form, one in done.items()} == {
        "jsonl": (1, 5, 0, 1),
        "csv": (1, 5, 0, 1),
        "neo4j": (1, 5, 0, 1),
        "literature": (0, 0, 1, 0),
    }


def test_nothing_of_the_users_is_overwritten(tmp_path: Path) -> None:
    put(tmp_path / "kb.sqlite", "甲", COLD)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "论文.docx").write_bytes(b"")
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        with pytest.raises(ConfigError, match="别的文件"):
            export(kb, tmp_path / "theirs", "neo4j")
        with pytest.raises(ConfigError, match="是一个目录"):
            export(kb, tmp_path / "theirs", "csv")
        with pytest.raises(ConfigError, match="不认识导出格式 'xml'"):
            export(kb, tmp_path / "kb.xml", "xml")
        for _ in range(2):  # our own files are
            export(kb, tmp_path / "ours", "neo4j")
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["论文.docx"]


_NAMES = st.text("甲乙丙丁戊己庚辛壬癸αβ12()，\"';|/", min_size=1, max_size=12).filter(
    lambda text: text[0] in "甲乙丙丁" and text[-1] in "戊己庚辛" and "，" not in text and text.isprintable()
)


@st.composite
def _entities(draw: st.DrawFn) -> EntityRow:
    kind: Kind = draw(st.sampled_from(["disease", "drug", "symptom"]))
    possible = [name for name, attribute in ATTRIBUTES.items() if kind in attribute.kinds]
    qualifiers = st.none() | _NAMES
    facts = st.lists(st.builds(FactRow, st.sampled_from(possible), _NAMES, qualifiers), max_size=6)
    aliases = st.lists(st.builds(Alias, _NAMES, st.sampled_from(["synonym", "colloquial", "brand", "english"])))
    return EntityRow(draw(_NAMES), kind, tuple(draw(aliases)), tuple(draw(facts)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(rows=st.lists(_entities(), max_size=5))
def test_any_contents_come_back(rows: list[EntityRow], tmp_path_factory: pytest.TempPathFactory) -> None:
    sound = [row for row in rows if not any(_unsound(text) for text in _texts(row))]
    for form, name in (("jsonl", "kb.jsonl"), ("csv", "kb.csv")):
        folder = tmp_path_factory.mktemp(form)
        put(folder / "back.sqlite", "空")
        file = exported(folder, form, name, *sound)
        assert not sound or differences(folder, file) == []


def _texts(row: EntityRow) -> list[str]:
    qualifiers = [fact.qualifier for fact in row.facts if fact.qualifier]
    return [row.name, *(alias.text for alias in row.aliases), *(fact.value for fact in row.facts), *qualifiers]


def _unsound(text: str) -> bool:
    """What readers refuse or mend: sentences, brackets without their partners."""
    return ";" in text or text.count("(") != text.count(")") or ")" in text[: text.find("(") + 1]
