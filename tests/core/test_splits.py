from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.records import Conversation, Message
from bentsao.core.splits import NameFinder, group_by_names, split_by_group, without_names


def row(number: int, group: str, question: str = "问", answer: str = "答") -> Conversation:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Conversation(id=str(number), group=group, messages=messages)


@given(st.lists(st.integers(0, 9), max_size=60), st.floats(0, 0.9), st.integers(0, 5))
def test_no_group_is_on_both_sides_and_no_row_is_lost(groups: list[int], share: float, seed: int) -> None:
    rows = [row(n, str(g)) for n, g in enumerate(groups)]
    train, held = split_by_group(rows, share, seed)
    assert not {c.group for c in train} & {c.group for c in held}
    assert sorted(int(c.id) for c in train + held) == list(range(len(rows)))
    if len(set(groups)) >= 2 and share > 0:
        assert train
        assert held
    assert split_by_group(rows, share, seed) == (train, held)


def test_the_share_is_about_what_was_asked_for() -> None:
    rows = [row(n, str(n % 100)) for n in range(1000)]
    assert 80 <= len(split_by_group(rows, 0.1, 1)[1]) <= 120
    with pytest.raises(ValueError, match="share"):
        split_by_group(rows, 1.0, 1)


def test_names_are_found_leftmost_and_longest() -> None:
    finder = NameFinder(["阑尾炎", "急性阑尾炎", "炎"])
    assert finder.find("急性阑尾炎和阑尾炎") == ["急性阑尾炎", "阑尾炎"]


def test_rows_are_grouped_by_the_entity_they_are_about() -> None:
    rows = [row(1, "a", "急性阑尾炎发热吗"), row(2, "b", "疼", "可能是阑尾炎"), row(3, "c", "你好")]
    grouped, nameless = group_by_names(rows, ["急性阑尾炎", "阑尾炎", "发热"])
    assert ([c.group for c in grouped], nameless) == (["急性阑尾炎", "阑尾炎", "c"], 1)
    kept, dropped = without_names(grouped, ["发热"])
    assert ([c.id for c in kept], dropped) == (["2", "3"], 1)
