"""What goes into grounded answering and what comes out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bentsao.core.grounding import Gap
from bentsao.core.records import Alarm, Evidence, Record
from bentsao.inference.grounded.premises import Premise

Path = Literal["both", "model", "linker", "bm25", "oracle"]
"""Who says what a question is about: the tuned model, the linker, both together, a full-text search, or the caller."""

Guard = Literal["remove", "mark", "off"]


class Policy(Record):
    """How to answer.

    path: who says what is asked. guard: "remove" takes out sentences of the answer that the facts do not bear out,
    "mark" leaves a warning with those that merely go beyond the facts and takes out the rest (figures, what a fact
    speaks against, unsafe advice), "off" leaves all as the model wrote it. complete: what the model left out of its
    facts is added behind its words, and yes or no is read off the facts; not where the guard is off. most_values: the
    most values that an answer is given; what is beyond is counted in `GroundedAnswer.left_out`. longest: characters of
    facts that the model puts into words; longer ones are quoted as they are. subjects: entities whose facts the model
    puts into words at once; of more they are quoted, as are those to a question for leave (能吃吗), unless the guard is
    off: small models mix up what is whose, and say yes too readily. nearest: how alike (0 to 1) a misspelt
    name must be to the name it is taken for.
    """

    path: Path = "both"
    guard: Guard = "remove"
    complete: bool = True
    most_values: int = Field(default=60, ge=1)
    longest: int = Field(default=400, ge=1)
    subjects: int = Field(default=1, ge=1)
    nearest: float = Field(default=0.75, ge=0, le=1)


class Aim(Record):
    """What a question is about, as one of the ways found it: own names of entities of the base, and attributes.

    names: the entities as the person calls them, in the same order; empty: by their own names. unknown: names that the
    base does not have. ask_back: entities between which the question leaves open which is meant: those that share the
    name of the first entity, or where there is no entity, those that may be meant.
    """

    entities: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    ask_back: tuple[str, ...] = ()

    @property
    def called(self) -> tuple[str, ...]:
        """The entities as they are called before the model."""
        return self.names or self.entities


class GroundedQuestion(Record):
    """A question with what the person asked before, oldest first.

    aim: what it is about, where that is settled: by the caller (path "oracle"), or by the person when asked back. None:
    to be found by the policy's path.
    """

    id: str
    question: str
    history: tuple[str, ...] = ()
    aim: Aim | None = None


class GroundedAnswer(Record):
    """An answer with what it stands on. `alarm` goes before `answer` wherever a person reads it, `cautions` behind.

    abstained: there was no fact to answer from, and `answer` says so; no model wrote it. ask_back: the answer asks
    which of these is meant. raw: the model's words before they were checked; empty where no model wrote. removed: what
    was taken out, marked or replaced, with the reason. added: values that the model left out and the answer now says.
    premise: what the question asserts; None where it asserts nothing, or no model wrote. gaps: what was looked up in
    vain. left_out: values beyond the policy's most. by_model, by_linker: what each way found; None where it was not
    asked. finish, error: as in Answer; "end" for answers that no model wrote. bundle: the hash of the bundle that
    answered; empty without one.
    """

    id: str
    question: str
    answer: str
    alarm: Alarm | None = None
    cautions: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    abstained: bool = False
    path: Path = "both"
    ask_back: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    added: int = 0
    premise: Premise | None = None
    left_out: int = 0
    raw: str = ""
    finish: Literal["end", "length", "error"] = "end"
    error: str | None = None
    tokens: int = 0
    seconds: float = 0.0
    by_model: Aim | None = None
    by_linker: Aim | None = None
    bundle: str = ""
