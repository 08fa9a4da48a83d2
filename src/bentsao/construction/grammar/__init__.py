"""The composer's sentences: question and answer patterns by attribute, in the TOML files beside this one.

To teach the composer another way of asking, add a line there. What the slots in braces stand for is said in `SLOTS`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

from pydantic import Field, ValidationError

from bentsao.core.complaints import in_one_line
from bentsao.core.errors import DataError, Fault
from bentsao.core.files import sha256_text
from bentsao.core.records import Record
from bentsao.core.toml import parse_toml
from bentsao.knowledge.schema import ATTRIBUTES, KINDS, Kind

Patterns = tuple[str, ...]
Part = Literal["train", "test"]

SLOTS: dict[str, str] = {
    "e": "实体",
    "v": "一个值",
    "values": "全部的值",
    "cite": "引用标记",
    "who": "谁",
    "when": "何时",
    "signs": "一到三个症状",
    "short": "属性的通称",
    "shorts": "几个属性的通称",
    "a": "第一个实体",
    "b": "第二个实体",
    "va": "第一个实体的值",
    "vb": "第二个实体的值",
    "ca": "第一个实体的引用",
    "cb": "第二个实体的引用",
    "shared": "两者共有的值",
    "d": "药物",
    "age": "年龄或月龄",
}

_QUESTIONS = ("lay", "clinician", "exam", "vignette", "follow_up", "yes_no", "claim")
_HELD_OUT = 5


class AttributeGrammar(Record):
    """How one attribute of one kind of entity is asked for and answered.

    short: everyday nouns for it. lay, clinician, exam, vignette: questions in that voice; follow_up: without the
    entity. yes_no and claim: about one value. answer; yes, no: when that value is, is not, among the facts; missing:
    when there is no fact; advice: general words that may close an answer.
    """

    name: str
    kind: Kind
    short: Patterns = Field(min_length=1)
    lay: Patterns = ()
    clinician: Patterns = ()
    exam: Patterns = ()
    vignette: Patterns = ()
    follow_up: Patterns = ()
    yes_no: Patterns = ()
    claim: Patterns = ()
    answer: Patterns = Field(min_length=1)
    yes: Patterns = ()
    no: Patterns = ()
    missing: Patterns = ()
    advice: Patterns = ()


class People(Record):
    """Openings of vignettes by whom they speak of, and words for time."""

    adult_male: Patterns
    adult_female: Patterns
    adult: Patterns
    old: Patterns
    child: Patterns
    infant: Patterns
    when: Patterns


@dataclass(frozen=True)
class Grammar:
    """All patterns. `attributes`: by (kind, attribute). `joint`: questions and answers over several, by form and name.

    `unknown`: questions about what no base knows, by (kind, attribute).
    """

    attributes: dict[tuple[Kind, str], AttributeGrammar]
    joint: dict[str, dict[str, Patterns]]
    unknown: dict[tuple[Kind, str], Patterns]
    people: People

    def part(self, part: Part) -> Grammar:
        """The grammar for training, or for testing: each question pattern is in one of them only.

        Answers are in both. A fifth of the question patterns, by their hash, are for testing.
        """

        def kept(patterns: Patterns) -> Patterns:
            return tuple(pattern for pattern in patterns if is_held_out(pattern) == (part == "test"))

        return replace(
            self,
            attributes={
                key: one.model_copy(update={name: kept(getattr(one, name)) for name in _QUESTIONS})
                for key, one in self.attributes.items()
            },
            joint={
                form: {name: kept(patterns) if name == "ask" else patterns for name, patterns in named.items()}
                for form, named in self.joint.items()
            },
            unknown={key: kept(patterns) for key, patterns in self.unknown.items()},
        )

    def questions(self) -> int:
        """How many question patterns there are."""
        own = sum(len(getattr(one, name)) for one in self.attributes.values() for name in _QUESTIONS)
        return (
            own + sum(len(named.get("ask", ())) for named in self.joint.values()) + sum(map(len, self.unknown.values()))
        )


def is_held_out(pattern: str) -> bool:
    """Whether a question pattern is kept for testing."""
    return int(sha256_text(pattern)[:8], 16) % _HELD_OUT == 0


def pattern_id(pattern: str) -> str:
    """A short name for a pattern, the same as long as its words are."""
    return sha256_text(pattern)[:10]


def filled(pattern: str, **values: str) -> str:
    """The pattern with its slots filled; what is filled in is never filled again."""
    return re.sub(r"\{(\w+)\}", lambda slot: values[slot[1]], pattern)


@cache
def load_grammar() -> Grammar:
    """The grammar of the package. Raises DataError with all faults of its files."""
    texts = {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted(resources.files("bentsao.construction.grammar").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".toml")
    }
    return read_grammar(texts)


def read_grammar(texts: dict[str, str]) -> Grammar:
    """A grammar from TOML texts by file name. Raises DataError with all faults."""
    faults: list[Fault] = []
    attributes: dict[tuple[Kind, str], AttributeGrammar] = {}
    tables: dict[str, Any] = {}
    for file, text in texts.items():
        try:
            values = parse_toml(text, file)
        except DataError as error:
            faults += error.faults
            continue
        for number, entry in enumerate(values.pop("attribute", []), start=1):
            try:
                one = AttributeGrammar.model_validate(entry)
            except ValidationError as error:
                faults.append(Fault(file, None, f"attribute {number}", entry.get("name"), in_one_line(error)))
                continue
            faults += [Fault(file, None, one.name, pattern, reason) for pattern, reason in _wrong(one)]
            attributes[one.kind, one.name] = one
        faults += [
            Fault(
                file, None, f"{form}.{name}", pattern, f"没有 {sorted(strange)} 这样的空位；可用：{' '.join(SLOTS)}。"
            )
            for form, name, pattern in _patterns(values)
            if (strange := _slots(pattern) - SLOTS.keys())
        ]
        tables |= values
    if faults:
        raise DataError(faults)
    unknown: dict[str, dict[str, list[str]]] = tables.pop("unknown", {})
    return Grammar(
        attributes=attributes,
        people=People.model_validate(tables.pop("people")),
        unknown={
            (kind, name): tuple(patterns)
            for kind, named in unknown.items()
            for name, patterns in named.items()
            if kind in KINDS
        },
        joint={form: {name: tuple(patterns) for name, patterns in named.items()} for form, named in tables.items()},
    )


def _patterns(tables: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each pattern of the tables beside the attributes, with where it stands: form (unknown: kind), name."""
    for form, named in (tables | tables.get("unknown", {})).items():
        for name, patterns in named.items() if form != "unknown" else ():
            for pattern in patterns:
                yield form, name, pattern


