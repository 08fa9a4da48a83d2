"""A small base of names with everything in it that makes linking hard."""

from __future__ import annotations

import pytest

from bentsao.knowledge.linking import Linker
from bentsao.knowledge.linking.index import Name, NameIndex
from bentsao.knowledge.schema import Kind

ENTITIES: tuple[tuple[str, Kind, str], ...] = (
    ("高血压病", "disease", "高血压 原发性高血压"),
    ("高脂血症", "disease", "高血脂"),
    ("阑尾炎", "disease", ""),
    ("急性阑尾炎", "disease", ""),
    ("慢性胃炎", "disease", ""),
    ("慢性胰腺炎", "disease", ""),
    ("糖尿病", "disease", "消渴"),
    ("2型糖尿病", "disease", ""),
    ("糖尿病肾病", "disease", ""),
    ("脑卒中", "disease", "中风"),
    ("梅尼埃病", "disease", "美尼尔病"),
    ("强直性脊柱炎", "disease", ""),
    ("肠易激综合征", "disease", ""),
    ("白塞病", "disease", ""),
    ("乙型肝炎", "disease", "乙肝"),
    ("甲型肝炎", "disease", "甲肝"),
    ("上呼吸道感染", "disease", "感冒"),
    ("水痘", "disease", ""),
    ("幽门梗阻", "disease", ""),
    ("失眠症", "disease", ""),
    ("法布里病(Fabry 病)", "disease", ""),
    ("痔", "disease", ""),
    ("X综合征", "disease", ""),
    ("AD", "disease", ""),
    ("局限性", "disease", ""),
    ("阿司匹林", "drug", "乙酰水杨酸 拜阿司匹灵"),
    ("布洛芬", "drug", "芬必得"),
    ("二甲双胍", "drug", "格华止"),
    ("氧氟沙星", "drug", ""),
    ("头孢克肟", "drug", ""),
    ("氯吡格雷", "drug", "波立维"),
    ("环磷酰胺", "drug", ""),
    ("止咳化痰丸", "drug", ""),
    ("感冒灵颗粒", "drug", ""),
    ("头晕", "symptom", "头昏"),
    ("头痛", "symptom", ""),
    ("胃镜", "examination", "胃镜检查"),
    ("血糖", "examination", ""),
    ("CT", "examination", ""),
    ("阑尾切除术", "operation", ""),
    ("心血管内科", "department", "心内科"),
)
"""Own name, kind, aliases."""


def names() -> list[Name]:
    """All names of the base; an entity's id is its place in ENTITIES."""
    found: list[Name] = []
    for number, (own, kind, aliases) in enumerate(ENTITIES):
        found.append((own, number, kind, True))
        for alias in aliases.split():
            found.append((alias, number, kind, False))  # noqa: PERF401 - the type of a list's items is lost
    return found


@pytest.fixture(scope="session")
def index() -> NameIndex:
    return NameIndex.build(names())


@pytest.fixture(scope="session")
def linker(index: NameIndex) -> Linker:
    return Linker(index)
