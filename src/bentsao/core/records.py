"""The records that cross the borders between rooms. Frozen; an unknown field is an error."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["system", "user", "assistant"]


class Record(BaseModel):
    """Base of every record: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Record):
    """One turn of a conversation.

    `input` is the material an instruction speaks about (the alpaca form's `input`); empty where there is none.
    Chat formats with an `{input}` slot place it there, all others put it on a line after `content`.
    `part` names the loss that an assistant's turn is learnt under (see `grounding.PARTS`); it changes no token.
    """

    role: Role
    content: str
    input: str = ""
    part: str = ""


class Source(Record):
    """Where a fact or row comes from: source name, file, row (counted from 1; None: the file as a whole), licence."""

    name: str
    file: str = ""
    row: int | None = None
    licence: str = ""


class Fact(Record):
    """What the knowledge base says: subject, attribute, values, under which condition, and where it says so.

    `qualifier` is the condition under which the values hold (儿童, 妊娠期 …); None means always.
    """

    subject: str
    attribute: str
    values: tuple[str, ...]
    source: Source
    qualifier: str | None = None


class Evidence(Record):
    """A fact as an answer cites it: `number` is the n of its mark [n], counted from 1."""

    number: int
    fact: Fact


class Asked(Record):
    """The question of a constructed row with what is right about it: what is asked, of which entities, in which form.

    `history`: earlier questions of the same person, oldest first. `names`: the entities as they are called there;
    `entities`: their own names in the knowledge base, empty for what it does not have. `value`: what a premise asserts.
    """

    question: str
    history: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    value: str = ""


class Made(Record):
    """How a constructed conversation came about.

    `form`: what kind of row it is (lay, compare, premise_false …). `writer`: composer, or teacher. `asked`: None for
    rows of several questions. `patterns`: the question patterns used, so that patterns can be held out. `split`: train,
    valid or test. `model`, `prompt_hash`, `raw` (the whole reply) and `time` (ISO 8601) are the teacher's; empty for
    the composer, whose rows are the same bytes each time. `filters`: those it has passed. `beyond`: what the verifier
    found to go beyond the evidence, where the recipe keeps such rows under that label.
    """

    form: str
    writer: str
    asked: Asked | None = None
    patterns: tuple[str, ...] = ()
    difficulty: str = ""
    split: str = ""
    model: str = ""
    prompt_hash: str = ""
    raw: str = ""
    time: str = ""
    filters: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()


class Conversation(Record):
    """What is learnt from: messages in turn, at least one by the assistant.

    `group` names what must not be split between training and test (a disease, a dialogue);
    `source` is None for conversations made in memory; `made` is None for those that were not constructed.
    """

    id: str
    group: str
    messages: tuple[Message, ...]
    evidence: tuple[Evidence, ...] = ()
    source: Source | None = None
    made: Made | None = None


class Question(Record):
    """What is asked: messages that end with the user's; `reference` is None where no answer is known."""

    id: str
    group: str
    messages: tuple[Message, ...]
    reference: str | None = None

    @property
    def text(self) -> str:
        """The last thing the user said, with its input."""
        last = self.messages[-1]
        return f"{last.content}\n{last.input}" if last.input else last.content


class Alarm(Record):
    """What is put before an answer because the question tells of an emergency; no model has a say in it.

    kinds: kinds of emergency, the gravest first; words: what told of them, as it was written. title: what it may be;
    call: whom to call now; until: what to do until help comes; never: what not to do.
    """

    kinds: tuple[str, ...]
    words: tuple[str, ...]
    title: str
    call: str
    until: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


class Answer(Record):
    """What a model answered.

    `finish` is "end" when the model ended the answer itself, "length" when it was cut at the token limit,
    "error" when there is none; `seconds` is the time of the batch divided by its rows; `tokens` counts
    generated tokens without the end token. `alarm` goes before `text` wherever a person reads it, `cautions`
    (for pregnancy, for small children, for alcohol) behind.
    """

    id: str
    question: str
    text: str
    alarm: Alarm | None = None
    cautions: tuple[str, ...] = ()
    reference: str | None = None
    evidence: tuple[Evidence, ...] = ()
    finish: Literal["end", "length", "error"] = "end"
    tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
