"""The readers of JSON forms and triples, each on a few rows."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from bentsao.core.errors import ConfigError, DataError
from bentsao.knowledge.importers import READERS, cells, cmeie, cmekg, detect, literature, medical_json, triples, values
from bentsao.knowledge.rows import Alias, EntityRow, FactRow, PassageRow, Skipped


def write(tmp_path: Path, *rows: Any, name: str = "file.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


# --- CMeKG -----------------------------------------------------------------------------------------------------------


def test_cmekg(tmp_path: Path) -> None:
    row = {
        "中心词": "偏头痛",
        "类别": "疾病",
        "俗名": ["偏头疼"],
        "ICD-10": ["G43"],
        "临床表现": ["恶心", "恶心"],
        "药物治疗": [{"值": "布洛芬", "限定": "轻中度发作"}, "曲普坦类"],
        "来源": "某书",
    }
    entity, *skipped = cmekg.read(write(tmp_path, row))
    assert entity == EntityRow(
        "偏头痛",
        "disease",
        (Alias("偏头疼", "colloquial"),),
        (
            FactRow("ICD-10", "G43"),
            FactRow("临床症状及体征", "恶心"),
            FactRow("药物治疗", "布洛芬", "轻中度发作"),
            FactRow("药物治疗", "曲普坦类"),
        ),
        1,
    )
    assert [s.reason for s in skipped if isinstance(s, Skipped)] == [values.REPEATED, values.UNMAPPED + "来源"]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"中心词": "偏头痛", "相关疾病": ["脑梗死"], "所属科室": ["神经内科"]}, "disease"),
        ({"中心词": "布洛芬", "成份": ["布洛芬"]}, "drug"),
        ({"中心词": "头痛", "伴随症状": ["恶心"]}, "symptom"),
        ({"中心词": "眼科", "诊治疾病": ["白内障"]}, "department"),
        ({"中心词": "胃镜", "类别": "examination"}, "examination"),
    ],
)
def test_cmekg_kinds(tmp_path: Path, row: dict[str, Any], kind: str) -> None:
    (entity,) = cmekg.read(write(tmp_path, row))
    assert isinstance(entity, EntityRow)
    assert entity.kind == kind


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"同义词": []}, "中心词"),
        ({"中心词": " "}, "中心词"),
        ({"中心词": "甲", "类别": "星座"}, "类别"),
        ({"中心词": "甲", "类别": 3}, "类别"),
        ({"中心词": "甲", "病因": [{"value": "乙"}]}, "病因"),
        ({"中心词": "甲", "病因": [{"值": "乙", "限定": 3}]}, "病因"),
        ({"中心词": "甲", "病因": [["乙"]]}, "病因"),
        ({"中心词": "甲", "病因": True}, "病因"),
        (3, "行"),
    ],
)
def test_cmekg_faults_are_told_all_at_once(tmp_path: Path, row: Any, field: str) -> None:
    with pytest.raises(DataError) as caught:
        list(cmekg.read(write(tmp_path, row, {"中心词": "好"}, row)))
    assert [(fault.field, fault.line) for fault in caught.value.faults] == [(field, 1), (field, 3)]


# --- CMeIE -----------------------------------------------------------------------------------------------------------


def spo(subject: str, predicate: str, said: str, kind: str = "疾病") -> dict[str, Any]:
    return {
        "subject": subject,
        "subject_type": kind,
        "predicate": predicate,
        "object": {"@value": said},
        "object_type": {"@value": "其他"},
    }


def test_cmeie(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {
            "text": "…",
            "spo_list": [
                spo("法洛四联症", "同义词", "TOF"),
                spo("TOF", "临床表现", "青紫"),
                spo("本病", "病因", "遗传"),
            ],
        },
        {
            "text": "…",
            "spo_list": [
                spo("癌症", "阶段", "T3"),
                spo("癌症", "怪谓词", "甲"),
                spo("吡喹酮", "同义词", "PZQ", "药物"),
            ],
        },
    )
    rows = list(cmeie.read(path))
    assert rows == [
        EntityRow("法洛四联症", "disease", (Alias("TOF", "english"),), (FactRow("临床症状及体征", "青紫"),), 1),
        Skipped(cmeie.NOT_A_NAME, "本病", 1),
        EntityRow("癌症", "disease", (), (FactRow("病理分型", "T3", "分期"),), 2),
        Skipped(values.UNMAPPED + "怪谓词", "甲", 2),
        EntityRow("吡喹酮", "drug", (Alias("PZQ", "english"),), (), 2),
    ]


@pytest.mark.parametrize(
    "row",
    [
        {"text": "…"},
        {"spo_list": [3]},
        {"spo_list": [spo("甲", "病因", "乙", "星座")]},
        {"spo_list": [{**spo("甲", "病因", "乙"), "object": 3}]},
    ],
)
def test_cmeie_faults(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        list(cmeie.read(write(tmp_path, row)))


# --- medical.json ----------------------------------------------------------------------------------------------------


def test_medical_json(tmp_path: Path) -> None:
    row = {
        "_id": {"$oid": "5bb5"},
        "name": "百日咳",
        "desc": "百日咳是由百日咳杆菌所致的急性呼吸道传染病。",
        "category": ["疾病百科", "儿科"],
        "yibao_status": "否",
        "get_prob": "0.5%",
        "get_way": "呼吸道传播",
        "cure_department": ["儿科", "小儿内科"],
        "common_drug": ["穿心莲内酯片"],
        "drug_detail": ["惠普森穿心莲内酯片(穿心莲内酯片)", "某某颗粒"],
        "not_eat": ["螃蟹"],
        "cost_money": "根据不同医院，市三甲医院约（1000-4000元）",
    }
    rows = list(medical_json.read(write(tmp_path, row)))
    passages = [r for r in rows if isinstance(r, PassageRow)]
    entities = [r for r in rows if isinstance(r, EntityRow)]
    assert [(p.title, p.keywords) for p in passages] == [("百日咳：概述", ("百日咳",))]
    assert set(entities[0].facts) == {
        FactRow("是否医保", "非医保疾病"),
        FactRow("发病率", "0.5%"),
        FactRow("传播途径", "呼吸道传播"),
        FactRow("所属科室", "小儿内科"),
        FactRow("药物治疗", "穿心莲内酯片"),
        FactRow("饮食禁忌", "螃蟹"),
        FactRow("治疗费用", "1000~4000元", "市三甲医院"),
    }
    assert {r.reason for r in rows if isinstance(r, Skipped)} == {
        values.UNMAPPED + "category",
        cells.PARENT_DEPARTMENT,
        medical_json.PRODUCT,
        values.REPEATED,
    }


def test_medical_json_in_capitals(tmp_path: Path) -> None:
    path = write(tmp_path, {"Name": "百日咳", "Cure_Department ": ["儿科"]})
    assert detect(path) == "medical_json"
    assert [r.facts for r in medical_json.read(path) if isinstance(r, EntityRow)] == [(FactRow("所属科室", "儿科"),)]


# --- triples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "实体,属性,值\n偏头痛,病因,遗传\n"),
        ("a.tsv", "head\trelation\ttail\n偏头痛\t病因\t遗传\n"),
        ("a.csv", "偏头痛,病因,遗传\n"),
        ("a.jsonl", '{"subject": "偏头痛", "predicate": "病因", "object": ["遗传"]}'),
    ],
)
def test_triples(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert detect(path) == "triples"
    (row,) = triples.read(path)
    assert isinstance(row, EntityRow)
    assert (row.name, row.kind, row.facts) == ("偏头痛", "disease", (FactRow("病因", "遗传"),))


def test_triples_with_a_map_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "谁,什么,哪个,何时,是\n布洛芬,适应症,头痛,成人,药物\n布洛芬,商品名,芬必得,,药品\n", encoding="utf-8"
    )
    with pytest.raises(DataError, match="列的映射"):
        list(triples.read(path))
    columns = {"subject": "谁", "attribute": "什么", "value": "哪个", "qualifier": "何时", "kind": "是"}
    assert list(triples.read(path, columns)) == [
        EntityRow("布洛芬", "drug", (), (FactRow("适应症", "头痛", "成人"),), 2),
        EntityRow("布洛芬", "drug", (Alias("芬必得", "brand"),), (), 3),
    ]
    with pytest.raises(ConfigError, match="who"):
        list(triples.read(path, {"who": "谁"}))


def test_triples_with_an_answer_in_a_word(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("偏头痛,传染性,无\n流感,传染性,有\n流感,医保,否\n", encoding="utf-8")
    assert [fact.value for row in triples.read(path) if isinstance(row, EntityRow) for fact in row.facts] == [
        "无传染性",
        "有传染性",
        "非医保疾病",
    ]


def test_triples_of_an_unknown_kind_or_a_short_row_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("实体,属性,值,类别\n甲,病因,乙,星座\n甲,病因\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(triples.read(path))
    assert [(fault.line, fault.field) for fault in caught.value.faults] == [(2, "kind"), (3, "value")]


# --- literature ------------------------------------------------------------------------------------------------------


def test_literature(tmp_path: Path) -> None:
    row = {
        "id": "1",
        "标题": "SHARP试验",
        "结论": "索拉非尼延长生存。",
        "关键词": ["肝癌"],
        "期刊": "NEJM",
        "年份": 2008,
        "卷期页": "359:378",
        "标识": "doi:1",
    }
    expected = PassageRow("SHARP试验", "索拉非尼延长生存。", ("肝癌",), "NEJM", 2008, "359:378", "doi:1", 1)
    assert list(literature.read(write(tmp_path, row))) == [expected]
    path = tmp_path / "a.csv"
    path.write_text("title,abstract,keywords,year\nSHARP试验,索拉非尼延长生存。,肝癌；索拉非尼,\n", encoding="utf-8")
    assert list(literature.read(path)) == [PassageRow("SHARP试验", "索拉非尼延长生存。", ("肝癌", "索拉非尼"), row=2)]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"结论": "甲"}, "标题"),
        ({"标题": "甲", "结论": "  "}, "结论"),
        ({"标题": "甲", "结论": "乙", "年份": "去年"}, "年份"),
        ({"标题": "甲", "结论": "乙", "关键词": [3]}, "关键词"),
        ({"标题": "甲\x00", "结论": "乙"}, "标题"),
    ],
)
def test_literature_faults(tmp_path: Path, row: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as caught:
        list(literature.read(write(tmp_path, row)))
    assert [fault.field for fault in caught.value.faults] == [field]


# --- telling them apart ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "reader"),
    [
        ("a.jsonl", '{"中心词": "甲"}', "cmekg"),
        ("a.json", '[{"中心词": "甲"}]', "cmekg"),
        ("a.jsonl", '{"text": "…", "spo_list": []}', "cmeie"),
        ("a.json", '["甲\\n别名:乙"]', "drug_text"),
        ("a.json", '{"name": "甲", "cure_way": ["乙"]}', "medical_json"),
        ("a.csv", "name,alias,infection,period\n甲,乙,丙,丁", "disease_csv"),
        ("a.csv", "name,symptom,drug\n甲,乙,丙", "table"),
        ("a.csv", "疾病,药物\n偏头痛,布洛芬", "table"),
        ("a.csv", "偏头痛,症状,头痛\n偏头痛,科室,神经内科", "triples"),
        ("a.jsonl", '{"标题": "甲", "结论": "乙"}', "literature"),
        ("a.csv", "title,abstract\n甲,乙", "literature"),
        ("a.csv", "中心词,属性,值\n甲,乙,丙", "triples"),
    ],
)
def test_detect(tmp_path: Path, name: str, text: str, reader: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert detect(path) == reader
    assert reader in READERS


def test_a_table_whose_names_have_no_known_column_is_not_guessed_at(tmp_path: Path) -> None:
    """Three columns, an attribute in the middle: yet no triples, whose second row would have one too."""
    path = tmp_path / "a.csv"
    path.write_text("病种,症状,科室\n偏头痛,头痛,神经内科", encoding="utf-8")
    with pytest.raises(DataError, match="认不出"):
        detect(path)


@pytest.mark.parametrize("read", [detect, *(READERS[name].read for name in ("triples", "disease_csv", "table"))])
def test_a_header_after_blank_lines_is_told_with_its_line(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n\n病种\t颜色\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(cast("Iterable[object]", read(path)))
    (fault,) = caught.value.faults
    assert (fault.line, fault.field) == (3, "表头")
    assert fault.value in {"病种,颜色", "病种、颜色"}


def test_json_of_which_nothing_can_be_read_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(DataError, match="嵌套太深"):
        detect(path)


def test_an_empty_table_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="空文件"):
        detect(path)


def test_an_unknown_form_names_the_readers(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"foo": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="cmekg、"):
        detect(path)
