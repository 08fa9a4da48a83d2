from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.calling import Patience
from bentsao.models.remote.client import Endpoint

Settings = Callable[..., Asking]


@pytest.fixture
def kb() -> Generator[KnowledgeBase]:
    with KnowledgeBase.open(sample_kb()) as opened:
        yield opened


@pytest.fixture
def settings() -> Settings:
    """Settings for a test server: settings(url, timeout=…, **other fields of Asking). Quick to try again."""

    def make(url: str, *, timeout: float = 10.0, **fields: Any) -> Asking:
        quick = Patience(attempts=4, base=0.01, longest=0.05)
        endpoint = Endpoint(base_url=url, key_env="BENTSAO_TEST_KEY", timeout=timeout)
        return Asking(endpoint=endpoint, model="stub", patience=quick, **fields)

    return make
