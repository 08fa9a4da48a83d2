from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bentsao.apps.server.stopping import StopText

LETTERS = st.text("ab \n", max_size=12)


def cut(pieces: list[str], words: list[str], *, trim: bool = False) -> tuple[str, bool]:
    sent: list[str] = []
    text = StopText(words, sent.append, trim=trim)
    for piece in pieces:
        text.add(piece)
    text.end()
    assert all(sent), "nothing empty is sent"
    return "".join(sent), text.stopped


def by_hand(text: str, words: list[str]) -> tuple[str, bool]:
    """Read character by character: the first place where a word is complete, the longest such word."""
    for end in range(1, len(text) + 1):
        complete = [word for word in words if word and text[:end].endswith(word)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@given(st.lists(LETTERS, max_size=6), st.lists(LETTERS, max_size=3))
def test_the_text_ends_before_the_first_word_however_it_is_cut(pieces: list[str], words: list[str]) -> None:
    assert cut(pieces, words) == by_hand("".join(pieces), words)


@given(st.lists(LETTERS, max_size=6), st.lists(LETTERS, max_size=3))
def test_trimmed_it_is_the_same_without_blanks_around(pieces: list[str], words: list[str]) -> None:
    text, stopped = by_hand("".join(pieces), words)
    assert cut(pieces, words, trim=True) == (text.strip(), stopped)


def test_text_is_sent_as_soon_as_no_word_can_begin_in_it() -> None:
    sent: list[str] = []
    text = StopText(["\n问："], sent.append)
    for piece in ["多喝水", "。\n", "问"]:
        text.add(piece)
    assert sent == ["多喝水", "。"]
    text.add("题")
    assert "".join(sent) == "多喝水。\n问题"