def _slots(pattern: str) -> set[str]:
    return set(re.findall(r"\{(\w*)\}", pattern))


def _wrong(one: AttributeGrammar) -> Iterator[tuple[str, str]]:
    """Patterns that cannot be right, with the reason."""
    if one.name not in ATTRIBUTES or one.kind not in ATTRIBUTES[one.name].kinds:
        yield one.name, f"{KINDS[one.kind]}没有这个属性。"
    allowed = {
        "lay": {"e", "short"},
        "clinician": {"e", "short"},
        "exam": {"e", "short"},
        "vignette": {"e", "short", "who", "when", "signs"},
        "follow_up": {"short"},
        "yes_no": {"e", "v", "short"},
        "claim": {"e", "v", "short"},
        "answer": {"e", "values", "cite", "short"},
        "yes": {"e", "v", "values", "cite", "short"},
        "no": {"e", "v", "values", "cite", "short"},
        "missing": {"e", "short"},
        "advice": set[str](),
    }
    needed = {"yes_no": {"e", "v"}, "claim": {"e", "v"}, "answer": {"values", "cite"}, "yes": {"cite"}, "no": {"cite"}}
    for name, slots in allowed.items():
        patterns: Patterns = getattr(one, name)
        for pattern in patterns:
            used = _slots(pattern)
            must = needed.get(name, {"e"} if name in _QUESTIONS and name != "follow_up" else set[str]())
            if used - slots:
                yield pattern, f"{name} 里不能有 {sorted(used - slots)}。"
            if must - used:
                yield pattern, f"{name} 里缺少 {sorted(must - used)}。"
        for pattern, count in Counter(patterns).items():
            if count > 1:
                yield pattern, f"在 {name} 里重复。"
