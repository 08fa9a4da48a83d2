from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bentsao.inference.grounded import Answerer, GroundedAnswer, GroundedQuestion, Policy
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from tests.inference.grounded.bases import grounded_base
from tests.inference.grounded.reader import Reader

Ask = Callable[..., GroundedAnswer]


@pytest.fixture(scope="session")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(grounded_base(tmp_path_factory.mktemp("kb") / "small.kb")) as opened:
        yield opened


@pytest.fixture(scope="session")
def linker(kb: KnowledgeBase) -> Linker:
    return Linker.build(kb.names())


@pytest.fixture
def ask(kb: KnowledgeBase, linker: Linker) -> Ask:
    """Asks one question: `ask("偏头痛怎么治", "earlier question", engine=…, path=…, guard=…)`."""

    def call(question: str, *history: str, engine: Reader | None = None, **policy: object) -> GroundedAnswer:
        answerer = Answerer(engine, kb, Policy.model_validate(policy), linker=linker)
        return answerer.answer([GroundedQuestion(id="q", question=question, history=history)])[0]

    return call
