"""What every form writes with: the grammar, the material, and one source of chance."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from bentsao.construction.grammar import AttributeGrammar, Grammar, Patterns
from bentsao.construction.people import fits
from bentsao.construction.subjects import Material, Subject

_ALIAS_SHARE = 0.2
_GREETED_SHARE = 0.12
_OF_ILLNESS = re.compile(r"刚查出\{e\}|碰上了\{e\}|临床上遇到|有人说是|怎么区分|分得出来|辨别|的角度区分")
"""What is only said of an illness, where a pattern is for any kind of thing."""


@dataclass(frozen=True)
class Pen:
    """The grammar and the material that a form draws from. `rng` makes each row the same every time."""

    grammar: Grammar
    material: Material
    rng: random.Random

    def patterns(self, subject: Subject, attribute: str) -> AttributeGrammar:
        """The patterns for an attribute of a subject."""
        return self.grammar.attributes[subject.kind, attribute]

    def fitting(self, patterns: Patterns, subject: Subject) -> Patterns:
        """Those patterns whose own words fit the subject: its sex and age, and what kind of thing it is."""
        ill = subject.kind in ("disease", "symptom")
        return tuple(
            pattern for pattern in patterns if fits(pattern, subject) and (ill or not _OF_ILLNESS.search(pattern))
        )

    def name(self, subject: Subject) -> str:
        """What the person calls it: mostly its own name."""
        if len(subject.names) > 1 and self.rng.random() < _ALIAS_SHARE:
            return self.rng.choice(subject.names[1:])
        return subject.name

    def greeted(self, question: str) -> str:
        """A lay question, now and then with a greeting before it or thanks after it."""
        words = self.grammar.joint.get("greet", {})
        if not words or self.rng.random() >= _GREETED_SHARE:
            return question
        if self.rng.random() < 0.7:
            return self.rng.choice(words["open"]) + question
        return question + self.rng.choice(words["close"])
