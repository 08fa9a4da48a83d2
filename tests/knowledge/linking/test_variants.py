from __future__ import annotations

import pytest

from bentsao.knowledge.linking.variants import variants
from bentsao.knowledge.schema import Kind


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("肠易激综合征", "disease", "肠易激"),
        ("帕金森病", "disease", "帕金森"),
        ("新生儿溶血病", "disease", "新生儿溶血"),
        ("失眠症", "disease", "失眠"),
        ("骨质疏松症", "disease", "骨质疏松"),
        ("再生障碍性贫血", "disease", "再生障碍贫血"),
        ("小儿厌食症", "disease", "儿童厌食症"),
        ("腹痛", "symptom", "腹疼"),
        ("法布里病(fabry病)", "disease", "法布里病"),
        ("法布里病(fabry病)", "disease", "fabry病"),
        ("法布里病(fabry病)", "disease", "法布里"),
        ("中性白(粒)细胞减少症", "disease", "中性白粒细胞减少症"),
        ("阿莫西林胶囊", "drug", "阿莫西林"),
        ("盐酸二甲双胍缓释片", "drug", "二甲双胍"),
        ("氯雷他定/伪麻黄碱", "drug", "氯雷他定伪麻黄碱"),
    ],
)
def test_another_way_of_writing(name: str, kind: Kind, expected: str) -> None:
    assert expected in set(variants(name, kind))


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        ("心脏病", "disease", "心脏"),
        ("脑血管病", "disease", "脑血管"),
        ("恐惧症", "disease", "恐惧"),
        ("急性胃炎", "disease", "急胃炎"),
        ("男性乳腺癌", "disease", "男乳腺癌"),
        ("止咳化痰丸", "drug", "止咳化痰"),
        ("三金片", "drug", "三金"),
        ("止咳片", "examination", "止咳"),
    ],
)
def test_what_says_too_little_is_no_name(name: str, kind: Kind, wrong: str) -> None:
    assert wrong not in set(variants(name, kind))


def test_the_name_itself_is_no_variant() -> None:
    for name in ("急性阑尾炎", "阿司匹林", "ad"):
        assert name not in set(variants(name, "disease")) | set(variants(name, "drug"))
