"""The rules: what a mention, a quantity or a statement is worth against the evidence.

- A fact speaks against a text that denies what it says, affirms what it rules out, or gives another figure for the same
  thing. Its values are no closed list, so a value that it does not have goes beyond it and does not contradict it.
- A value of another attribute (a symptom given as a complication) goes beyond the facts: they do not deny it. Only an
  indication given as a contraindication, or the reverse, is contradicted.
- A name more general than the fact's (头痛 for 搏动性头痛) is supported where that follows (`evidence.GENERAL`); a more
  special one goes beyond the fact.
- What holds under another condition (成人, not 儿童) goes beyond the fact; where the text leaves a fact's condition
  out it is supported, and the reason says so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from bentsao.core.records import Fact
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.verify.cues import EACH_ITS_OWN, MEASURED, OTHER_TIMES, QUANTITY_HOME, QUANTITY_WORDS
from bentsao.knowledge.verify.evidence import Entry, Evidence, Figures, written
from bentsao.knowledge.verify.quantities import Quantity, compare
from bentsao.knowledge.verify.reading import Reading, Span, conditions_of
from bentsao.knowledge.verify.stance import Stance
from bentsao.knowledge.verify.statements import QUESTIONS, Statement, known_answers
from bentsao.knowledge.verify.verdicts import Verdict


class Ruling(NamedTuple):
    """A verdict on `text[start:end]` of the normalised text. `stated`: the facts and values that it thereby states."""

    start: int
    end: int
    verdict: Verdict
    reason: str
    fact: Fact | None = None
    value: str | None = None
    stated: tuple[tuple[Fact, str], ...] = ()


# --- names ----------------------------------------------------------------------------------------


def judge_name(reading: Reading, evidence: Evidence, start: int, end: int, own: str) -> Ruling | None:
    """The ruling on a name (`own`: its entity's name); None where the text only asks about it or supposes it away."""
    name, taken = reading.text[start:end], reading.stance(start, end)
    if taken.asked or reading.idle(start, end) or (taken.negative and reading.supposed(start)):
        return None
    ruling = None
    if entries := evidence.entries(name, own):
        ruling = _judge_entries(reading, (start, end), taken, entries, evidence.conditions, exact=True)
    if (ruling is None or ruling.verdict == "beyond") and (entries := evidence.narrower(name)):
        general = _judge_entries(reading, (start, end), taken, entries, evidence.conditions, exact=False)
        ruling = general if ruling is None or general.verdict != "beyond" else ruling
    if ruling is not None:
        return ruling
    near = evidence.wider(name)
    if near is None:
        return Ruling(start, end, "beyond", f"事实中没有“{name}”。")
    return Ruling(start, end, "beyond", f"比事实具体：事实只说“{near.value}”。", near.fact, near.value)


def _judge_entries(
    reading: Reading, span: Span, taken: Stance, entries: Sequence[Entry], conditions: Collection[str], *, exact: bool
) -> Ruling:
    """The ruling by what the facts say of a name, or (not `exact`) of things of which it is the general term.

    conditions: those of all facts.
    """
    start, attributes = span[0], reading.attributes(*span)
    ours, why = _of_subjects(reading, start, entries)
    fitting = [entry for entry in ours if _fits(entry, attributes)]
    holding = [entry for entry in fitting if not _excluded(reading, start, entry.fact.qualifier, conditions)]
    if not holding:
        near = (fitting or ours or entries)[0]
        if fitting:
            why = f"事实的条件是“{near.fact.qualifier}”，文中说的是另一种情况。"
        elif ours:
            why = f"事实中这是“{near.fact.attribute}”，文中说成了别的。"
        return Ruling(*span, "beyond", why, near.fact, near.value)
    agreeing = [entry for entry in holding if _agrees(entry, taken, attributes)]
    first = min(agreeing or holding, key=lambda entry: _unsaid(reading, start, entry.fact.qualifier))
    if not agreeing:
        return Ruling(*span, "contradicted", _contrary(first, taken), first.fact, first.value)
    reason = (
        f"事实“{first.fact.attribute}”中有“{first.value}”。" if exact else f"比事实笼统：事实说的是“{first.value}”。"
    )
    if _unsaid(reading, start, first.fact.qualifier):
        reason += f"事实的条件是“{first.fact.qualifier}”，文中没有说。"
    stated = tuple((entry.fact, entry.value) for entry in agreeing) if exact else ()
    return Ruling(*span, "supported", reason, first.fact, first.value, stated)


def _of_subjects(reading: Reading, start: int, entries: Sequence[Entry]) -> tuple[list[Entry], str]:
    """The entries on those of whom the text speaks there, or none and why."""
    subjects = reading.subjects(start)
    if not subjects:
        return list(entries), ""
    ours = [entry for entry in entries if entry.fact.subject in subjects]
    if not ours:
        return [], f"事实说的是“{entries[0].fact.subject}”，文中说的是别的对象。"
    left, right = reading.sentence(start)
    if len(subjects) > 1 and not EACH_ITS_OWN.search(reading.text, left, right):
        lacking = [subject for subject in subjects if all(entry.fact.subject != subject for entry in ours)]
        if lacking:
            return [], f"文中说几个对象都如此，事实没有这样说“{lacking[0]}”。"
    return ours, ""


def _fits(entry: Entry, attributes: frozenset[str] | None) -> bool:
    """Whether the text, which speaks of these attributes, can mean this entry."""
    attribute = entry.fact.attribute
    if attributes is None or attribute in attributes or attribute not in ATTRIBUTES:
        return True
    return (attribute == "禁忌证" and "适应症" in attributes) or (attribute == "适应症" and "禁忌证" in attributes)


def _agrees(entry: Entry, taken: Stance, attributes: frozenset[str] | None) -> bool:
    attribute = entry.fact.attribute
    known = ATTRIBUTES.get(attribute)
    if attribute == "鉴别诊断":
        return True  # 不是X, 需排除X: what it must be told from
    if attribute == "适应症" and attributes and "禁忌证" in attributes:
        return taken.allowed or (taken.negative and not taken.against)  # 禁忌证不包括X, but not 禁用于X
    if known and known.polarity == "against":
        if attributes and "适应症" in attributes:
            return taken.negative
        if taken.negative:
            return taken.against or not attributes
        return not taken.allowed
    if entry.negative:
        return taken.negative
    return not taken.negative or (taken.against and attribute not in RECOMMENDED)


RECOMMENDED = frozenset(
    name for name, attribute in ATTRIBUTES.items() if attribute.values in {"drug", "operation", "examination"}
) | {"治疗方案", "辅助治疗", "饮食建议", "预防措施", "适应症", "术前准备", "术后护理"}
"""The attributes whose values are advised, so that to advise against one contradicts it. To avoid a cause does not."""


def _contrary(entry: Entry, taken: Stance) -> str:
    if taken.negative:
        return f"事实“{entry.fact.attribute}”中有“{entry.value}”，文中否定了它。"
    return f"事实“{entry.fact.attribute}”说的是“{entry.value}”，文中说的相反。"


def _excluded(reading: Reading, start: int, qualifier: str | None, conditions: Collection[str]) -> bool:
    """Whether the text speaks of another group than the fact does (成人, where the fact has 儿童), or says it under the
    condition of another fact (`中重度发作：`).
    """
    if qualifier is not None and reading.filed_under(start, conditions) not in (None, written(qualifier)):
        return True
    if not _unsaid(reading, start, qualifier):
        return False
    here = reading.conditions(start)
    return any(here.get(axis, group) != group for axis, group in conditions_of(written(qualifier or "")).items())


def _unsaid(reading: Reading, start: int, qualifier: str | None) -> bool:
    """Whether a fact's condition is not in the words of the sentence."""
    if qualifier is None:
        return False
    left, right = reading.sentence(start)
    return written(qualifier) not in reading.text[left:right]


# --- statements -----------------------------------------------------------------------------------


def judge_statement(reading: Reading, evidence: Evidence, statement: Statement) -> Ruling:
    """The ruling on a yes or a no, or on how something may be used."""
    subjects = reading.subjects(statement.start)
    known = [
        answer
        for answer in known_answers(statement.about, evidence.facts)
        if not subjects or answer.fact.subject in subjects
    ]
    span = (statement.start, statement.end)
    if statement.about in QUESTIONS and _of_another(reading, statement.start):
        return Ruling(*span, "beyond", "文中说的是别的对象。")
    if not known:
        return Ruling(*span, "beyond", f"事实没有说到“{statement.about}”。")
    same = [answer for answer in known if answer.answer == statement.answer]
    same = same or [answer for answer in known if (statement.answer, answer.answer) == ("careful", "allowed")]
    if same:
        stated = tuple((answer.fact, answer.value) for answer in same)
        return Ruling(*span, "supported", f"事实说“{same[0].value}”。", same[0].fact, same[0].value, stated)
    return Ruling(*span, "contradicted", f"事实说“{known[0].value}”，文中说的相反。", known[0].fact, known[0].value)


def _of_another(reading: Reading, start: int) -> bool:
    """Whether the clause opens with a name of which no fact speaks: 夜惊有传染性."""
    left, _ = reading.clause(start)
    return any(name.start == left and name.end <= start and name.role == "value" for name in reading.names)


# --- quantities -----------------------------------------------------------------------------------


def judge_quantities(reading: Reading, evidence: Evidence, said: Sequence[Quantity]) -> list[Ruling]:
    """The rulings on the quantities of one statement (dose, times a day, days; see `together`).

    The part of a value that bears most of them is asked first, so that the dose of one regimen with the rate of another
    is found out.
    """
    at = said[0].start
    subjects, here, (left, right) = reading.subjects(at), reading.conditions(at), reading.sentence(at)
    known = [
        figures
        for figures in evidence.figures
        if (not subjects or figures.fact.subject in subjects)
        and figures.label in reading.text[left:right]
        and all(here.get(axis, group) == group for axis, group in figures.conditions.items())
    ]
    known.sort(key=lambda figures: -sum(_best(quantity, figures) in {"same", "within"} for quantity in said))
    rulings = (_judge_quantity(reading, evidence, quantity, known) for quantity in said)
    return [ruling for ruling in rulings if ruling is not None]


def _judge_quantity(
    reading: Reading, evidence: Evidence, quantity: Quantity, known: Sequence[Figures]
) -> Ruling | None:
    """The ruling by the first known figures, then by the others; None for an age that is nobody's claim."""
    span, words = (quantity.start, quantity.end), reading.text[quantity.start : quantity.end]
    wanted, told = _wanted(reading, evidence, quantity)
    known = [figures for figures in known if not told or figures.fact.attribute in wanted]
    for candidates in (known[:1], known[1:]):
        for figures in candidates:
            found = _best(quantity, figures)
            if found in {"same", "within"}:
                why = "与事实相符" if found == "same" else "在事实的范围之内"
                stated = ((figures.fact, figures.value),) if found == "same" else ()
                return Ruling(*span, "supported", f"{why}：“{figures.value}”。", figures.fact, figures.value, stated)
        for figures in candidates:
            if figures.fact.attribute in wanted & MEASURED and _best(quantity, figures) == "apart":
                return Ruling(*span, "contradicted", f"事实是“{figures.value}”。", figures.fact, figures.value)
    if quantity.dimension == "age" and not wanted:
        return None
    return Ruling(*span, "beyond", f"事实中没有“{words}”。")


def _best(quantity: Quantity, figures: Figures) -> str | None:
    found = {compare(quantity, other, whole=figures.fact.attribute == "正常值") for other in figures.quantities}
    return next((agreement for agreement in ("same", "within", "apart") if agreement in found), None)


def _wanted(reading: Reading, evidence: Evidence, quantity: Quantity) -> tuple[frozenset[str], bool]:
    """The attributes that a quantity can be about, and whether the text tells so, so that it is about no other."""
    left, right = reading.clause(quantity.start)
    if quantity.dimension == "time" and OTHER_TIMES.search(reading.text, left, right):
        return frozenset(), True
    near = reading.text[max(left, quantity.start - 10) : min(right, quantity.end + 6)]
    told = (reading.attributes(quantity.start, quantity.end) or frozenset()) & MEASURED
    for dimension, words, attributes in QUANTITY_WORDS:
        if dimension == quantity.dimension and words.search(near):
            told |= attributes
            break
    above, _, below = quantity.dimension.partition("/")
    home = frozenset({"正常值"}) if below.endswith("volume") else QUANTITY_HOME.get(above, frozenset[str]())
    only = evidence.attributes if len(evidence.attributes) == 1 and quantity.dimension != "age" else set[str]()
    return told | home | only, bool(told)


def together(reading: Reading, found: Sequence[Quantity]) -> list[list[Quantity]]:
    """Quantities in groups that belong to one statement: one sentence, one condition, each dimension once."""
    groups: list[list[Quantity]] = []
    for quantity in found:
        last = groups[-1] if groups else None
        if (
            last
            and reading.sentence(last[0].start) == reading.sentence(quantity.start)
            and reading.conditions(last[0].start) == reading.conditions(quantity.start)
            and all(other.dimension != quantity.dimension for other in last)
        ):
            last.append(quantity)
        else:
            groups.append([quantity])
    return groups
