from __future__ import annotations

from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError
from bentsao.core.formats import FORMATS
from bentsao.core.records import Conversation, Message
from bentsao.tuning.rows import cached_rows, check_not_empty, make_rows
from tests.doubles import CharTokens


def talk(name: str, *said: str, parts: tuple[str, ...] = ("",)) -> Conversation:
    roles = ("user", "assistant")
    return Conversation(
        id=name,
        group=name,
        messages=tuple(
            Message(role=roles[n % 2], content=text, part=parts[n // 2 % len(parts)] if n % 2 else "")
            for n, text in enumerate(said)
        ),
    )


DATA = [
    talk("fits", "甲", "乙"),
    talk("dialogue", "甲", "乙", "丙", "丁"),
    talk("long-answer", "甲", "乙" * 50),
    talk("long-prompt", "甲" * 50, "乙"),
]


def test_every_turn_is_accounted_for() -> None:
    made = make_rows(DATA, FORMATS["plain"], CharTokens(start=False), cutoff=30)
    account = made.account
    assert (account.conversations, account.turns, account.learnt_turns, account.rows) == (4, 5, 3, 2)
    assert account.refused == {"answer_too_long": 1, "prompt_too_long": 1}
    assert account.refused_ids == ("long-answer", "long-prompt")
    assert account.learnt_tokens == 6  # three answers of one character, each with its end
    assert made.ids == ("fits", "dialogue")
    cut = make_rows(DATA, FORMATS["plain"], CharTokens(start=False), cutoff=30, cut_answers=True).account
    assert (cut.cut, cut.refused) == ({"answer_cut": 1}, {"prompt_too_long": 1})
    assert cut.turns == cut.learnt_turns + sum(cut.cut.values()) + sum(cut.refused.values())


GROUNDED = talk("grounded", "甲", "乙丙", "丁", "戊", "己", "庚辛壬", parts=("entity", "attribute", "answer"))


def test_learnt_tokens_are_counted_by_part() -> None:
    made = make_rows([GROUNDED, *DATA[:2]], FORMATS["plain"], CharTokens(start=False), cutoff=80)
    # Each answer with its end; what names no part is the instruction's.
    assert made.account.learnt_by_part == {"instruction": 6, "entity": 3, "attribute": 2, "answer": 4}
    assert made.account.learnt_tokens == 15
    assert len(made.rows) == 3


def test_the_second_start_does_not_tokenise_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path))
    tokens = CharTokens()
    data = [DATA[0], GROUNDED, *DATA[1:]]
    first, cached = cached_rows(data, FORMATS["plain"], tokens, "t", cutoff=50)
    assert not cached
    monkeypatch.setattr(tokens, "encode", lambda *a, **k: pytest.fail("tokenised again"))
    second, cached = cached_rows(data, FORMATS["plain"], tokens, "t", cutoff=50)
    assert cached
    assert second == first
    assert [len(row.parts) for row in second.rows] == [1, 3, 1]


@pytest.mark.parametrize("change", ["format", "cutoff", "data", "parts", "tokenizer", "damage"])
def test_the_cache_is_not_used_for_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path))
    cached_rows(DATA, FORMATS["plain"], CharTokens(), "t", cutoff=30)
    if change == "damage":
        (file,) = (tmp_path / "rows").iterdir()
        file.write_bytes(file.read_bytes()[:50])
    data = {"data": DATA[:2], "parts": [talk("fits", "甲", "乙", parts=("entity",)), *DATA[1:]]}
    _, cached = cached_rows(
        data.get(change, DATA),
        FORMATS["alpaca" if change == "format" else "plain"],
        CharTokens(),
        "other" if change == "tokenizer" else "t",
        cutoff=31 if change == "cutoff" else 30,
    )
    assert not cached


def test_nothing_to_learn_is_an_error_that_says_why() -> None:
    made = make_rows([DATA[3]], FORMATS["plain"], CharTokens(), cutoff=30)
    with pytest.raises(ConfigError, match="prompt_too_long 1"):
        check_not_empty(made, 30)
