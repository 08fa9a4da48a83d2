"""Facts for the tests of the verifier, and how they look at its verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from bentsao.core.records import Fact, Source
from bentsao.knowledge.verify import KnownNames, verify

SOURCE = Source(name="测试", file="t.jsonl", row=1)


def fact(subject: str, attribute: str, *values: str, qualifier: str | None = None) -> Fact:
    return Fact(subject=subject, attribute=attribute, values=values, source=SOURCE, qualifier=qualifier)


MIGRAINE = [
    fact("偏头痛", "临床症状及体征", "搏动性头痛", "恶心", "呕吐", "畏光"),
    fact("偏头痛", "并发症", "脑梗死"),
    fact("偏头痛", "传染性", "无传染性"),
    fact("偏头痛", "是否医保", "医保疾病"),
    fact("偏头痛", "治疗周期", "1-2个月"),
    fact("偏头痛", "治愈率", "约70%"),
    fact("偏头痛", "药物治疗", "布洛芬"),
    fact("偏头痛", "药物治疗", "丙戊酸钠", qualifier="预防发作"),
    fact("偏头痛", "药物治疗", "对乙酰氨基酚", qualifier="儿童"),
    fact("偏头痛", "所属科室", "神经内科"),
    fact("偏头痛", "高危因素", "过度劳累"),
    fact("偏头痛", "检查", "头颅CT", "血常规检查"),
    fact("偏头痛", "饮食建议", "避免饮酒"),
]
AMOXICILLIN = [
    fact("阿莫西林", "适应症", "扁桃体炎", "伤寒"),
    fact("阿莫西林", "禁忌证", "青霉素过敏"),
    fact("阿莫西林", "用法用量", "口服 0.5g 每6~8小时1次", qualifier="成人"),
    fact("阿莫西林", "用法用量", "口服 0.25g 每日3次", qualifier="儿童"),
    fact("阿莫西林", "用法用量", "静脉滴注 2g 每日2次"),
    fact("阿莫西林", "不良反应", "皮疹", "腹泻"),
    fact("阿莫西林", "孕妇用药", "有指征时可选用"),
    fact("阿莫西林", "老年用药", "禁用"),
    fact("阿莫西林", "OTC类型", "处方药"),
]
APPENDICITIS = [
    fact("急性阑尾炎", "临床症状及体征", "转移性右下腹痛", "发热"),
    fact("急性阑尾炎", "手术治疗", "阑尾切除术"),
    fact("急性阑尾炎", "传染性", "无传染性"),
]
CIRRHOSIS = [
    fact("肝硬化", "并发症", "肝癌", "腹水"),
    fact("肝癌", "临床症状及体征", "肝区疼痛", "消瘦"),
]


def seen(text: str, facts: Sequence[Fact], names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(text, verdict) of each claim."""
    verdicts = verify(text, facts, vocabulary=KnownNames(names) if names else None)
    return [(claim.text, claim.verdict) for claim in verdicts.claims]


def only(text: str, facts: Sequence[Fact], claimed: str) -> str:
    """The verdict on the one claim with this text."""
    found = [verdict for claim, verdict in seen(text, facts) if claim == claimed]
    assert len(found) == 1, (text, seen(text, facts))
    return found[0]


def verdicts(text: str, facts: Sequence[Fact]) -> list[str]:
    """The verdicts of the claims, in order."""
    return [claim.verdict for claim in verify(text, facts).claims]
