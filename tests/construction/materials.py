"""Material for the composer's tests: a small knowledge base, the sample, and pens to write with."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import Grammar, load_grammar
from bentsao.construction.subjects import Material, Subject, gather
from bentsao.core.records import Fact, Source
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.schema import Kind
from bentsao.knowledge.store import Entity, KnowledgeBase
from tests.knowledge.bases import TRIAL, entity, put

SOURCE = Source(name="测试", file="测试.jsonl", row=3)


def fact(subject: str, attribute: str, *values: str, qualifier: str | None = None, source: Source = SOURCE) -> Fact:
    return Fact(subject=subject, attribute=attribute, values=values, source=source, qualifier=qualifier)


def subject(name: str, *facts: Fact, kind: Kind = "disease", names: tuple[str, ...] = ()) -> Subject:
    grouped: dict[str, tuple[Fact, ...]] = {}
    for one in facts:
        grouped[one.attribute] = (*grouped.get(one.attribute, ()), one)
    return Subject(Entity(id=1, name=name, kind=kind), (name, *names), grouped)


def small_kb(path: Path) -> Path:
    """Diseases and drugs that people confuse and that know of each other, from two sources, and one paper."""
    base = path / "small.kb"
    diseases = [
        entity(
            name,
            *[("临床症状及体征", sign) for sign in signs],
            ("病因", cause),
            ("药物治疗", drug),
            ("药物治疗", f"{drug}混悬液", "儿童"),
            ("所属科室", "呼吸内科"),
            ("传染性", spread),
            ("鉴别诊断", other),
            also=[alias],
            row=row,
        )
        for row, (name, alias, signs, cause, drug, spread, other) in enumerate(_DISEASES, start=1)
    ]
    drugs = [
        entity(name, ("适应症", use), ("禁忌证", f"{name}过敏"), ("用法用量", dose), kind="drug", row=row)
        for row, (name, use, dose) in enumerate(_DRUGS, start=1)
    ]
    put(base, "甲", *diseases, *drugs, TRIAL)
    put(base, "乙", entity("感冒", ("临床症状及体征", "流泪"), ("预防措施", "勤洗手"), row=1))
    return base


_DISEASES = (
    ("感冒", "伤风", ("鼻塞", "流涕", "发热"), "鼻病毒感染", "对乙酰氨基酚", "有传染性", "流行性感冒"),
    ("流行性感冒", "流感", ("高热", "肌肉酸痛", "发热"), "流感病毒感染", "奥司他韦", "有传染性", "感冒"),
    ("支气管哮喘", "哮喘", ("喘息", "胸闷"), "尘螨过敏", "沙丁胺醇", "无传染性", "慢性支气管炎"),
    ("慢性支气管炎", "老慢支", ("咳痰", "气短"), "长期吸烟", "氨溴索", "无传染性", "支气管哮喘"),
    ("过敏性鼻炎", "花粉热", ("鼻痒", "喷嚏"), "花粉刺激", "氯雷他定", "无传染性", "感冒"),
    ("肺结核", "痨病", ("盗汗", "咯血"), "结核分枝杆菌侵入", "异烟肼", "有传染性", "肺脓肿"),
    ("肺脓肿", "肺痈", ("脓臭痰", "寒战"), "厌氧菌吸入", "克林霉素", "无传染性", "肺结核"),
    ("胃溃疡", "溃疡病", ("上腹痛", "反酸"), "幽门螺杆菌定植", "奥美拉唑", "无传染性", "胃癌"),
    ("湿疹", "湿疮", ("瘙痒", "渗液"), "皮肤屏障受损", "糠酸莫米松", "无传染性", "银屑病"),
    ("银屑病", "牛皮癣", ("鳞屑", "红斑"), "遗传易感性", "卡泊三醇", "无传染性", "湿疹"),
)
_DRUGS = (
    ("奥司他韦", "流行性感冒", "口服 75mg 每日2次"),
    ("沙丁胺醇", "支气管哮喘", "吸入 200μg 必要时使用"),
    ("异烟肼", "肺结核", "口服 0.3g 每日1次"),
    ("奥美拉唑", "胃溃疡", "口服 20mg 每日1次"),
    ("卡泊三醇", "银屑病", "外用 每日2次"),
)


def small_material(path: Path) -> Material:
    with KnowledgeBase.open(small_kb(path)) as kb:
        return gather(kb, load_grammar())


@cache
def sample_material() -> Material:
    """The sample knowledge base as material; read once in a run of the tests."""
    with KnowledgeBase.open(sample_kb()) as kb:
        return gather(kb, load_grammar())


def pen(material: Material, seed: int = 0, grammar: Grammar | None = None) -> Pen:
    return Pen(grammar or load_grammar(), material, random.Random(seed))
