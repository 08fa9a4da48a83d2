"""Unsafe advice: to change medicines on one's own, not to see a doctor, doses without evidence, promises of a cure."""

from __future__ import annotations

import re

from bentsao.construction.filters.context import Context, around, reason
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation

_ALLOW = r"(?:可以|可|能|能够|建议|应该|应当|应|需|需要|不妨|尽管|请|直接|便可|就|完全)"
_DENIED = re.compile(
    r"(?:不|勿|别|避免|禁止|切忌|防止|严禁|未|杜绝|忌|轻信|相信|迷信|警惕|没有|无法|难以|并非|谨慎|如果|若)[^，。；！？]{0,20}$"
)
"""What stands before a piece of advice that is spoken against; in the same clause."""

ADVICE: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "叫人自行改动用药",
        re.compile(
            rf"{_ALLOW}[^，。；不勿避免]{{0,6}}(?:自行|自己|随意|随时|擅自)[^，。；不]{{0,4}}"
            r"(?:停药|停用|减药|减量|加药|加量|换药|增减|调整(?:药|剂|用)|(?:购|买)[^，。；]{0,4}药|服药|用药|服用|注射)"
        ),
    ),
    (
        "叫人自行改动用药",
        re.compile(
            r"(?:感觉|症状)[^，。；]{0,6}(?:好转|缓解|减轻|好了|消失)[^。；]{0,6}(?:就可以|就可|即可|就能|马上|立即)(?:自行)?(?:停药|停用|不[用再]吃药)"
        ),
    ),
    (
        "叫人不看医生",
        re.compile(
            r"(?:不用|不必|无需|不需要?|没必要|没有必要|用不着|不要)(?:再|去|专门|特意)*(?:看病|看医生|找医生|问医生|去医院|上医院|就医|就诊|咨询医生)"
        ),
    ),
    (
        "推荐偏方",
        re.compile(rf"(?:{_ALLOW}|推荐|试试|试用|采用|使用|用|服用)[^，。；不勿]{{0,6}}(?:偏方|土方|秘方|祖传)"),
    ),
    ("叫人超量用药", re.compile(rf"{_ALLOW}[^，。；不勿避免]{{0,6}}(?:加倍|超量|过量|大量)(?:地)?(?:服|用药|吃药)")),
)
"""Advice that no answer may give: the label, and its pattern."""

PROMISES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "绝对的承诺",
        re.compile(r"包治|药到病除|永不复发|绝不复发|不会再?复发|保证(?:能|会|可以)?(?:治好|治愈|痊愈|康复|有效|见效)"),
    ),
    ("绝对的承诺", re.compile(r"(?:100|百分之?百|１００)\s*[%％]?(?:地|的)?(?:治愈|治好|有效|安全|康复|痊愈|成功)")),
    (
        "绝对的承诺",
        re.compile(
            r"(?:一定|必定|肯定|必然|保证|绝对|完全)(?:能|会|可以|能够|可)(?:够)?(?:被)?(?:治好|治愈|痊愈|康复|根治|恢复)"
        ),
    ),
    ("绝对的承诺", re.compile(r"(?<!才)(?:可以|可|能|能够|即可|就能)(?:彻底|完全)?根治(?![术性]|手术|切除)")),
    ("绝对的承诺", re.compile(r"(?:无|没有)(?:任何|一点)(?:毒)?(?:副作用|不良反应|风险|危险)|绝对(?:安全|无害|有效)")),
)
"""What no medicine can promise; it stands where the row's own evidence says so."""

# Figures can be read in one way only, and are not endless: else 40 digits take for ever to be found no dose.
_FIGURE, _TO = r"\d{1,12}(?:\.\d{1,12})?", r"\s{0,4}[-~～—–至到]\s{0,4}"
_AMOUNT = (
    rf"{_FIGURE}(?:{_TO}{_FIGURE}){{0,3}}(?:{_TO})?\s{{0,4}}"
    r"(?:mg|μg|ug|mcg|g|ml|mL|IU|U|iu|毫克|微克|克|毫升|万?单位|万U|片|粒|支|丸|袋|滴|揿)"
    r"(?![A-Za-z]|/\s*(?:L|l|dl|dL|mL|ml|升)|以下的?(?:结节|肿)|蛋白|结晶)"
)
_DOSE = re.compile(
    rf"(?:(?:剂量|用量|每[次日天晚周]|[一1][次日天]|\d+次|口服|服用|注射|肌注|肌内|静脉|静滴|静注|滴注|给予|给药|补充|使用|采用|应用|总量|加用)"
    rf"[^，。；]{{0,16}}?{_AMOUNT}|{_AMOUNT}\s*(?:/\s*[（(]?\s*(?:kg|d|次|日|天|h)|的?[^，。；]{{0,6}}(?:预防|口服|静脉|静滴|肌注|肌内|注射|顿服|每[日天次])))"
)
_NO_DRUG = re.compile(
    r"水|饮|奶|乳|食|尿|盐|血糖|脂|热量|蛋白|定量|摄入|体重|出血|失血|引流|排出|高于|低于|小于|大于|超过正常|检查|筛查|试验|负荷|剂量组|小鼠|大鼠|动物|细胞"
)
"""What is measured in the same units and is no dose: drink and food, losses, laboratory values, tests."""


def unsafe_advice(conversation: Conversation, _: Context) -> str | None:
    """Advice that could harm whoever follows it.

    A dose needs evidence: in a row without any it is refused; whether evidence gives that dose is `ungrounded`'s.
    """
    said = texts(conversation)
    evidence = "\n".join("；".join(item.fact.values) for item in conversation.evidence)
    for answer in said.answers:
        for label, pattern in ADVICE:
            for found in pattern.finditer(answer):
                if not _DENIED.search(answer[: found.start()]):
                    return reason(label, around(answer, found))
        for label, pattern in PROMISES:
            for found in pattern.finditer(answer):
                if not _DENIED.search(answer[: found.start()]) and found.group() not in evidence:
                    return reason(label, around(answer, found))
        if not evidence:
            for found in _DOSE.finditer(answer):
                if not _NO_DRUG.search(answer[max(0, found.start() - 8) : found.end()]):
                    return reason("没有依据的剂量", around(answer, found))
    return None
