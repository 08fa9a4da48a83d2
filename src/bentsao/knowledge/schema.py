"""What a knowledge base can say: the kinds of entities, their attributes, and the names other sources give to them.

The attributes are CMeKG's (https://cmekg.pcl.ac.cn), with those added that other sources have. `ATTRIBUTES` is the
list; to teach the importers a foreign name, add it there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from typing import Literal

Kind = Literal["disease", "drug", "symptom", "examination", "operation", "department", "body", "other"]

KINDS: dict[Kind, str] = {
    "disease": "疾病",
    "drug": "药物",
    "symptom": "症状",
    "examination": "检查",
    "operation": "手术",
    "department": "科室",
    "body": "部位",
    "other": "其他",
}

FOREIGN_KINDS: dict[str, Kind] = {
    "病症": "disease",
    "病": "disease",
    "药品": "drug",
    "药": "drug",
    "症状体征": "symptom",
    "体征": "symptom",
    "检查项目": "examination",
    "检验": "examination",
    "诊疗技术": "examination",
    "手术治疗": "operation",
    "手术操作": "operation",
    "医疗程序": "operation",
    "科目": "department",
    "身体部位": "body",
    "身体": "body",
    "其他治疗": "other",
    "流行病学": "other",
    "社会学": "other",
    "预后": "other",
}

AliasType = Literal["synonym", "colloquial", "brand", "english", "code"]

ALIAS_TYPES: dict[AliasType, str] = {
    "synonym": "同义词",
    "colloquial": "俗名",
    "brand": "商品名",
    "english": "英文名",
    "code": "编码",
}

FOREIGN_ALIASES: dict[str, AliasType] = {
    "别名": "synonym",
    "又名": "synonym",
    "又称": "synonym",
    "alias": "synonym",
    "俗称": "colloquial",
    "商品名称": "brand",
    "英文名称": "english",
}

Polarity = Literal["for", "against", "answer"]


@dataclass(frozen=True)
class Attribute:
    """One thing that can be said of an entity.

    `kinds`: whose attribute it is (entities of kind "other" may have every attribute).
    `values`: the kind of entity a value names; None where values are free text.
    `foreign`: what other sources call it.
    `many`: False where an entity has one value under one condition, so that two that differ contradict each other.
    `polarity`: "for": the value belongs to the entity; "against": the value rules it out (禁忌证, 饮食禁忌), so
        recommending it contradicts the fact; "answer": the value itself says yes or no (有传染性, 非医保疾病).
    """

    name: str
    kinds: tuple[Kind, ...]
    values: Kind | None = None
    foreign: tuple[str, ...] = ()
    many: bool = True
    polarity: Polarity = "for"


_ALL = (
    # The course of a disease
    Attribute("临床症状及体征", ("disease",), "symptom", ("临床表现", "症状", "典型症状", "symptom", "has_symptom")),
    Attribute("相关症状", ("disease",), "symptom", ("相关（症状）",)),
    Attribute("病因", ("disease", "symptom"), None, ("遗传因素", "cause")),
    Attribute("发病机制", ("disease",)),
    Attribute("病理分型", ("disease",), None, ("分型", "病理类型")),
    Attribute("病理生理", ("disease",)),
    Attribute("并发症", ("disease", "operation"), "disease", ("complication", "acompany", "acompany_with")),
    Attribute("相关疾病", ("disease", "symptom", "examination", "operation", "body"), "disease",
              ("相关（导致）", "相关（转化）", "可能疾病")),
    Attribute("伴随症状", ("symptom",), "symptom"),
    Attribute("危险信号", ("symptom",)),
    Attribute("鉴别诊断", ("disease",), "disease"),
    # Where, whom, how often
    Attribute("发病部位", ("disease", "symptom"), "body", ("部位", "part")),
    Attribute("转移部位", ("disease",), "body", ("外侵部位",)),
    Attribute("多发群体", ("disease", "symptom"), None,
              ("易感人群", "好发人群", "发病年龄", "发病性别倾向", "age", "easy_get")),
    Attribute("多发地区", ("disease",)),
    Attribute("多发季节", ("disease",)),
    Attribute("高危因素", ("disease", "symptom"), None, ("风险评估因素", "危险因素", "病史")),
    Attribute("发病率", ("disease",), None, ("患病率", "患病比例", "get_prob")),
    Attribute("传染性", ("disease",), None, ("infection",), many=False, polarity="answer"),
    Attribute("传播途径", ("disease",), None, ("传染方式", "传染途径", "get_way")),
    # Examination
    Attribute("检查", ("disease", "symptom"), "examination",
              ("辅助检查", "内窥镜检查", "筛查", "诊断检查", "检查项目", "checklist", "check", "need_check")),
    Attribute("实验室检查", ("disease",), "examination"),
    Attribute("影像学检查", ("disease",), "examination"),
    Attribute("组织学检查", ("disease",), "examination"),
    Attribute("检查部位", ("examination",), "body", ("部位",)),
    Attribute("正常值", ("examination",), None, ("参考值", "正常参考值", "参考范围")),
    # Treatment
    Attribute("治疗方案", ("disease", "symptom"), None, ("治疗方法", "治疗方式", "治疗", "treatment", "cure_way")),
    Attribute("药物治疗", ("disease",), "drug",
              ("常用药品", "常用药物", "推荐药物", "推荐药品", "药物", "药品", "用药", "治疗药物", "首选药物",
               "drug", "common_drug", "recommand_drug")),
    Attribute("手术治疗", ("disease",), "operation"),
    Attribute("辅助治疗", ("disease",), None, ("化疗", "放射治疗", "放疗")),
    Attribute("治疗周期", ("disease",), None, ("疗程", "period", "cure_lasttime"), many=False),
    Attribute("治愈率", ("disease",), None, ("治愈概率", "rate", "cured_prob"), many=False),
    Attribute("治疗费用", ("disease",), None, ("费用", "money", "cost_money"), many=False),
    Attribute("是否医保", ("disease", "drug"), None, ("医保疾病", "医保", "insurance", "yibao_status"),
              many=False, polarity="answer"),
    Attribute("预后状况", ("disease",), None, ("预后",)),
    Attribute("预后生存时间", ("disease",), None, ("生存期",)),
    Attribute("预后生存率", ("disease",), None, ("生存率",)),
    Attribute("死亡率", ("disease",), None, ("病死率",)),
    Attribute("预防措施", ("disease",), None, ("预防", "预防方法", "prevent")),
    Attribute("饮食建议", ("disease",), None, ("宜吃", "宜吃食物", "推荐食谱", "do_eat", "recommand_eat")),
    Attribute("饮食禁忌", ("disease",), None, ("忌吃", "忌吃食物", "not_eat", "no_eat"), polarity="against"),
    # Departments and codes
    Attribute("所属科室", ("disease", "symptom", "examination", "operation", "body"), "department",
              ("就诊科室", "科室", "挂号科室", "department", "cure_department", "belongs_to")),
    Attribute("诊治疾病", ("department",), "disease"),
    Attribute("上级科室", ("department",), "department", many=False),
    Attribute("ICD-10", ("disease",), None, ("ICD10编码", "ICD编码", "ICD")),
    # Drugs, and what holds for examinations and operations alike
    Attribute("成份", ("drug",), None, ("成分", "主要成份", "主要成分")),
    Attribute("分类", ("drug",), None, ("药品类型", "药理分类", "药品分类", "类型")),
    Attribute("剂型", ("drug",), None, ("规格",)),
    Attribute("OTC类型", ("drug",), None, ("处方类型", "OTC"), many=False),
    Attribute("适应症", ("drug", "examination", "operation"), "disease",
              ("适应证", "主治", "功能主治", "检查目的", "适用疾病")),
    Attribute("禁忌证", ("drug", "examination", "operation"), "disease", ("禁忌症", "禁忌"), polarity="against"),
    Attribute("不良反应", ("drug", "examination"), "symptom", ("副作用",)),
    Attribute("注意事项", ("drug", "examination"), None, ("检查前准备",)),
    Attribute("用法用量", ("drug",), None, ("用法", "用量", "用法与用量")),
    Attribute("药物相互作用", ("drug",), None, ("相互作用",)),
    Attribute("药理作用", ("drug",), None, ("药理毒理", "药理")),
    Attribute("药动学", ("drug",), None, ("药代动力学",)),
    Attribute("所属科目", ("drug",), "department", ("用药科目", "科室", "所属科室")),
    Attribute("孕妇用药", ("drug",), None, ("孕妇及哺乳期妇女用药", "妊娠期用药")),
    Attribute("儿童用药", ("drug",)),
    Attribute("老年用药", ("drug",), None, ("老人用药", "老年患者用药")),
    # Operations
    Attribute("麻醉方式", ("operation",)),
    Attribute("术前准备", ("operation",)),
    Attribute("术后护理", ("operation",)),
)  # fmt: skip

ATTRIBUTES: dict[str, Attribute] = {attribute.name: attribute for attribute in _ALL}


SIDES: dict[str, tuple[str, ...]] = {
    "检查": ("实验室检查", "影像学检查", "组织学检查"),
    "治疗方案": ("药物治疗", "手术治疗", "辅助治疗"),
}
"""General attributes, and the particular ones that are its sides."""

_DIET = ("饮食建议", "饮食禁忌")
"""Two sides of one question (能吃肥肉吗), of which many bases have only one."""


def answered_by(attribute: str, known: Container[str]) -> tuple[str, ...]:
    """The attributes that answer for one: itself, or those of its sides that are known where it is not.

    known: the attributes that a base has of the entity.
    """
    sides = tuple(side for side in (_DIET if attribute in _DIET else SIDES.get(attribute, ())) if side in known)
    return sides if sides and attribute not in known else (attribute,)


def can_have(kind: Kind, attribute: str) -> bool:
    """Whether an entity of this kind may have this attribute; False for a name that is no attribute."""
    known = ATTRIBUTES.get(attribute)
    return known is not None and (kind == "other" or kind in known.kinds)


def attribute_of(foreign_name: str, kind: Kind) -> str | None:
    """The attribute that a source's name for it means on an entity of this kind; None where there is none."""
    return next((name for name in _attributes_called().get(_folded(foreign_name), ()) if can_have(kind, name)), None)


