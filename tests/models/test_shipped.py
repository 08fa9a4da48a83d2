from __future__ import annotations

from pathlib import Path

import pytest

from bentsao.core.errors import MissingError
from bentsao.models import shipped
from bentsao.models.adapters import read_adapter
from bentsao.models.shipped import adapter_folder


def test_shipped_is_the_adapter_that_came_along_and_other_names_are_folders() -> None:
    assert read_adapter(adapter_folder("shipped")).base == "embedded"
    assert adapter_folder("runs/my") == Path("runs/my")


def test_a_package_without_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    with pytest.raises(MissingError, match="没有随项目发布的适配器"):
        adapter_folder("shipped")
