from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError, DataError
from bentsao.knowledge.importers import detect, wide_table
from bentsao.knowledge.rows import EntityRow, Row, Skipped


def table(folder: Path, text: str) -> Path:
    path = folder / "表.csv"
    path.write_text(text, encoding="gb18030")
    return path


def facts(rows: Sequence[Row]) -> dict[str, list[tuple[str, str]]]:
    return {
        row.name: [(fact.attribute, fact.value) for fact in row.facts] for row in rows if isinstance(row, EntityRow)
    }


def test_a_column_for_each_attribute(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "疾病,又名,症状,检查,常用药,科室\n"
        "偏头痛,血管性头痛,搏动性头痛；恶心、畏光,头颅MRI,布洛芬,神经内科\n"
        '胃溃疡,,"上腹痛\n反酸",胃镜,,消化内科\n',
    )
    assert detect(path) == "table"
    rows = list(wide_table.read(path))
    assert facts(rows) == {
        "偏头痛": [
            *(("临床症状及体征", value) for value in ("搏动性头痛", "恶心", "畏光")),
            ("检查", "头颅MRI"),
            ("所属科室", "神经内科"),
        ],
        "胃溃疡": [
            *(("临床症状及体征", value) for value in ("上腹痛", "反酸")),
            ("检查", "胃镜"),
            ("所属科室", "消化内科"),
        ],
    }
    first = rows[0]
    assert isinstance(first, EntityRow)
    assert [alias.text for alias in first.aliases] == ["血管性头痛"]
    assert [(row.reason, row.value) for row in rows if isinstance(row, Skipped)] == [
        ("没有对应的属性：常用药", "布洛芬")
    ]


def test_the_column_of_names_says_what_they_are(tmp_path: Path) -> None:
    path = table(tmp_path, "药品名称,适应症,用法用量,禁忌\n布洛芬,头痛、牙痛,每次0.2g，每日3次；饭后服,活动性溃疡\n")
    (row,) = wide_table.read(path)
    assert isinstance(row, EntityRow)
    assert row.kind == "drug"
    assert [fact.value for fact in row.facts] == ["头痛", "牙痛", "每次0.2g，每日3次", "饭后服", "活动性溃疡"]


def test_a_column_of_kinds_goes_before(tmp_path: Path) -> None:
    path = table(tmp_path, "名称,类别,科室\n头痛,症状,神经内科\n偏头痛,,神经内科\n")
    assert [row.kind for row in wide_table.read(path) if isinstance(row, EntityRow)] == ["symptom", "disease"]
    with pytest.raises(DataError, match=r"表.csv:2 .*类别.*'怪'"):
        list(wide_table.read(table(tmp_path, "名称,类别,科室\n头痛,怪,神经内科\n偏头痛,怪2,神经内科\n")))
    with pytest.raises(DataError, match=r"字段 Kind .*--columns 属性=列名"):
        list(wide_table.read(table(tmp_path, "名称,Kind,适应症\n阿莫西林,处方药,感染\n")))


def test_a_column_of_types_has_kinds_or_is_one_like_others(tmp_path: Path) -> None:
    path = table(tmp_path, "名称,类型,适应症\n阿莫西林,处方药,感染\n布洛芬,其他,头痛\n")
    assert facts(list(wide_table.read(path))) == {
        "阿莫西林": [("分类", "处方药"), ("适应症", "感染")],
        "布洛芬": [("分类", "其他"), ("适应症", "头痛")],
    }
    path = table(tmp_path, "名称,类型,适应症\n阿莫西林,药品,感染\n头痛,症状,\n")
    assert [row.kind for row in wide_table.read(path) if isinstance(row, EntityRow)] == ["drug", "symptom"]


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    path = table(tmp_path, "病种,主诉,首选\n偏头痛,搏动性头痛,布洛芬\n")
    with pytest.raises(DataError, match="--columns"):
        detect(path)
    with pytest.raises(DataError, match="--columns 名称=列名"):
        list(wide_table.read(path))
    rows = list(wide_table.read(path, {"名称": "病种", "症状": "主诉", "药物治疗": "首选"}))
    assert facts(rows) == {"偏头痛": [("临床症状及体征", "搏动性头痛"), ("药物治疗", "布洛芬")]}
    with pytest.raises(ConfigError, match="没有这些列：没有的"):
        list(wide_table.read(path, {"名称": "没有的"}))
    with pytest.raises(ConfigError, match=r"不认识 颜色.*药物治疗"):
        list(wide_table.read(path, {"名称": "病种", "颜色": "主诉"}))


