from __future__ import annotations

from collections.abc import Iterator

import pytest

from bentsao.apps.server.serving import Limits, Served, Service
from bentsao.inference.engine import Engine
from bentsao.inference.grounded import Answerer, Policy
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from tests.apps.server.scribe import Scribe
from tests.inference.grounded.bases import grounded_base
from tests.inference.grounded.reader import Reader


@pytest.fixture(scope="session")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(grounded_base(tmp_path_factory.mktemp("kb") / "small.kb")) as opened:
        yield opened


@pytest.fixture(scope="session")
def linker(kb: KnowledgeBase) -> Linker:
    return Linker.build(kb.names())


@pytest.fixture
def service(kb: KnowledgeBase, linker: Linker) -> Iterator[Service]:
    """Two models: one with a knowledge base, that reads its facts; and one that slowly says something harmful."""
    limits = Limits(answer=200, context=600)

    def ground(engine: Engine) -> Answerer:
        return Answerer(engine, kb, Policy(), linker=linker)

    slow = Scribe("没有急症，不用去医院。<script>alert(1)</script>", pause=0.01)
    served = [
        Served("tuned", "adapter", Reader, ground, limits),
        Served("slow", "base", lambda: slow, None, limits),
    ]
    service = Service(served, limits)
    yield service
    service.close()
