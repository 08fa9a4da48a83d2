"""A small knowledge base with what makes answering hard: a shared name, two sources that differ, conditions, doses."""

from __future__ import annotations

from pathlib import Path

from bentsao.knowledge.rows import Row
from tests.knowledge.bases import entity, put

MIGRAINE = entity(
    "偏头痛",
    ("临床症状及体征", "搏动性头痛"),
    ("临床症状及体征", "恶心"),
    ("临床症状及体征", "畏光"),
    ("检查", "头颅CT"),
    ("药物治疗", "布洛芬"),
    ("药物治疗", "氟桂利嗪", "预防发作"),
    ("所属科室", "神经内科"),
    ("治愈率", "约70%"),
    also=["偏头疼"],
    row=1,
)
ULCER = entity(
    "胃溃疡", ("临床症状及体征", "上腹痛"), ("检查", "胃镜"), ("治疗方案", "药物治疗"), ("并发症", "穿孔"), row=2
)
IBUPROFEN = entity(
    "布洛芬",
    ("适应症", "偏头痛"),
    ("用法用量", "口服 0.2g 每日3次", "成人"),
    ("不良反应", "恶心"),
    kind="drug",
    also=["芬必得"],
    row=3,
)
DEMENTIA = entity(
    "阿尔茨海默病", ("药物治疗", "多奈哌齐"), ("临床症状及体征", "记忆力减退"), ("检查", "头颅CT"), also=["AD"], row=4
)
ECZEMA = entity("特应性皮炎", ("药物治疗", "氢化可的松乳膏"), ("临床症状及体征", "瘙痒"), also=["AD"], row=5)
OTHERS: tuple[Row, ...] = (
    entity("恶心", ("伴随症状", "呕吐"), kind="symptom", row=6),
    entity("阑尾切除术", ("适应症", "急性阑尾炎"), kind="operation", row=7),
    entity("穿孔", ("所属科室", "普外科"), row=8),
)
OTHER_SOURCE = (
    entity("偏头痛", ("治愈率", "约60%"), ("临床症状及体征", "恶心"), ("临床症状及体征", "畏声"), row=1),
    entity("胃溃疡", ("治愈率", "约90%"), row=2),
)


def grounded_base(path: Path) -> Path:
    """The base in a file: source 甲 with everything, source 乙 with a few more values and one that differs."""
    put(path, "甲", MIGRAINE, ULCER, IBUPROFEN, DEMENTIA, ECZEMA, *OTHERS)
    put(path, "乙", *OTHER_SOURCE)
    return path
