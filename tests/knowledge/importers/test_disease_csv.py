"""The reader of disease.csv on a few rows that show what is odd about it."""

from pathlib import Path

import pytest

from bentsao.core.errors import DataError
from bentsao.knowledge.importers import cells, disease_csv, values
from bentsao.knowledge.rows import EntityRow, FactRow, Skipped

COLUMNS = (
    "name alias part age infection insurance department checklist symptom complication treatment drug period rate money"
)
HEADER = ",".join([*COLUMNS.split(), "", ""])


def rows_of(tmp_path: Path, *lines: str) -> tuple[list[EntityRow], list[Skipped]]:
    path = tmp_path / "disease.csv"
    path.write_bytes("\n".join([HEADER, *lines]).encode("gb18030"))
    rows = list(disease_csv.read(path))
    return [r for r in rows if isinstance(r, EntityRow)], [r for r in rows if isinstance(r, Skipped)]


def facts_of(tmp_path: Path, column: str, cell: str) -> list[tuple[str, str, str | None]]:
    names = HEADER.split(",")
    line = ",".join(["偏头痛", *(f'"{cell}"' if name == column else "" for name in names[1:])])
    entities, _ = rows_of(tmp_path, line)
    return [(fact.attribute, fact.value, fact.qualifier) for fact in entities[0].facts]


def test_a_row(tmp_path: Path) -> None:
    entities, skipped = rows_of(
        tmp_path,
        '乙肝,"乙型肝炎,HBV感染",肝,所有人群，主要见于青少年,有传染性,非医保疾病,传染科 肝病,肝功能 [详细],'
        "乏力 乏力 [详细],暂无相关资料,药物、饮食治疗 [详细],恩替卡韦分散片 注射用盐酸精氨... [详细],3-6月,50%,"
        "市三甲医院约（3000 —— 8000元）,,",
    )
    assert len(entities) == 1
    row = entities[0]
    assert (row.name, row.kind, row.row) == ("乙肝", "disease", 2)
    assert [(a.text, a.type) for a in row.aliases] == [("乙型肝炎", "synonym"), ("HBV感染", "synonym")]
    assert set(row.facts) == {
        FactRow("发病部位", "肝"),
        FactRow("多发群体", "无特定人群"),
        FactRow("多发群体", "青少年"),
        FactRow("传染性", "有传染性"),
        FactRow("是否医保", "非医保疾病"),
        FactRow("所属科室", "传染科"),
        FactRow("所属科室", "肝病科"),
        FactRow("检查", "肝功能"),
        FactRow("临床症状及体征", "乏力"),
        FactRow("治疗方案", "药物治疗"),
        FactRow("治疗方案", "饮食治疗"),
        FactRow("药物治疗", "恩替卡韦分散片"),
        FactRow("治疗周期", "3~6月"),
        FactRow("治愈率", "50%"),
        FactRow("治疗费用", "3000~8000元", "市三甲医院"),
    }
    assert {(s.reason, s.value) for s in skipped} == {
        (values.REPEATED, "乏力"),
        (values.PLACEHOLDER, "暂无相关资料"),
        (values.CUT, "注射用盐酸精氨..."),
    }


@pytest.mark.parametrize(
    ("cell", "values_"),
    [
        ("维生素 C 葡萄糖", ["维生素C", "葡萄糖"]),
        ("冲洗液 尿 道 导 管", ["冲洗液", "尿道导管"]),
        ("超广谱β -内酰胺酶", ["超广谱β-内酰胺酶"]),
        (">> 应该如何用药？用什么药？ [详细]", []),
    ],
)
def test_names_with_a_blank_inside(tmp_path: Path, cell: str, values_: list[str]) -> None:
    assert [value for _, value, _ in facts_of(tmp_path, "drug", cell)] == values_


def test_two_single_characters_are_two_diseases(tmp_path: Path) -> None:
    assert [value for _, value, _ in facts_of(tmp_path, "complication", "疖 痈")] == ["疖", "痈"]


@pytest.mark.parametrize(
    ("cell", "facts"),
    [
        ("无传染性", [("传染性", "无传染性", None)]),
        ("发病原因不明，与慢性炎症有关，无传染性", [("传染性", "无传染性", None)]),
        ("该病不具备传染性", [("传染性", "无传染性", None)]),
        ("淋巴结核不传染", [("传染性", "无传染性", None)]),
        ("无", [("传染性", "无传染性", None)]),
        ("是", [("传染性", "有传染性", None)]),
        ("1、粪口传播 2、输血传播", [("传播途径", "粪口传播", None), ("传播途径", "输血传播", None)]),
        ("性传播、接触传染", [("传播途径", "性传播", None), ("传播途径", "接触传播", None)]),
        ("发病初期有传染性，慢性中耳炎无传染性", []),
        ("病毒感染。", []),
    ],
)
def test_infection(tmp_path: Path, cell: str, facts: list[tuple[str, str, str | None]]) -> None:
    assert facts_of(tmp_path, "infection", cell) == facts


def test_the_special_department_only(tmp_path: Path) -> None:
    assert facts_of(tmp_path, "department", "内科  神经内科") == [("所属科室", "神经内科", None)]
    assert len(facts_of(tmp_path, "department", "传染科 儿科")) == 2


@pytest.mark.parametrize(
    ("column", "cell", "facts"),
    [
        ("period", "1--3个月。", [("治疗周期", "1~3个月", None)]),
        ("period", "75%-85%", []),
        ("rate", "30--50%", [("治愈率", "30~50%", None)]),
        ("rate", "无法根治，对症治疗为主", [("预后状况", "无法根治，对症治疗为主", None)]),
        ("rate", "治疗后5年生存率在60%左右", []),
        ("rate", "本病一般经过治疗后，一般治愈率在", []),
        ("money", "市三甲医院约（5000——1000元）", []),
        ("money", "根据不同医院，收费标准不一致", []),
        ("money", "8-10万", [("治疗费用", "8~10万元", None)]),
    ],
)
def test_measures(tmp_path: Path, column: str, cell: str, facts: list[tuple[str, str, str | None]]) -> None:
    assert facts_of(tmp_path, column, cell) == facts


def test_names_that_were_cut_and_rows_that_slipped(tmp_path: Path) -> None:
    blanks = "," * (HEADER.count(",") - 1)
    entities, skipped = rows_of(
        tmp_path, f" 老年人原发性...,{blanks}", f"2-10天{blanks}, 三叉神经痛", f" 癫痫,{blanks}"
    )
    assert [row.name for row in entities] == ["癫痫"]
    assert [(s.reason, s.row) for s in skipped] == [(f"名称：{values.CUT}", 2), (disease_csv.SHIFTED, 3)]


def test_reasons_are_counted_where_amounts_are_missing(tmp_path: Path) -> None:
    _, skipped = rows_of(tmp_path, "偏头痛" + "," * 14 + "费用不同,,")
    assert [s.reason for s in skipped] == [cells.NO_AMOUNT]


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="表头"):
        list(disease_csv.read(path))
