"""Other ways of writing a name that sources do not list: without brackets, without its last, self-evident word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bentsao.knowledge.linking.words import ACIDS, BROAD, EFFECTS, FORMS
from bentsao.knowledge.schema import Kind

_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_TERM = re.compile(r"(?:[病症征炎癌瘤疹疮癣毒]|感染|损伤|障碍|贫血|骨折|畸形|缺乏|不全|[a-z]{4,})$")

_SELF_EVIDENT = (
    re.compile(r"(?:综合征|综合病)$"),
    re.compile(r"(?<!合并)症$"),
    # 帕金森病, but not 心脏病: what is left must not be a part of the body, unless it is long enough to tell.
    re.compile(r"(?:(?<=.{5})|(?<![心肝肺肾骨节肤腺血胃肠眼耳鼻喉膜脏官体脉髓肌神经科疾]))病$"),
)
_UNFINISHED = ("性", "型", "样", "后", "前", "管", "统", "织", "泌", "脑")
_OF_A_KIND = re.compile(r"(?<=..)(?<![男女雌雄亚])性(?=..)")
_AGES = (("小儿", "儿童"), ("儿童", "小儿"), ("老年人", "老年"), ("老年", "老年人"))

_FORM = re.compile(
    r"(?:肠溶|缓释|控释|分散|泡腾|咀嚼|口服|注射|滴眼|浓缩|硬|薄膜衣|速释|含)?"
    rf"(?:{'|'.join(sorted(FORMS, key=len, reverse=True))}|注射用|溶液|散|贴|针|剂|液)$"
)
_SALT = re.compile(rf"^(?:注射用|重组人?|{'|'.join(ACIDS)})")
_EFFECT = re.compile(rf"(?:[{EFFECTS}][^{EFFECTS}]{{1,2}})+$")


def variants(name: str, kind: Kind) -> Iterator[str]:
    """Other ways of writing a normalised name of an entity of this kind, without the name itself; may repeat."""
    if match := _BRACKETS.search(name):
        without = _BRACKETS.sub("", name)
        yield without
        yield _BRACKETS.sub(r"\1", name)
        if match.end() == len(name) and _TERM.search(match.group(1)):
            yield match.group(1)
        yield from variants(without, kind)
        return
    if "/" in name:
        yield name.replace("/", "")
    if kind == "drug":
        yield from _drug_variants(name)
    elif kind in {"disease", "symptom", "other"}:
        yield from _disease_variants(name)


def _disease_variants(name: str) -> Iterator[str]:
    for ending in _SELF_EVIDENT:
        stem = ending.sub("", name)
        if len(stem) < len(name) and (len(stem) > 2 or stem in BROAD) and not stem.endswith(_UNFINISHED):
            yield stem
    if match := _OF_A_KIND.search(name):
        yield name[: match.start()] + name[match.end() :]
    for written, meant in (("痛", "疼"), ("疼", "痛")):
        if written in name and meant not in name:
            yield name.replace(written, meant)
    for written, meant in _AGES:
        if name.startswith(written) and not name.startswith(meant):
            yield meant + name[len(written) :]


def _drug_variants(name: str) -> Iterator[str]:
    for stem in (_FORM.sub("", name), _SALT.sub("", name), _SALT.sub("", _FORM.sub("", name))):
        if 3 <= len(stem) < len(name) and not _EFFECT.match(stem):
            yield stem
