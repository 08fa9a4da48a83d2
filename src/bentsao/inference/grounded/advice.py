"""Advice that no fact bears out: what to do with one's medicines, promises, and any other call to act.

Works on the words of one sentence. Names and figures are the verifier's matter; this is for what neither is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bentsao.core.records import Fact
from bentsao.knowledge.normalise import normalise

_UNSAFE = re.compile(
    "(?:自行|自己|随意|擅自|随时)[^,;。]{0,4}(?:停药|停用|减药|减量|加药|加量|换药|调整|买药|购药|服药|服用|注射)"
    "|停药|停用|停服|(?:剂量|用量|药量)?(?:加倍|翻倍)|偏方|土方|秘方|祖传"
    "|(?:不用|不必|无需|不需要?|没有?必要|用不着|不要)[再去专门特意]{0,3}(?:看病|看医生|找医生|问医生|就医|就诊|去医院|上医院)"
    "|包治|根治(?![术性]|切除)|药到病除|(?:永|绝|不会再?)不?复发|(?:保证|一定|肯定|必定|绝对)能?会?(?:治好|治愈|痊愈|康复|有效|安全)"
    "|(?:没有|无)任何(?:副作用|不良反应|风险)"
)
"""What no answer may say of its own accord."""

_SPOKEN_AGAINST = re.compile("(?:[勿忌禁防]|不[要可能宜应得]|避免|切莫|严禁)[^,;。]{0,6}$")

_LEFT_OPEN = re.compile("[^,;。]{0,12}(?:适不适合|能不能|是否|要不要|可不可以|该不该)|[^;。]{0,20}[问由让听]医生")
"""What leaves it to somebody who knows."""

_CALL = re.compile("建议|推荐|应该(?!的)|应当|必须|务必|最好|不妨|尽量|立即|立刻|马上|可服|试试|服用|涂抹|停用")
"""What calls to act."""

_BARE = re.compile(
    "(?:(?:是的?|对|嗯),?)?(?:可以|能|行|会|不会|没问题|没事|放心)(?:一起|同时|继续|再)?(?:吃|用|服用|服|喝)?(?:的|吧|呢)?"
    "(?:,?(?:没问题|没事|放心|很安全|安全))?"
)
"""Yes or no by itself, which nobody can check."""

_TO_A_DOCTOR = re.compile("医生|医师|药师|就医|就诊|医院|门诊|急诊|120|咨询|面诊")


def baseless_advice(sentence: str, facts: Sequence[Fact], *, borne_out: bool) -> str | None:
    """Why the sentence's advice may not stand, in Chinese; None where it may.

    borne_out: the sentence states a fact. Sending the person to a doctor is no advice that needs a fact, and whatever
    a fact says in the same words may be said.
    """
    words = normalise(sentence).text
    if _BARE.fullmatch(re.sub(r"\[\d+\]|[。.!?]", "", words).strip()):
        return "只说可以或会不会，没有说依据。"
    known = "\n".join(normalise(value).text for fact in facts for value in fact.values)
    for found in _UNSAFE.finditer(words):
        against = _SPOKEN_AGAINST.search(words[: found.start()]) or _LEFT_OPEN.match(words, found.end())
        if found.group() not in known and not against:
            return f"没有依据的建议：“{found.group()}”。"
    call = _CALL.search(words)
    if call and not borne_out and call.group() not in known and not _TO_A_DOCTOR.search(words):
        return f"没有依据的建议：“{call.group()}”。"
    return None
