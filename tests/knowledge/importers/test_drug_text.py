"""Drug monographs: numbered points, sentences taken apart, dangerous text left out."""

import json
from pathlib import Path

import pytest

from bentsao.core.errors import DataError
from bentsao.knowledge.importers import drug_text, phrases, values
from bentsao.knowledge.importers.outline import Clause, clauses
from bentsao.knowledge.rows import EntityRow, Skipped


def read(tmp_path: Path, *monographs: str) -> tuple[list[EntityRow], list[Skipped]]:
    path = tmp_path / "drug.json"
    path.write_text(json.dumps(monographs, ensure_ascii=False), encoding="utf-8")
    rows = list(drug_text.read(path))
    return [r for r in rows if isinstance(r, EntityRow)], [r for r in rows if isinstance(r, Skipped)]


def facts(tmp_path: Path, line: str) -> list[tuple[str, str, str | None]]:
    entities, _ = read(tmp_path, f"某药\n{line}")
    return [(fact.attribute, fact.value, fact.qualifier) for fact in entities[0].facts]


def test_a_monograph(tmp_path: Path) -> None:
    entities, skipped = read(
        tmp_path,
        "利可君\n药品类型:血液系统药物，促进白细胞增生药\n英文名:Leucogen\n别名:利血生；Leucoson\n剂型:片剂：10mg，20mg。\n"
        "适应证:用于防治各种原因引起的白细胞减少、再生障碍性贫血等。\n禁忌证:尚不明确。\n药物相互作用:参见氢氯噻嗪。\n"
        "用法用量:口服给药：1.成人：每次10～20mg，每天3次。2.儿童：每次10mg。",
    )
    row = entities[0]
    assert (row.name, row.kind, row.row) == ("利可君", "drug", 1)
    assert [(a.text, a.type) for a in row.aliases] == [
        ("Leucogen", "english"),
        ("利血生", "synonym"),
        ("Leucoson", "english"),
    ]
    assert [(f.attribute, f.value, f.qualifier) for f in row.facts] == [
        ("分类", "血液系统药物", None),
        ("分类", "促进白细胞增生药", None),
        ("剂型", "片剂", None),
        ("适应症", "白细胞减少", None),
        ("适应症", "再生障碍性贫血", None),
        ("用法用量", "口服给药：每次10～20mg，每天3次", "成人"),
        ("用法用量", "口服给药：每次10mg", "儿童"),
    ]
    assert [s.reason for s in skipped] == [values.PLACEHOLDER, drug_text.SEE_OTHER]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("禁忌证:对本品过敏者、孕妇禁用。", [("禁忌证", "对本品过敏", None), ("禁忌证", "孕妇", None)]),
        ("禁忌证:严重肝、肾功能不全患者禁用。", [("禁忌证", "严重肝、肾功能不全", None)]),
        ("禁忌证:青光眼患者慎用。", [("注意事项", "青光眼慎用", None)]),
        ("不良反应:偶见胃部不适、腹泻。", [("不良反应", "胃部不适", "偶见"), ("不良反应", "腹泻", "偶见")]),
        ("不良反应:参见：富马酸亚铁", []),
        ("注意事项:孕妇禁用。", [("孕妇用药", "孕妇禁用", None)]),
        (
            "注意事项:1.慎用：肝病。2.药物对儿童的影响：安全性未确定。",
            [("注意事项", "慎用：肝病", None), ("儿童用药", "安全性未确定", None)],
        ),
        ("适应证:用于外感风热引起的发热，咽痛。", [("适应症", "发热", "外感风热"), ("适应症", "咽痛", "外感风热")]),
        ("适应证:用于哮喘；也用于变应性鼻炎。", [("适应症", "哮喘", None), ("适应症", "变应性鼻炎", None)]),
        (
            "适应证:用于气血两虚，表现为头晕、舌淡、脉细。",
            [("适应症", "气血两虚", None), ("适应症", "头晕", "气血两虚")],
        ),
    ],
)
def test_fields(tmp_path: Path, line: str, expected: list[tuple[str, str, str | None]]) -> None:
    assert facts(tmp_path, line) == expected


@pytest.mark.parametrize("line", ["用法用量:静滴：每次100mg/m", "用法用量:白细胞低于3.5×10/L时停药"])
def test_a_dose_whose_unit_was_lost_is_left_out(tmp_path: Path, line: str) -> None:
    entities, skipped = read(tmp_path, f"某药\n{line}")
    assert not entities[0].facts
    assert [s.reason for s in skipped] == [drug_text.UNIT_LOST]


def test_a_flat_power_is_raised_again(tmp_path: Path) -> None:
    (fact,) = facts(tmp_path, "注意事项:血小板低于50×109/L者停药")
    assert fact[1] == "血小板低于50×10^9/L者停药"


@pytest.mark.parametrize("trace", ["专家点评:疗效较好", "注意事项:孕妇禁\x06用", "注意事项:孕妇禁用【不良反应】恶心"])
def test_scrambled_text_gives_names_only(tmp_path: Path, trace: str) -> None:
    entities, skipped = read(tmp_path, f"某药\n别名:某某\n用法用量:每次10mg\n{trace}")
    assert [a.text for a in entities[0].aliases] == ["某某"]
    assert not entities[0].facts
    assert drug_text.SCRAMBLED in {s.reason for s in skipped}


def test_a_monograph_that_lost_its_name(tmp_path: Path) -> None:
    entities, skipped = read(tmp_path, "【别名】维生素B4；腺嘌呤\n用法用量:每次10mg")
    assert not entities
    assert [s.reason for s in skipped] == [f"名称：{values.EMPTY}"]


def test_what_is_no_monograph_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "drug.json"
    path.write_text('["某药", 3, "甲\\n别名:乙"]', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(drug_text.read(path))
    assert [fault.item for fault in caught.value.faults] == [1, 2]


def test_outline() -> None:
    text = "说明。1.口服：(1)成人：每次0.1g，每天1.5g。(2)儿童：减半。2.静脉注射：①缓慢。②避光"
    assert list(clauses(text)) == [
        Clause((), "说明"),
        Clause(("口服", "成人"), "每次0.1g，每天1.5g"),
        Clause(("口服", "儿童"), "减半"),
        Clause(("静脉注射",), "缓慢"),
        Clause(("静脉注射",), "避光"),
    ]


@pytest.mark.parametrize("text", ["静滴，1.5g，2.0g", "1.5g一次", "只有1.一点"])
def test_a_decimal_is_no_point(text: str) -> None:
    assert list(clauses(text)) == [Clause((), text)]


@pytest.mark.parametrize(
    "sentence", ["本方为滋补强壮之剂", "白细胞、血小板减少", "忌与氯霉素、双嘧达莫配伍", "急性和慢性肝炎患者的化疗辅助"]
)
def test_what_is_no_enumeration_is_left_whole(sentence: str) -> None:
    assert phrases.reactions(sentence) is None or phrases.indications(sentence) is None
