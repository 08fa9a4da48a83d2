"""Sentences of drug monographs taken apart into terms: `用于防治各种原因引起的白细胞减少、再生障碍性贫血等。`

A sentence gives either all its terms or None: one with a member that is no term is left whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentsao.knowledge.importers.values import split_list


@dataclass(frozen=True)
class Term:
    """qualifier None: it always holds. attribute None: the attribute that the sentence stands under."""

    text: str
    qualifier: str | None = None
    attribute: str | None = None


_LEAD = re.compile(
    r"^(?:本[品药]|临床上?|主要|主|多|常|亦|也|还|可|适|并|或|以及?)*"
    r"(?:用于|用作|应用于|适用于|用来)(?:防治|(?:预防|治疗)[和与及](?:预防|治疗)|治疗|预防)?"
    r"|^(?:本[品药]|主要|主|可|适)*(?:防治|治疗|主治)"
)
_NEXT_USE = re.compile(
    r"[；;]|[，,](?=(?:也|亦|还|并|且|又|尤其|可|常)*(?:适?用于|适于|用作))|(?<=等)[，,](?=可|也|亦|常|应)"
)
_VARIOUS = re.compile(r"^(?:各种(?:类?型)?的?|各型|各类|下列|以下)")
_AND_SO_ON = re.compile(
    r"等?(?:[属而]?见有?(?:上述|以上)(?:各?种?)(?:症状?|证候|表现)者?|[诸各]症)$"
    r"|等(?:各种)?(?:症状?|病症?|疾病|疾患|证候?|患者|者)?(?:的?(?:辅助)?治疗)?$|(?:患者|病人)(?:的(?:辅助)?治疗)?$"
)
_ALSO = re.compile(r"^(?:如|兼见?|或兼?见?|伴有?|甚则|甚或|以及|尤其是?)(?=..)")
_CAUSED = re.compile(r"(?:由|因)?(.{2,16}?)所?(?:引起|所致|导致|造成|而致)(?:的|之|：|:)?(.{2,})")
_SIGNS = re.compile(r"([^，、]{3,12})[，,](?:表现为|症见|证见|见|而见)[：:]?(?=.)")
_PULSE_AND_TONGUE = re.compile(r"[舌苔脉].*|[浮沉迟数虚滑涩弦细弱缓紧洪濡无力]{2,4}|[薄少无黄白腻]+苔")
_BRACKETS = re.compile(r"[(（][^()（）]*[)）]")
_TELLS = re.compile(
    r"的|本[品药]|其[他中]?|可[以用能见作]|不能(?![眠寐食])|不[宜应会]|(?<![反适])应(?!激)|须(?!发)|由于|因[为而]|若|上述|患者|病人|病例"
    r"|表现|具有|使用|治疗|服药|用药|停药|剂量|西医|中医|报道|无明显|未见|较|以上|以下|增强|降低血|参见|出现|发生|引起"
    r"|所致|一般|如下|作用|药理|研究|证明|试验|配伍|合用|同用|联用|同服|不明"
    r"|为|每|^[而天以]|次$"
)
_TERM = re.compile(r"[\w\-/αβγδ+、]{2,16}")
_NO_NAMES = re.compile(
    r"其[他它]|(?:应用|适用)范围|临床(?:应用|表现)|辨证要点|效用分析|.*如下|.*宜|[妇儿内外]科|妇女|轻微|极?少见"
    r"|(?:亚?急|慢|原发|继发|良|恶|先天|获得|活动)性|[轻中重]度|严重|早期|晚期|局部|全身|老年"
)
_MEASURED = re.compile(r".*(?:酶|细胞|血小板|血红蛋白|胆红素|肌酐|尿素氮|胆固醇)")


def uses(sentence: str) -> list[str]:
    """The parts of a sentence that each say what the drug is for: `用于哮喘；也用于鼻炎`."""
    return [part for part in (part.strip("，, ") for part in _NEXT_USE.split(sentence)) if part]


def without_lead(sentence: str) -> str:
    """The sentence without `用于`, `适用于` and the like."""
    return _LEAD.sub("", sentence) or sentence


def heading(text: str) -> str | None:
    """The indication that a heading over a paragraph names (`2.治疗高血压：…`); None if it names none."""
    text = without_lead(text)
    return text if is_term(text) else None


def indications(sentence: str) -> list[Term] | None:
    """`用于外感风热引起的发热、咽痛` gives 发热 and 咽痛 under the condition 外感风热."""
    text = _VARIOUS.sub("", _LEAD.sub("", _BRACKETS.sub("", sentence)))
    condition: str | None = None
    terms: list[Term] = []
    if (signs := _SIGNS.match(text)) and is_term(signs[1]):
        condition, text = signs[1], text[signs.end() :]
        terms.append(Term(signs[1]))
    for item in _members(text):
        name, qualifier = item, condition
        if caused := _CAUSED.fullmatch(item):
            name, qualifier = caused[2], None if re.search("各种|多种|不同|^原因$", caused[1]) else caused[1]
            condition = qualifier if not terms else condition
        if not is_term(name):
            return None
        if not _PULSE_AND_TONGUE.fullmatch(name):
            terms.append(Term(name, qualifier))
    return terms or None


_SEVERITY = {"偶": "偶见", "罕见": "罕见", "极少": "罕见", "少见": "少见", "常见": "常见", "个别": "个别病例"}
_REACTION_LEAD = re.compile(
    r"^(?:本[品药]|不良反应|副作用|毒性反应|少数|个别|部分|某些|患者|病人|病例|主要|最?较?常见|较?少见|极?罕见|极少数?"
    r"|偶尔|偶[见有可]?|有时|还|尚|也|亦|可[见有能]?|有|会|出现|发生|引起|导致|致|为|表现为|的|是|：|，)+"
)


def reactions(sentence: str) -> list[Term] | None:
    """`偶见胃部不适、腹泻` gives 胃部不适 and 腹泻 under the condition 偶见."""
    text = _BRACKETS.sub("", sentence)
    lead = _REACTION_LEAD.match(text)
    said = lead[0] if lead else ""
    qualifier = next((name for word, name in _SEVERITY.items() if word in said), None)
    items = _members(text[len(said) :])
    # 白细胞、血小板减少: what is measured is no reaction without what becomes of it.
    whole = items and all(is_term(item) and not _MEASURED.fullmatch(item) for item in items)
    return [Term(item, qualifier) for item in items] if whole else None


_FORBIDDEN = re.compile(
    r"(?:者|患者|病人)?(?:均|应|者)?(?:绝对)?(?:禁用|忌用|忌服|禁服|禁忌|不宜使用|不宜服用)(?:本[品药])?$"
)
_CAREFUL = re.compile(r"(?:应)?慎[用服]$")
_ALLERGIC = re.compile(r"^对?(?:本[品药])(?:的?(?:任何)?成[分份])?(?:及其成[分份])?过敏(?:者|患者)?$")


def contraindications(sentence: str) -> list[Term] | None:
    """`对本品过敏者、孕妇禁用` gives 对本品过敏 and 孕妇; what is 慎用 is a precaution."""
    text = _BRACKETS.sub("", sentence)
    careful = _CAREFUL.search(text)
    text = _FORBIDDEN.sub("", _CAREFUL.sub("", text))
    items: list[str] = []
    for part in split_list(text, "、；;，,"):
        item = "对本品过敏" if _ALLERGIC.match(part) else re.sub("(?:患者|病人|者)$", "", part)
        if item != "对本品过敏" and not is_term(item):
            return None
        items.append(item)
    if careful:
        return [Term(f"{item}慎用", attribute="注意事项") for item in items]
    return [Term(item) for item in items]


def _members(text: str) -> list[str]:
    """The members of an enumeration, without 等 and what follows it."""
    items = split_list(_AND_SO_ON.sub("", text.strip(" ，；：")), "、，,和及与或")
    return [_AND_SO_ON.sub("", _ALSO.sub("", item)) for item in items]


def is_term(text: str) -> bool:
    """Whether a piece of text is a name or a short phrase, and tells nothing."""
    return bool(_TERM.fullmatch(text)) and not _TELLS.search(text) and not _NO_NAMES.fullmatch(text)
