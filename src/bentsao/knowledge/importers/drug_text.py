"""Reader of drug monographs (`drug.json`): a JSON array of texts, the name on the first line, then `名:值` lines.

The values are running text: indications, adverse reactions and contraindications become terms where that is safe
(`phrases.py`) and clauses where not. Some monographs were copied line by line from a page of two columns, so that
sentences are mixed up; nothing but names is taken from those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from bentsao.core.errors import DataError, Fault
from bentsao.core.files import iterate_json
from bentsao.knowledge.importers import phrases, values
from bentsao.knowledge.importers.drafting import Draft
from bentsao.knowledge.importers.looking import Look
from bentsao.knowledge.importers.outline import Clause, clauses
from bentsao.knowledge.rows import EntityRow, Skipped

SCRAMBLED = "正文错乱（分栏文字串行）"
SEE_OTHER = "参见其他条目"
UNIT_LOST = "单位的上标在原文件里丢失（mg/m、×10/L）"


def knows(look: Look) -> bool:
    """Bare texts."""
    return look.texts


def read(path: Path) -> Iterator[EntityRow | Skipped]:
    """One drug a text. Raises DataError at the end with all items that are no monograph."""
    faults: list[Fault] = []
    for place, item in iterate_json(path):
        if isinstance(item, Fault):
            faults.append(item)
        elif not isinstance(item, str) or "\n" not in item.strip():
            faults.append(place.fault("条目", item, "应是一段文字：第一行是药名，其后每行是“名:值”。"))
        else:
            yield from _monograph(item.strip(), place.row)
    if faults:
        raise DataError(faults)


_SCRAMBLED_FIELDS = frozenset({"药理作用", "药动学", "专家点评"})


def _monograph(text: str, row: int) -> Iterator[EntityRow | Skipped]:
    name, *lines = text.split("\n")
    fields = [tuple(part.strip() for part in re.split("[:：]", line, maxsplit=1)) for line in lines if line.strip()]
    draft = Draft("" if name.startswith("【") else name, "drug", row)
    scrambled = (
        "【" in text
        or any(ord(character) < 32 and character not in "\n\t" for character in text)
        or any(field[0] in _SCRAMBLED_FIELDS for field in fields)
    )
    for field in fields:
        if len(field) != 2:
            draft.leave_out(values.BROKEN, field[0])
        elif scrambled and field[0] not in NAMES:
            draft.leave_out(SCRAMBLED, field[1])
        elif field[0] not in FIELDS:
            draft.leave_out(values.UNMAPPED + field[0][:20], field[1])
        else:
            FIELDS[field[0]](draft, field[1])
    yield from draft.rows()


# --- names and classes -----------------------------------------------------------------------------------------------


def _other_names(draft: Draft, text: str) -> None:
    for name in values.split_list(text, "；;、"):
        draft.alias(name)


def _english(draft: Draft, text: str) -> None:
    draft.alias(text, "english")


def _classes(draft: Draft, text: str) -> None:
    draft.facts("分类", values.split_list(text, "，,"))


def _forms(draft: Draft, text: str) -> None:
    """The dosage forms without their strengths: `片剂：0.25g。胶囊剂：…`."""
    forms = re.findall(
        r"(?:片|胶囊|颗粒|冲|散|丸|膏|酊|栓|糖浆|注射|溶液|口服液|气雾|喷雾|滴眼|滴鼻|煎膏|酒|合|茶|粉雾)剂", text
    )
    draft.facts("剂型", dict.fromkeys(forms))


# --- terms -----------------------------------------------------------------------------------------------------------


def _terms(attribute: str, take_apart: Callable[[str], list[phrases.Term] | None]) -> Callable[[Draft, str], None]:
    """A field whose sentences are taken apart into terms; a sentence that resists stays as one short clause."""

    def take(draft: Draft, text: str) -> None:
        for clause in _told(draft, text):
            if attribute == "适应症" and clause.headings and (name := phrases.heading(clause.headings[-1])):
                draft.fact(attribute, name)
            for part in phrases.uses(clause.text):
                terms = take_apart(part)
                if terms is None and len(part) <= values.TERM_LIMIT:
                    draft.fact(attribute, phrases.without_lead(part))
                elif terms is None:
                    draft.leave_out(values.SENTENCE, part)
                for term in terms or ():
                    draft.fact(term.attribute or attribute, term.text, term.qualifier)

    return take


_UNIT_LOST = re.compile(r"[gUI]/m(?![lLgi²2])|×10/")
_FLAT_POWER = re.compile(r"×10([3-9]|1[0-2])/L")


def _told(draft: Draft, text: str) -> Iterator[Clause]:
    """The clauses that say something: no placeholder, no reference to another monograph, no figure without its unit."""
    for clause in clauses(_FLAT_POWER.sub(r"×10^\1/L", text)):
        if any(re.match(r"(?:其[他余]|作用|余|应)?可?参[见照]", part) for part in (*clause.headings, clause.text)):
            draft.leave_out(SEE_OTHER, clause.text)
        elif (reason := values.why_not(values.tidy(clause.text), running=True)) == values.PLACEHOLDER:
            draft.leave_out(reason, clause.text)
        elif _UNIT_LOST.search(clause.text):
            draft.leave_out(UNIT_LOST, clause.text)
        else:
            yield clause


# --- running text ----------------------------------------------------------------------------------------------------

_POPULATIONS = re.compile(
    r"(?:成人|成年人|儿童|小儿|婴幼?儿|新生儿|幼儿|老年人?|老人|孕妇|[肝肾]+功能不全)(?:患?者|患者|时|用量|剂量|常规剂量)*"
)
_SPECIAL = {"孕妇用药": r"妊娠|孕妇|哺乳", "儿童用药": r"儿童|小儿|婴幼?儿", "老年用药": r"老人|老年"}
_PREGNANT = re.compile(r"(?:孕妇|妊娠期?妇女)(?:[及和、]哺乳期?妇女)?(?:禁|忌|慎|不宜)")


def _texts(attribute: str) -> Callable[[Draft, str], None]:
    def take(draft: Draft, text: str) -> None:
        for clause in _told(draft, text):
            for piece in _short_enough(clause):
                _text(draft, attribute, piece)

    return take


def _short_enough(clause: Clause) -> Iterator[Clause]:
    """A clause over the limit is split at its semicolons."""
    whole = len(clause.text) + sum(map(len, clause.headings)) <= values.TEXT_LIMIT
    for text in [clause.text] if whole else re.split("[；;]", clause.text):
        yield Clause(clause.headings, text)


def _text(draft: Draft, attribute: str, clause: Clause) -> None:
    """One clause: a heading that names a group of patients becomes the qualifier, or says which attribute it is of."""
    qualifier: str | None = None
    headings: list[str] = []
    for heading in clause.headings:
        special = next((name for name, words in _SPECIAL.items() if re.search(words, heading)), None)
        if attribute == "用法用量" and _POPULATIONS.fullmatch(heading):
            qualifier = heading
        elif attribute == "注意事项" and special and re.search("影响|用药|安全|注意|使用", heading):
            attribute = special
            qualifier = "哺乳期" if "哺乳" in heading and "妊娠" not in heading and "孕" not in heading else None
        else:
            headings.append(heading)
    if attribute == "注意事项" and _PREGNANT.match(clause.text):
        attribute = "孕妇用药"
    draft.fact(attribute, "：".join([*headings, clause.text]), qualifier)


NAMES: dict[str, Callable[[Draft, str], None]] = {"英文名": _english, "别名": _other_names, "药品类型": _classes}
"""The fields that are right even where the text is scrambled."""

FIELDS: dict[str, Callable[[Draft, str], None]] = {
    **NAMES,
    "剂型": _forms,
    "适应证": _terms("适应症", phrases.indications),
    "禁忌证": _terms("禁忌证", phrases.contraindications),
    "不良反应": _terms("不良反应", phrases.reactions),
    "注意事项": _texts("注意事项"),
    "用法用量": _texts("用法用量"),
    "药物相互作用": _texts("药物相互作用"),
}
"""What each field of a monograph becomes."""
