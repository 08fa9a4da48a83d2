"""The schema: every attribute can be reached by its own name and by the names of other sources."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from bentsao.knowledge.schema import (
    ATTRIBUTES,
    KINDS,
    SIDES,
    Kind,
    alias_type_of,
    answered_by,
    attribute_of,
    can_have,
    kind_of,
)

CMEKG = {
    "disease": "并发症 ICD-10 临床症状及体征 预后状况 发病率 药物治疗 辅助治疗 手术治疗 发病机制 病理分型 "
    "鉴别诊断 病理生理 实验室检查 发病部位 所属科室 组织学检查 多发群体 病因 预后生存时间 影像学检查 高危因素 "
    "治疗方案 相关疾病 相关症状",
    "drug": "成份 OTC类型 不良反应 适应症 分类 注意事项 禁忌证 所属科目",
}

UNMAPPED = {"阶段", "治疗后症状", "侵及周围组织转移的症状"}  # nothing in the schema says these


@pytest.mark.parametrize("kind", ["disease", "drug"])
def test_cmekgs_attributes_are_the_schema(kind: Kind) -> None:
    for name in CMEKG[kind].split():
        assert attribute_of(name, kind) == name


def test_every_name_leads_to_its_attribute_and_to_no_other() -> None:
    claimed: Counter[tuple[str, Kind]] = Counter()
    for attribute in ATTRIBUTES.values():
        for kind in attribute.kinds:
            assert attribute_of(attribute.name, kind) == attribute.name
            for name in attribute.foreign:
                claimed[name, kind] += 1
                assert attribute_of(name, kind) == attribute.name
    assert not [name for name, times in claimed.items() if times > 1]


def test_the_kind_decides_what_a_name_means() -> None:
    assert attribute_of("科室", "disease") == "所属科室"
    assert attribute_of("科室", "drug") == "所属科目"
    assert attribute_of("部位", "examination") == "检查部位"
    assert attribute_of("发病部位", "drug") is None
    assert attribute_of("适应症", "disease") is None


def test_width_case_and_blanks_do_not_matter() -> None:
    assert attribute_of("相关(症状) ", "disease") == "相关症状"
    assert attribute_of("icd-10", "disease") == "ICD-10"
    assert attribute_of("ＯＴＣ类型", "drug") == "OTC类型"


def test_an_entity_of_unknown_kind_may_have_everything_that_is_known() -> None:
    assert all(can_have("other", name) for name in ATTRIBUTES)
    assert not can_have("other", "星座")
    assert attribute_of("星座", "other") is None


def test_kinds_and_aliases_by_their_foreign_names() -> None:
    assert {kind_of(label) for label in KINDS.values()} == set(KINDS)
    assert [kind_of(word) for word in ("药品", "其他治疗", "drug", "手术治疗", "星座")] == [
        "drug",
        "other",
        "drug",
        "operation",
        None,
    ]
    assert [alias_type_of(word) for word in ("同义词", "俗名", "商品名", "别名", "英文名", "症状")] == [
        "synonym",
        "colloquial",
        "brand",
        "synonym",
        "english",
        None,
    ]


def test_a_general_attribute_is_answered_by_its_sides_only_where_it_is_not_known() -> None:
    assert answered_by("治疗方案", {"手术治疗", "药物治疗", "治疗费用"}) == ("药物治疗", "手术治疗")
    assert answered_by("治疗方案", {"治疗方案", "药物治疗"}) == ("治疗方案",)
    assert answered_by("治疗方案", {"病因"}) == ("治疗方案",)
    assert answered_by("药物治疗", {"治疗方案"}) == ("药物治疗",), "a side is not answered by the whole"
    assert {name for sides in SIDES.values() for name in sides} | SIDES.keys() <= ATTRIBUTES.keys()


def test_what_cmeie_says_of_diseases_has_a_place() -> None:
    path = Path(os.environ.get("BENTSAO_SHARED_DATA", "../shared/data")) / "cmeie_schema.json"
    if not path.is_file():
        pytest.skip(f"没有 {path}")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lost = {
        row["predicate"]
        for row in rows
        if not alias_type_of(row["predicate"])
        and not attribute_of(row["predicate"], kind_of(row["subject_type"]) or "other")
    }
    assert lost == UNMAPPED
