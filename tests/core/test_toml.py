"""TOML that no parser takes is told with its file."""

from __future__ import annotations

import pytest

from bentsao.core.errors import DataError
from bentsao.core.toml import parse_toml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = 1\nb = ?", r"x\.toml:2 .*'b = \?'"),
        ("a = " + "[" * 100_000, "嵌套太深"),
        ("a = " + "9" * 5000, "数字太长"),
    ],
)
def test_what_is_no_toml_is_told(text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        parse_toml(text, "x.toml")
