"""The data sets that are built from a knowledge base, each a stream of rows: one visible dict of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bentsao.construction import choice
from bentsao.construction.composer import GROUNDED_MIX, QA_MIX, Mix, Tally, compose, dialogues, is_sound
from bentsao.construction.exchanges import Exchange, grounded, instruction, row
from bentsao.construction.forms.pen import Pen
from bentsao.construction.forms.premises import premises
from bentsao.construction.grammar import Grammar
from bentsao.construction.literature import literature_dialogues
from bentsao.construction.shares import Split, pens, quotas
from bentsao.construction.subjects import Material
from bentsao.core import grounding
from bentsao.core.records import Conversation, Made, Message
from bentsao.knowledge.store import Passage

_ADVICE_SHARE = 0.4
_TAIL = 40
_ADVISED = re.compile("医生|药师|医院|医嘱|就医")


@dataclass(frozen=True)
class Order:
    """What is to be built: about `rows` rows of one split, from this material, with this grammar and seed."""

    material: Material
    passages: Sequence[Passage]
    grammar: Grammar
    rows: int
    split: Split
    seed: int
    tally: Tally


def qa(order: Order) -> Iterator[Conversation]:
    """Instruction tuning: plain questions and answers, some with a word of general advice at the end."""
    pen_of = pens(order.material, order.grammar, f"{order.seed}:advice:{order.split}")
    for number, exchange in enumerate(_composed(order, QA_MIX), start=1):
        name = f"qa-{order.split}-{number:06d}"
        yield row(exchange, name, instruction(exchange, _advice(exchange, pen_of(name))), order.split)


def grounded_rows(order: Order) -> Iterator[Conversation]:
    """Knowledge-tuning: question → entity → attribute → facts → cited answer, with the hard cases."""
    for number, exchange in enumerate(_composed(order, GROUNDED_MIX), start=1):
        yield row(exchange, f"grounded-{order.split}-{number:06d}", grounded(exchange), order.split)


def dialogue(order: Order) -> Iterator[Conversation]:
    """Several turns: about the literature, as far as it reaches up to a third of the rows, and about the facts."""
    number = 0
    for conversation in literature_dialogues(order.passages, order.rows // 3, order.split, order.seed):
        number += 1
        yield conversation
    composed = dialogues(
        order.material, order.grammar, order.rows - number, split=order.split, seed=order.seed, tally=order.tally
    )
    for number, turns in enumerate(composed, start=1):
        yield _joined(turns, f"dialogue-{order.split}-{number:06d}", order.split)


def polarity(order: Order) -> Iterator[Conversation]:
    """Pairs of the same question with a true and a false premise; `#true` and `#false` end their ids."""
    for number, pair in enumerate(premise_pairs(order), start=1):
        for exchange, side in zip(pair, ("true", "false"), strict=True):
            yield row(exchange, f"polarity-{order.split}-{number:06d}#{side}", instruction(exchange), order.split)


def premise_pairs(order: Order) -> Iterator[tuple[Exchange, Exchange]]:
    """About `order.rows` / 2 pairs of exchanges, the true one first, each question once."""
    part = order.grammar.part("test" if order.split == "test" else "train")
    pen_of = pens(order.material, part, f"{order.seed}:polarity:{order.split}")
    for subject, quota in quotas(order.material, order.rows // 2):
        pen = pen_of(subject.name)
        seen: set[str] = set()
        for _ in range(3 * quota):
            if len(seen) >= 2 * quota:
                break
            pair = premises(subject, pen.rng.choice(sorted(subject.facts)), pen)
            if pair is None or {exchange.question for exchange in pair} & seen:
                continue
            if all(is_sound(exchange, order.material, order.tally) for exchange in pair):
                seen |= {exchange.question for exchange in pair}
                yield pair


def choices(order: Order) -> Iterator[choice.Choice]:
    """Multiple choice from facts, with distractors of the same kind."""
    return choice.choices(order.material, order.grammar, order.rows, split=order.split, seed=order.seed)


Row = Conversation | choice.Choice

DATASETS: dict[str, Callable[[Order], Iterator[Row]]] = {
    "qa": qa,
    "dialogue": dialogue,
    "grounded": grounded_rows,
    "polarity": polarity,
    "choice": choices,
}
"""What `bentsao build` can build without a model; add one here."""


def _composed(order: Order, mix: Mix) -> Iterator[Exchange]:
    return compose(
        order.material, order.grammar, mix, order.rows, split=order.split, seed=order.seed, tally=order.tally
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
