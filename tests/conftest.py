"""For all tests: the cache is a folder of the test run, so that no test reads or fills the user's."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
