"""verify: the claims of a text against facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bentsao.core.records import Fact
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.verify.evidence import USES, Aliases, Evidence, written
from bentsao.knowledge.verify.items import is_name, is_no_more, items
from bentsao.knowledge.verify.judging import Ruling, judge_name, judge_quantities, judge_statement, together
from bentsao.knowledge.verify.mentions import Mentions, stands_alone
from bentsao.knowledge.verify.quantities import quantities
from bentsao.knowledge.verify.reading import Name, Reading, Role, cue_words, is_cue, speaks_of_list
from bentsao.knowledge.verify.stance import use
from bentsao.knowledge.verify.statements import statements
from bentsao.knowledge.verify.verdicts import Claim, Verdicts


def verify(
    text: str, facts: Sequence[Fact], *, vocabulary: Mentions | None = None, aliases: Aliases | None = None
) -> Verdicts:
    """Each claim of a text with its verdict, and the values of the facts that the text does not state.

    Claims are the values of the facts and the names of the vocabulary that the text mentions, what it lists after the
    name of an attribute (症状包括……) or before it (……等症状), quantities with units, and statements with yes or no
    (没有传染性, 孕妇禁用). The subjects of the facts, questions and general advice (请及时就医) claim nothing.

    Without a `vocabulary` a name is known only from the facts and from lists; `aliases` gives the other names of a
    name, all of which the text may use.
    """
    normalised = normalise(text)
    evidence = Evidence(facts, vocabulary, aliases)
    reading = Reading(normalised.text, _names(normalised.text, evidence, vocabulary))
    rulings = sorted(_rulings(reading, evidence), key=lambda ruling: ruling.start)
    claims: list[Claim] = []
    for ruling in rulings:
        start, end = normalised.span(ruling.start, ruling.end)
        claims.append(
            Claim(
                start=start, end=end, text=text[start:end], verdict=ruling.verdict, reason=ruling.reason,
                fact=ruling.fact, value=ruling.value,
            )
        )  # fmt: skip
    return Verdicts(claims=tuple(claims), missing=_missing(facts, rulings))


def _rulings(reading: Reading, evidence: Evidence) -> Iterator[Ruling]:
    taken: list[tuple[int, int]] = []
    for statement in statements(reading, evidence.facts):
        taken.append((statement.start, statement.end))
        yield judge_statement(reading, evidence, statement)
    reading.topics = [topic for topic in reading.topics if not _is_value(reading, evidence, topic)]
    names = [name for name in reading.names if name.role != "condition" and name not in reading.topics]
    listed = _listed(reading)
    taken_up = {name for span in listed for name in _inside(reading, *span)}
    spans = [(name.start, name.end, name.own) for name in names if name not in taken_up]
    for start, end, own in spans + [(start, end, reading.text[start:end]) for start, end in listed]:
        if not any(left < end and start < right for left, right in taken):
            ruling = judge_name(reading, evidence, start, end, own)
            if ruling is not None:
                yield ruling
    measured = [
        quantity
        for quantity in quantities(reading.masked)
        if not reading.idle(quantity.start, quantity.end)
        and not any(start <= quantity.start and quantity.end <= end for start, end in listed)
    ]
    for group in together(reading, measured):
        yield from judge_quantities(reading, evidence, group)


# --- the names in a text --------------------------------------------------------------------------

_MODIFIER = re.compile(r"(?:[^\W\d_男女雌雄能起现生致为有是的伴出会可见和与及或于患]?[^\W\d_男女雌雄能][性型]|偏)$")
"""What makes another name of the one after it, where no vocabulary knows the longer name: 病毒性, 偏."""

_LOOSE = re.compile(r"[\W\d_和与及或在于为是有的到挂看等查以括如]")
"""What may stand beside a name that is only one where it stands by itself."""


def _names(text: str, evidence: Evidence, vocabulary: Mentions | None) -> list[Name]:
    """The names in the text, the longest first where they overlap."""
    ranked: dict[tuple[int, int], tuple[int, Name]] = {}

    def add(start: int, end: int, own: str, role: Role, rank: int) -> None:
        """Of two names at one place the one with the higher rank counts."""
        if (start, end) not in ranked or ranked[start, end][0] < rank:
            ranked[start, end] = (rank, Name(start, end, own, role))

    cues = cue_words(text)
    for start, end, own in vocabulary.find(text) if vocabulary else ():
        if not is_cue(text[start:end]):
            subject = evidence.subjects.get(written(own))
            add(start, end, subject or written(own), "subject" if subject else "value", 0)
    for condition in evidence.conditions:
        for start, end in _places(text, condition):
            add(start, end, condition, "condition", 2)
    for surface, entries in evidence.names.items():
        rank = 4 if any(written(entry.value) == surface for entry in entries) else 1
        for start, end in _places(text, surface):
            if vocabulary is None and (modifier := _MODIFIER.search(text, 0, start)):
                add(modifier.start(), end, text[modifier.start() : end], "value", 1)
            elif not is_cue(surface) or not speaks_of_list(text, start, end):
                add(start, end, surface, "value", rank)
    for surface, subject in evidence.subjects.items():
        for start, end in _places(text, surface):
            add(start, end, subject, "subject", 5 if surface == written(subject) else 3)
    free = [True] * len(text)
    out: list[Name] = []
    for _, name in sorted(
        ranked.values(), key=lambda found: (found[1].start - found[1].end, -found[0], found[1].start)
    ):
        if all(free[name.start : name.end]) and not _is_part(text, name, cues):
            free[name.start : name.end] = [False] * (name.end - name.start)
            out.append(name)
    return sorted(out)


def _is_part(text: str, name: Name, cues: Sequence[tuple[int, int]]) -> bool:
    """Whether a name only makes part of another word: 低磷血症性…, 抗维生素D…, 非手术治疗, 病理 in 病理分型."""
    if text[name.end : name.end + 1] in {"性", "型"} or text[max(0, name.start - 1) : name.start] in {"抗", "非"}:
        return True
    return any(start <= name.start and name.end <= end and end - start > name.end - name.start for start, end in cues)


def _places(text: str, surface: str) -> Iterator[tuple[int, int]]:
    start = text.find(surface)
    while start >= 0:
        end = start + len(surface)
        if stands_alone(text, start, end) and (not _is_vague(surface) or _is_loose(text, start, end)):
            yield start, end
        start = text.find(surface, end)


def _is_vague(surface: str) -> bool:
    """肺, 手术: words that are a value only where they stand by themselves."""
    return len(surface) == 1 or (len(surface) == 2 and is_cue(surface))


def _is_loose(text: str, start: int, end: int) -> bool:
    return all(not side or _LOOSE.match(side) for side in (text[max(0, start - 1) : start], text[end : end + 1]))


def _listed(reading: Reading) -> list[tuple[int, int]]:
    """The items of lists that no known name stands for.

    An item that is more than a known name (全身麻醉 and 全身) is another one, but for plain words (明显头痛).
    """
    out: list[tuple[int, int]] = []
    for start, end in _lists(reading):
        for left, right in items(reading.text, start, end):
            item, inside = reading.text[left:right], _inside(reading, left, right)
            if any(name.start < left or right < name.end for name in inside):
                continue  # a name that has a separator in it
            if inside and is_no_more(item, [(name.start - left, name.end - left) for name in inside]):
                continue
            about = reading.attributes(left, right)
            if about and about <= USES and use(item):
                continue  # 孕妇用药：禁用 is a statement
            if is_name(item) and not _is_vague(item) and not reading.idle(left, right) and _unmeasured(item):
                out.append((left, right))
    return list(dict.fromkeys(out))


def _is_value(reading: Reading, evidence: Evidence, topic: Name) -> bool:
    """Whether a subject is named as a value of another one: 肝癌 in 肝硬化的并发症包括肝癌."""
    named = evidence.names.get(reading.text[topic.start : topic.end], ())
    attributes = reading.attributes(topic.start, topic.end) or ()
    return any(entry.fact.subject != topic.own and entry.fact.attribute in attributes for entry in named)


def _inside(reading: Reading, start: int, end: int) -> list[Name]:
    return [name for name in reading.names if name.start < end and start < name.end]


def _unmeasured(item: str) -> bool:
    """Whether an item is no quantity; an age that is part of it (45岁以上女性) makes it none."""
    found = quantities(item)
    return all(quantity.dimension == "age" and quantity.end - quantity.start < len(item) for quantity in found)


def _lists(reading: Reading) -> Iterator[tuple[int, int]]:
    """Where the text lists values after the name of an attribute, or before it."""
    for number, cue in enumerate(reading.cues):
        if cue.back:
            start, _ = reading.clause(cue.start)
            before = [other.end for other in reading.cues[:number] if other.end <= cue.start]
            opened = _OPENED.match(reading.masked, max([start, *before]), cue.start)
            yield opened.end() if opened else max([start, *before]), cue.start
        else:
            yield cue.end, reading.list_end(cue)


_OPENED = re.compile(r".*(?:出现|包括|例如|比如|如|有|导致|引起|引发|并发|表现为|进行|采用|使用|服用|给予|选用)")
"""What opens a list that is named at its end: 可出现A、B等症状."""


def _missing(facts: Sequence[Fact], rulings: Iterable[Ruling]) -> tuple[Fact, ...]:
    stated = {(id(fact), value) for ruling in rulings for fact, value in ruling.stated}
    out: list[Fact] = []
    for fact in facts:
        left = tuple(value for value in fact.values if (id(fact), value) not in stated)
        if left:
            out.append(fact if left == fact.values else fact.model_copy(update={"values": left}))
    return tuple(out)
