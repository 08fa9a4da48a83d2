"""For all tests: a cache of their own; property tests with the same examples each time, however slow the machine."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("chance", deadline=None)  # HYPOTHESIS=chance make test: other examples each time
settings.load_profile(os.environ.get("HYPOTHESIS", "same"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's."""
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