def alias_type_of(foreign_name: str) -> AliasType | None:
    """The type of alias that a source's field holds (别名, 商品名 …); None where the field holds no alias."""
    return _alias_types_called().get(_folded(foreign_name))


def kind_of(foreign_name: str) -> Kind | None:
    """The kind that a source's word for it means (药品, 其他治疗, drug …); None for an unknown word."""
    return _kinds_called().get(_folded(foreign_name))


@cache
def _attributes_called() -> dict[str, list[str]]:
    """Folded name → the attributes it may mean, own names first; the kind decides (科室 of a drug, of a disease)."""
    called: dict[str, list[str]] = {_folded(name): [name] for name in ATTRIBUTES}
    for attribute in ATTRIBUTES.values():
        for name in attribute.foreign:
            called.setdefault(_folded(name), []).append(attribute.name)
    return called


@cache
def _alias_types_called() -> dict[str, AliasType]:
    called: dict[str, AliasType] = {_folded(name): kind for name, kind in FOREIGN_ALIASES.items()}
    for kind, label in ALIAS_TYPES.items():
        if kind != "code":  # a code field is named by its system (ICD-10 is an attribute)
            called[_folded(label)] = kind
    return called


@cache
def _kinds_called() -> dict[str, Kind]:
    called: dict[str, Kind] = {_folded(name): kind for name, kind in FOREIGN_KINDS.items()}
    for kind, label in KINDS.items():
        called[_folded(label)] = called[kind] = kind
    return called


def _folded(name: str) -> str:
    """A field name without case, width and blanks: `相关（症状）` and `相关(症状) ` are one."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
