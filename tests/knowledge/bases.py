"""Small knowledge bases for the tests of this room's store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bentsao.core.files import sha256_text
from bentsao.knowledge.rows import Alias, EntityRow, FactRow, PassageRow, Row, SourceInfo
from bentsao.knowledge.schema import Kind
from bentsao.knowledge.writing import ImportReport, import_rows


def entity(name: str, *facts: tuple[str, ...], kind: Kind = "disease", also: Iterable[str] = (), row: int = 1) -> Row:
    """A row: facts as (attribute, value) or (attribute, value, qualifier), `also` as synonyms."""
    return EntityRow(name, kind, tuple(Alias(text) for text in also), tuple(FactRow(*fact) for fact in facts), row)


def put(path: Path, name: str, *rows: Row, edition: str = "1", again: bool = False) -> ImportReport:
    """Import rows as a source of this name; another edition is another file."""
    source = SourceInfo(name=name, file=f"{name}.jsonl", licence="测试用", sha256=sha256_text(edition))
    return import_rows(path, rows, source, again=again)


COLD = entity(
    "感冒",
    ("临床症状及体征", "鼻塞"),
    ("临床症状及体征", "发热"),
    ("药物治疗", "对乙酰氨基酚"),
    ("药物治疗", "布洛芬混悬液", "儿童"),
    ("药物治疗", "氯苯那敏"),
    also=["上呼吸道感染", "伤风"],
    row=3,
)
APPENDICITIS = entity(
    "急性阑尾炎", ("临床症状及体征", "转移性右下腹痛"), ("临床症状及体征", "发热"), also=["盲肠炎"], row=4
)
FEVER = entity("发热", ("相关疾病", "感冒"), kind="symptom", also=["发烧"], row=5)
TRIAL = PassageRow(
    "SHARP试验：索拉非尼治疗晚期肝细胞癌",
    "索拉非尼组中位总生存期为10.7个月，安慰剂组为7.9个月。",
    ("肝细胞癌", "索拉非尼"),
    "N Engl J Med",
    2008,
    "359:378-390",
    "doi:10.1056/NEJMoa0708857",
    row=6,
)


ROWS_OF_EDITION = {"1": 100, "2": 1200}


def _rows_of(edition: str) -> Iterator[Row]:
    for number in range(ROWS_OF_EDITION[edition]):
        facts = [("病因", f"第{edition}版的病因{number}与{m}") for m in range(5)]
        yield entity(f"病{number}", *facts, also=[f"又名{edition}号{number}"], row=number + 1)


def import_edition(path: Path, edition: str) -> None:
    """Import one edition of source 甲: many entities with facts that name the edition."""
    import_rows(path, _rows_of(edition), SourceInfo(name="甲", file=f"{edition}.jsonl", sha256=sha256_text(edition)))
