"""What the teacher wrote against what it was given: claim by claim, with the knowledge base's verifier.

Contradicted: dropped, always. Beyond the evidence: dropped, or kept under that label. The reasons are counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bentsao.construction.teacher.replies import Dialogue, Exchange, Pair, Sentence
from bentsao.core.grounding import mark, number_facts
from bentsao.core.records import Evidence, Fact, Message
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.store import Entity, KnowledgeBase, Passage
from bentsao.knowledge.verify import KnownNames, Verdicts, verify

Beyond = Literal["drop", "keep"]

CONTRADICTED = "与资料矛盾"
BEYOND = "超出资料"
NOTHING = "没有说到资料"
NAMELESS = "问题没有说到这个名称"
REPEATED = "与同一次回答里的另一问相同"


class Verifier:
    """`verify` with the names and aliases of a knowledge base."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._vocabulary = KnownNames(text for text, *_ in kb.names())
        self._aliases = cache(lambda name: _other_names(kb, name))

    def __call__(self, text: str, facts: Sequence[Fact]) -> Verdicts:
        """The claims of a text against these facts."""
        return verify(text, facts, vocabulary=self._vocabulary, aliases=self._aliases)


def _other_names(kb: KnowledgeBase, name: str) -> tuple[str, ...]:
    entities = kb.entities(name)
    names = [text for entity in entities for text in (entity.name, *(alias.text for alias in entity.aliases))]
    return tuple(dict.fromkeys(other for other in names if other != name))


@dataclass(frozen=True)
class Checked:
    """What may be kept of a pair or dialogue. `dropped`: why not (None: kept). `beyond`: what it says of its own.

    `shortened`: why the later turns of a dialogue were taken away; None where it is whole.
    """

    messages: tuple[Message, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    beyond: tuple[str, ...] = ()
    dropped: str | None = None
    shortened: str | None = None


# --- questions and answers -------------------------------------------------------------------------------------------


def check_pair(pair: Pair, entity: Entity, facts: Sequence[Fact], check: Verifier, beyond: Beyond) -> Checked:
    """A question and its answer against the facts of the call.

    The evidence are the facts it cites and those that the verifier finds in it, in the call's order.
    """
    named = (
        entity.name,
        *(alias.text for alias in entity.aliases),
        *(value for fact in facts for value in fact.values),
    )
    question = normalise(pair.question).text
    if not any(normalise(name).text in question for name in named):
        return Checked(dropped=NAMELESS)
    verdicts = check(pair.answer, facts)
    if verdicts.contradicted:
        return Checked(dropped=CONTRADICTED)
    if verdicts.beyond and beyond == "drop":
        return Checked(dropped=BEYOND)
    if not verdicts.supported:
        return Checked(dropped=NOTHING)
    stated = [claim.fact for claim in verdicts.supported]
    used = [fact for number, fact in enumerate(facts, start=1) if number in pair.facts or fact in stated]
    return Checked(
        messages=(Message(role="user", content=pair.question), Message(role="assistant", content=pair.answer)),
        evidence=number_facts(used),
        beyond=_texts(verdicts),
    )


# --- dialogues -------------------------------------------------------------------------------------------------------


def passage_fact(passage: Passage) -> Fact:
    """A piece of literature as evidence: what it concludes, a sentence a value, so that each is read by itself."""
    sentences = tuple(part.strip() for part in re.split(r"[。；\n]", passage.text) if part.strip())
    return Fact(subject=passage.title, attribute="结论", values=sentences, source=passage.source)


def check_dialogue(dialogue: Dialogue, passage: Passage, check: Verifier, beyond: Beyond, *, marks: bool) -> Checked:
    """A dialogue against its paper, sentence by sentence.

    A turn that says something wrong ends the dialogue before it; with none left it is dropped.
    marks: put [1], the paper's mark, behind the sentences that are from the paper; those without are general.
    """
    messages: list[Message] = []
    said: list[str] = []
    wrong: str | None = None
    for exchange in dialogue.turns:
        wrong, more = _check_turn(exchange, passage, check, beyond)
        if wrong:
            break
        said += more
        messages.append(Message(role="user", content=exchange.question))
        messages.append(Message(role="assistant", content=_joined(exchange.answer, marks=marks)))
    if not messages:
        return Checked(dropped=wrong)
    if all(sentence.origin == "general" for turn in dialogue.turns[: len(messages) // 2] for sentence in turn.answer):
        return Checked(dropped=NOTHING)
    evidence = number_facts([passage_fact(passage)])
    return Checked(tuple(messages), evidence, tuple(dict.fromkeys(said)), shortened=wrong)


def _check_turn(
    exchange: Exchange, passage: Passage, check: Verifier, beyond: Beyond
) -> tuple[str | None, tuple[str, ...]]:
    """What is wrong with a turn (None: nothing), and what it says beyond the paper."""
    concluded = passage_fact(passage)
    said = concluded.model_copy(update={"values": (*concluded.values, passage.title, *passage.keywords)})
    paper = normalise(f"{passage.text}\n{passage.title}\n{' '.join(passage.keywords)}\n{passage.year}").text
    out: list[str] = []
    for sentence in exchange.answer:
        written = normalise(sentence.text).text
        if written.rstrip("。.!！") in paper:
            continue  # word for word
        verdicts = check(sentence.text, [said])
        if verdicts.contradicted:
            return CONTRADICTED, ()
        # The verifier reads numbers with units; in a paper 802例 and HR 0.69 count too.
        foreign = set(_NUMBER.findall(written)) - set(_NUMBER.findall(paper))
        out += [*_texts(verdicts), *sorted(foreign)]
    return (BEYOND, ()) if out and beyond == "drop" else (None, tuple(dict.fromkeys(out)))


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _joined(sentences: Sequence[Sentence], *, marks: bool) -> str:
    return "".join(
        _marked(sentence.text) if marks and sentence.origin == "paper" else sentence.text for sentence in sentences
    )


def _marked(sentence: str) -> str:
    """The sentence with the paper's mark before its full stop: …延长生存[1]。"""
    ending = re.search(r"[。！？；!?;.]?$", sentence)
    at = ending.start() if ending else len(sentence)
    return sentence[:at] + mark(1) + sentence[at:]


def _texts(verdicts: Verdicts) -> tuple[str, ...]:
    return tuple(dict.fromkeys(claim.text for claim in verdicts.beyond))
