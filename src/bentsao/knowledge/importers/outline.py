"""Running text with numbered points, as in drug monographs: `1.口服：(1)成人：每次10mg。(2)儿童：…。2.注射：…`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Clause:
    """A sentence without its full stop, and the headings it stands under, outermost first."""

    headings: tuple[str, ...]
    text: str


_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮"
_LEVELS = ("{n}.", "({n})", "{c}")
"""How the points of each level are numbered: n in digits, c the circled number."""

_HEADING = re.compile(r"([^，。；：,;:()（）\d]{2,14})[：:](?=\S)")
_BEFORE_POINT = ("", *"。；;：:，,、)） ")
"""What may stand before the mark of a point; a full stop or nothing before one that looks like a decimal number."""


def clauses(text: str) -> Iterator[Clause]:
    """The sentences of a text with the headings over each of them."""
    yield from _points(text.replace("．", ".").strip(), (), _LEVELS)


def _points(text: str, headings: tuple[str, ...], levels: Sequence[str]) -> Iterator[Clause]:
    if not levels:
        yield from _sentences(text, headings)
        return
    places = _numbered(text, levels[0])
    if not places:
        yield from _points(text, headings, levels[1:])
        return
    lead = text[: places[0][0]].strip()
    inner = headings
    if lead.endswith(("：", ":")) and len(lead) <= 20 and "。" not in lead:
        inner = (*headings, lead[:-1].strip())
    elif lead:
        yield from _points(lead, headings, levels[1:])
    for (_, start), (end, _) in zip(places, [*places[1:], (len(text), 0)], strict=True):
        yield from _points(text[start:end].strip(), inner, levels[1:])


def _numbered(text: str, level: str) -> list[tuple[int, int]]:
    """(start, end) of the marks 1, 2, 3 … of a level, in order; empty with fewer than two."""
    places: list[tuple[int, int]] = []
    for number, circled in enumerate(_CIRCLED, start=1):
        mark = level.format(n=number, c=circled)
        at = _find_mark(text, mark, places[-1][1] if places else 0)
        if at < 0:
            break
        places.append((at, at + len(mark)))
    return places if len(places) > 1 else []


def _find_mark(text: str, mark: str, start: int) -> int:
    """Where the mark of a point stands; -1 if nowhere."""
    while (at := text.find(mark, start)) >= 0:
        start = at + len(mark)
        before = text[at - 1 : at]
        decimal = mark.endswith(".") and text[start : start + 1].isdigit() and before not in {"", "。"}
        if mark in _CIRCLED or (before in _BEFORE_POINT and not decimal):
            return at
    return -1


def _sentences(text: str, headings: tuple[str, ...]) -> Iterator[Clause]:
    """A heading at the beginning holds for the whole text under the point."""
    if heading := _HEADING.match(text):
        headings, text = (*headings, heading[1].strip()), text[heading.end() :]
    for sentence in re.split(r"[。]", text):
        if sentence := sentence.strip(" ；;，,"):
            yield Clause(headings, sentence)
