from __future__ import annotations

import pytest

from bentsao.inference.safety.patterns import Finder, named_groups


def found(pattern: str, text: str, **words: str) -> list[str]:
    finder = Finder(named_groups(words))
    finder.add(pattern, 0)
    return [text[each.start : each.end] for each in finder.find(text)]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("胸痛", "我胸痛,他胸痛", ["胸痛", "胸痛"]),
        ("胸[口|]..{痛}", "胸口很疼", ["胸口很疼"]),
        ("胸[口|]..{痛}", "胸口,很疼", []),
        ("头...[吐|昏]", "头撞了,一直吐", ["头撞了,一直吐"]),
        ("头...吐", "头撞了。一直吐", []),
        ("##片", "吃了30片", ["30片"]),
        ("不?要吐", "要吐不要吐", ["要吐", "不要吐", "要吐"]),
        ("没有$", "没有了,没有", ["没有"]),
        ("吗？", "吗?", ["吗?"]),
        ("流了[好|多]*血", "流了好多血", ["流了好多血"]),
    ],
)
def test_the_language_of_patterns(pattern: str, text: str, expected: list[str]) -> None:
    assert found(pattern, text, 痛="痛 疼") == expected


@pytest.mark.parametrize("pattern", ["[a|]", "[a", "a]", "..", "{无}"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        found(pattern, "a")
