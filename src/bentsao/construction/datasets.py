"""The data sets that are built from a knowledge base, each a stream of rows: one visible dict of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bentsao.construction import choice
from bentsao.construction.composer import GROUNDED_MIX, QA_MIX, Accept, Mix, Tally, compose, dialogues, is_sound
from bentsao.construction.exchanges import Exchange, grounded, instruction, row
from bentsao.construction.forms.pen import Pen
from bentsao.construction.forms.premises import premises
from bentsao.construction.grammar import Grammar
from bentsao.construction.literature import literature_dialogues
from bentsao.construction.shares import Split, pens, quotas
from bentsao.construction.sieve import Row
from bentsao.construction.subjects import Material
from bentsao.core import grounding
from bentsao.core.records import Conversation, Made, Message
from bentsao.knowledge.store import Passage

T = TypeVar("T")

_TRIES = 20
_ADVICE_SHARE = 0.4
_TAIL = 40
_ADVISED = re.compile("医生|药师|医院|医嘱|就医")


def _every(rows: Sequence[Row]) -> list[Row] | None:
    return list(rows)


@dataclass(frozen=True)
class Order:
    """What is to be built: about `rows` rows of one split, from this material, with this grammar and seed.

    judge: takes rows that belong together and gives them back as they are kept, or None where others are to be made in
    their place.
    """

    material: Material
    passages: Sequence[Passage]
    grammar: Grammar
    rows: int
    split: Split
    seed: int
    tally: Tally
    judge: Callable[[Sequence[Row]], list[Row] | None] = _every


@dataclass
class _Rows(Generic[T]):
    """Rows from what is composed: numbers it, and has it judged. `ready`: the rows of what was accepted last."""

    order: Order
    dataset: str
    make: Callable[[T, str], Sequence[Row]]
    tries: int = 0
    ready: list[Row] = field(default_factory=list[Row])

    def accept(self, composed: T) -> bool:
        """Whether its rows are kept. A number is given once, so that a refused row has one of its own."""
        self.tries += 1
        kept = self.order.judge(self.make(composed, f"{self.dataset}-{self.order.split}-{self.tries:06d}"))
        self.ready = kept or []
        return kept is not None


def qa(order: Order) -> Iterator[Row]:
    """Instruction tuning: plain questions and answers, some with a word of general advice at the end."""
    pen_of = pens(order.material, order.grammar, f"{order.seed}:advice:{order.split}")

    def made(exchange: Exchange, name: str) -> Sequence[Row]:
        return [row(exchange, name, instruction(exchange, _advice(exchange, pen_of(name))), order.split)]

    rows = _Rows(order, "qa", made)
    for _ in _composed(order, QA_MIX, rows.accept):
        yield from rows.ready


def grounded_rows(order: Order) -> Iterator[Row]:
    """Knowledge-tuning: question → entity → attribute → facts → cited answer, with the hard cases."""

    def made(exchange: Exchange, name: str) -> Sequence[Row]:
        return [row(exchange, name, grounded(exchange), order.split)]

    rows = _Rows(order, "grounded", made)
    for _ in _composed(order, GROUNDED_MIX, rows.accept):
        yield from rows.ready


def dialogue(order: Order) -> Iterator[Row]:
    """Several turns: about the literature, as far as it reaches up to a third of the rows, and about the facts."""
    number = 0
    for conversation in literature_dialogues(order.passages, order.rows // 3, order.split, order.seed):
        for kept in order.judge([conversation]) or ():
            number += 1
            yield kept
    rows = _Rows[tuple[Exchange, ...]](order, "dialogue", lambda turns, name: [_joined(turns, name, order.split)])
    for _ in dialogues(
        order.material,
        order.grammar,
        order.rows - number,
        split=order.split,
        seed=order.seed,
        tally=order.tally,
        accept=rows.accept,
    ):
        yield from rows.ready


def polarity(order: Order) -> Iterator[Row]:
    """Pairs of the same question with a true and a false premise; `#true` and `#false` end their ids."""

    def made(pair: tuple[Exchange, Exchange], name: str) -> Sequence[Row]:
        sides = zip(pair, ("true", "false"), strict=True)
        return [row(exchange, f"{name}#{side}", instruction(exchange), order.split) for exchange, side in sides]

    rows = _Rows(order, "polarity", made)
    for _ in premise_pairs(order, rows.accept):
        yield from rows.ready


def premise_pairs(
    order: Order, accept: Callable[[tuple[Exchange, Exchange]], bool] = lambda _: True
) -> Iterator[tuple[Exchange, Exchange]]:
    """About `order.rows` / 2 pairs of exchanges, the true one first, each question once."""
    part = order.grammar.part("test" if order.split == "test" else "train")
    pen_of = pens(order.material, part, f"{order.seed}:polarity:{order.split}")
    for subject, quota in quotas(order.material, order.rows // 2):
        pen = pen_of(subject.name)
        seen: set[str] = set()
        made = 0
        for _ in range(4 * quota + _TRIES if quota else 0):
            if made == quota:
                break
            pair = premises(subject, pen.rng.choice(sorted(subject.facts)), pen)
            if pair is None or {exchange.question for exchange in pair} & seen:
                continue
            if all(is_sound(exchange, order.material, order.tally) for exchange in pair):
                seen |= {exchange.question for exchange in pair}
                if accept(pair):
                    made += 1
                    yield pair
        if made < quota:
            order.tally.unfilled[f"真假对照（{subject.kind}）"] += 2 * (quota - made)


def choices(order: Order) -> Iterator[Row]:
    """Multiple choice from facts, with distractors of the same kind."""
    return choice.choices(
        order.material,
        order.grammar,
        order.rows,
        split=order.split,
        seed=order.seed,
        tally=order.tally,
        accept=lambda one: next(iter(order.judge([one]) or ()), None),
    )


DATASETS: dict[str, Callable[[Order], Iterator[Row]]] = {
    "qa": qa,
    "dialogue": dialogue,
    "grounded": grounded_rows,
    "polarity": polarity,
    "choice": choices,
}
"""What `bentsao build` can build without a model; add one here."""


def _composed(order: Order, mix: Mix, accept: Accept) -> Iterator[Exchange]:
    return compose(
        order.material,
        order.grammar,
        mix,
        order.rows,
        split=order.split,
        seed=order.seed,
        tally=order.tally,
        accept=accept,
    )


def _advice(exchange: Exchange, pen: Pen) -> str:
    """General words to close an answer about one attribute; mostly none."""
    subject = pen.material.named.get(exchange.subjects[0]) if exchange.subjects else None
    if subject is None or not exchange.attributes or pen.rng.random() > _ADVICE_SHARE:
        return ""
    if _ADVISED.search(exchange.answer[-_TAIL:]):
        return ""  # the answer has said it
    advice = pen.patterns(subject, exchange.attributes[-1]).advice
    return pen.rng.choice(advice) if advice else ""


def _joined(turns: Sequence[Exchange], name: str, split: Split) -> Conversation:
    """A dialogue of exchanges in one row; its evidence is that of all turns."""
    facts = tuple(dict.fromkeys(fact for turn in turns for fact in turn.facts))
    messages: list[Message] = []
    for turn in turns:
        messages += instruction(turn)
    return Conversation(
        id=name,
        group=turns[0].group,
        messages=tuple(messages),
        evidence=grounding.number_facts(facts),
        source=facts[0].source if facts else None,
        made=Made(
            form="dialogue",
            writer="composer",
            patterns=tuple(pattern for turn in turns for pattern in turn.patterns),
            difficulty=f"{len(turns)} 轮",
            split=split,
        ),
    )