def test_a_comma_between_figures_or_letters_parts_nothing(tmp_path: Path) -> None:
    path = table(tmp_path, '疾病,费用,检查,疗程\n佝偻病,"1,000-2,000元","1,25-二羟维生素D3,血钙","1,2周"\n')
    (row,) = (row for row in wide_table.read(path) if isinstance(row, EntityRow))
    assert [(fact.attribute, fact.value) for fact in row.facts] == [
        ("治疗费用", "1,000-2,000元"),
        ("检查", "1,25-二羟维生素D3"),
        ("检查", "血钙"),
        ("治疗周期", "1,2周"),
    ]


@pytest.mark.parametrize(
    ("header", "name", "kind"),
    [
        ("序号,症状,诊断,疾病", "丁", "disease"),
        ("名称,适应症,不良反应,用法用量", "甲", "drug"),
        ("名称,症状,检查,科室", "甲", "disease"),
        ("药品名称,类型,适应症,规格", "甲", "drug"),
    ],
)
def test_whose_names_and_of_what_kind(tmp_path: Path, header: str, name: str, kind: str) -> None:
    rows = [
        row for row in wide_table.read(table(tmp_path, f"{header}\n甲,乙乙,丙丙,丁\n")) if isinstance(row, EntityRow)
    ]
    assert [(row.name, row.kind) for row in rows] == [(name, kind)]


def test_a_word_for_yes_or_no_is_an_answer(tmp_path: Path) -> None:
    path = table(tmp_path, "疾病,传染性,医保\n痛风,无,是\n流感,有,否\n麻疹,呼吸道传播,\n")
    assert [[value for _, value in found] for found in facts(list(wide_table.read(path))).values()] == [
        ["无传染性", "医保疾病"],
        ["有传染性", "非医保疾病"],
        ["呼吸道传播"],
    ]


def test_a_quote_that_swallows_rows_is_a_fault_and_lines_in_a_cell_are_none(tmp_path: Path) -> None:
    path = table(tmp_path, '疾病,别名,症状\n甲病,"乙病,口痛\n丙病,丁病,头痛\n戊病,"己病",腹痛\n')
    with pytest.raises(DataError, match=r"表.csv:2 .*引号没有配对：第 2 行到第 4 行") as caught:
        list(wide_table.read(path))
    assert len(caught.value.faults) == 1
    good = table(tmp_path, '疾病,别名,症状\n甲病,,"口痛\n牙痛\n怕冷、怕热"\n')
    assert [value for _, value in facts(list(wide_table.read(good)))["甲病"]] == ["口痛", "牙痛", "怕冷", "怕热"]


def test_an_attribute_of_other_kinds_says_whose_it_is(tmp_path: Path) -> None:
    path = table(tmp_path, "疾病,症状,备注\n感冒,流涕,多喝水\n")
    rows = list(wide_table.read(path, {"名称": "疾病", "注意事项": "备注"}))
    assert [row.reason for row in rows if isinstance(row, Skipped)] == ["没有对应的属性：注意事项（只有药物、检查有）"]


def test_nothing_is_lost_in_silence(tmp_path: Path) -> None:
    path = table(tmp_path, "疾病,症状,\n偏头痛,头痛,无名,多出\n,发热\n")
    rows = list(wide_table.read(path))
    reasons = [row.reason for row in rows if isinstance(row, Skipped)]
    assert reasons == ["没有对应的属性：（没有列名）", "比表头多出的格子", "名称：空值"]


def test_excel_files_are_told_apart_from_text(tmp_path: Path) -> None:
    path = tmp_path / "表.xlsx"
    path.write_bytes(b"PK\x03\x04\x14\x00")
    with pytest.raises(DataError, match="另存为 UTF-8 的 CSV"):
        detect(path)
