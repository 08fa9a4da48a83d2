from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bentsao.apps.commands import demo


@pytest.mark.parametrize(
    ("data", "names", "by_disease"),
    [(None, None, True), (Path("own.jsonl"), "names.txt", True), (Path("own.jsonl"), None, False)],
)
def test_diseases_are_said_to_be_held_out_only_where_they_are(
    monkeypatch: pytest.MonkeyPatch, data: Path | None, names: str | None, by_disease: bool
) -> None:
    told: list[demo.Asking] = []

    def remember(*arguments: Any) -> None:
        told.append(arguments[-1])

    monkeypatch.setattr(demo, "_demo", remember)
    demo.demo(data=data, names=names)
    (asking,) = told
    assert ("验证的疾病不在训练中" in asking.held_out) is by_disease
