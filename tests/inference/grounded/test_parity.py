"""What a model is given to answer from facts is, token by token, what it was tuned on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bentsao.construction.composer import GROUNDED_MIX, Tally, compose
from bentsao.construction.exchanges import Exchange, grounded
from bentsao.construction.grammar import load_grammar
from bentsao.construction.subjects import gather
from bentsao.core.formats import FORMATS, ChatFormat, from_base
from bentsao.core.rendering import IGNORE, render
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated
from bentsao.inference.grounded import Answerer, GroundedQuestion, Policy
from bentsao.inference.grounded.premises import asks_leave
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from tests.doubles import TEMPLATE, CharTokens, write_turns
from tests.inference.grounded.reader import Reader


class Gold(Reader):
    """Says what the training row says, turn by turn."""

    def __init__(self, replies: Sequence[str], tokens: CharTokens, chat_format: ChatFormat) -> None:
        super().__init__(tokens=tokens, chat_format=chat_format)
        self._replies = list(replies)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        self.prompts += map(list, prompts)
        (reply,) = [self._replies.pop(0) for _ in prompts]
        return [Generated(tuple(self.tokens.encode(reply)), reply, "end")]


def prefixes(exchange: Exchange, chat_format: ChatFormat, tokens: CharTokens) -> list[list[int]]:
    """What stands before each answer of the training row."""
    (row,) = render(grounded(exchange), chat_format, tokens).rows
    starts = [
        place
        for place, target in enumerate(row.targets)
        if target != IGNORE and (place == 0 or row.targets[place - 1] == IGNORE)
    ]
    return [list(row.ids[: place + 1]) for place in starts]


@pytest.fixture(scope="module")
def exchanges(kb: KnowledgeBase) -> list[Exchange]:
    grammar = load_grammar()
    found = list(compose(gather(kb, grammar), grammar, GROUNDED_MIX, 150, split="train", seed=3, tally=Tally()))
    forms = {exchange.form for exchange in found}
    assert {"lay", "several", "follow_up", "missing", "unknown", "vague", "premise_false"} <= forms
    # A shared name is asked back, and what is said of invented entities is in no base.
    return [exchange for exchange in found if "AD" not in exchange.names and exchange.form != "invented"]


@pytest.mark.parametrize("name", ["plain", "alpaca", "base"])
def test_prompts_are_the_beginnings_of_training_rows(
    kb: KnowledgeBase, linker: Linker, exchanges: list[Exchange], name: str
) -> None:
    tokens = CharTokens(write_turns if name == "base" else None)
    chat_format = from_base(TEMPLATE) if name == "base" else FORMATS[name]
    for exchange in exchanges:
        messages = grounded(exchange)
        replies = [message.content for message in messages if message.role == "assistant"]
        engine = Gold(replies, tokens, chat_format)
        policy = Policy(path="model", longest=2000, subjects=2)
        answerer = Answerer(engine, kb, policy, linker=linker)
        asked = GroundedQuestion(id="q", question=exchange.question, history=exchange.history)
        (answer,) = answerer.answer([asked])
        # Without facts, and where leave is asked for, inference has its own words: that turn is learnt for its form.
        written = exchange.facts and not asks_leave(exchange.question)
        expected = prefixes(exchange, chat_format, tokens)[: len(replies) if written else 2]
        shown = [tokens.decode(ids) for ids in engine.prompts]
        assert engine.prompts == expected, (exchange.form, shown, [tokens.decode(ids) for ids in expected])
        if exchange.facts:
            assert answer.evidence == exchange.evidence
            assert not answer.removed, (exchange.form, answer.raw, answer.removed)
