"""Which options a reply to a multiple-choice question names. What cannot be read is not guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SIGN = r"(?![A-Za-z0-9+\-])"
"""What may not follow a letter that names an option: DNA, B12, C-反应蛋白 are words."""

_LETTERS = r"[（(\[【“\"']*(?P<letters>[A-J](?:[ \t]*[、，,和与及]?[ \t]*[A-J])*)" + _SIGN

_STATED = [
    # 答案是 B；正确选项为：A、C；故选D
    re.compile(r"(?:正确)?(?:答案|选项|选择)(?:应该|应当|应|就)?(?:选择|选|为|是|[:：\s])+" + _LETTERS),
    re.compile(r"(?:故|因此|所以|应该|应当|应|我|综上|可)?(?<![可备任])选(?:择|项)?[:：\s]*" + _LETTERS),
    re.compile(r"(?:the\s+)?(?:correct\s+)?answer(?:\s+is)?[:\s]*" + _LETTERS, re.IGNORECASE),
]
_FIRST = re.compile(r"\s*" + _LETTERS + r"\s*(?=[）)\]】。．.、，,:：;；\s”\"']|$)")
_LISTED = re.compile(r"(?:^|\n)[ \t\u3000]*[A-J][ \t]*[.、:)]")
"""A line that begins as an option does."""

_UNFINISHED = re.compile(r"[^。；;！!？?\n]*$")

_NEGATED = re.compile(r"(?:不|非|错误|勿|别|排除)[^，。；\n]{0,4}$")


def read_letters(reply: str, options: Sequence[str], *, several: bool, cut: bool = False) -> tuple[int, ...] | None:
    """The options that a reply names, by place, in order; None where it names none, or not clearly.

    options: their texts. several: whether more than one may be right. The reply's statement of its answer counts (the
    last, where it states several: people think aloud); else letters that it begins with; else the one option whose
    text it says. With one right answer, several letters are not an answer. cut: whether it was cut off at its longest;
    what its last, unfinished sentence quotes is then not all that it would have said.
    """
    text = unicodedata.normalize("NFKC", reply).strip()
    found = _stated(text) or _first(text) or _quoted(_UNFINISHED.sub("", text) if cut else text, options)
    if found is None or max(found) >= len(options):
        return None
    return found if several or len(found) == 1 else None


def _stated(text: str) -> tuple[int, ...] | None:
    """The letters of the last statement that is not a denial."""
    statements = sorted(
        (match.start("letters"), match["letters"])
        for pattern in _STATED
        for match in pattern.finditer(text)
        if not _NEGATED.search(text[: match.start()])
    )
    return _places(statements[-1][1]) if statements else None


def _first(text: str) -> tuple[int, ...] | None:
    """The letters that a reply begins with: alone on their line, or before a text that goes on about them."""
    match = _FIRST.match(text)
    if not match:
        return None
    alone = not text[match.end() :].partition("\n")[0].strip("）)]】。．., ")
    # A list of the options (A. … B. …) is the question said again, not an answer.
    return _places(match["letters"]) if alone or not _LISTED.search(text, match.end()) else None


def _quoted(text: str, options: Sequence[str]) -> tuple[int, ...] | None:
    """The one option whose text stands in the reply; an option within another one's text does not count beside it."""
    if _LISTED.search(text):
        return None
    plain = [unicodedata.normalize("NFKC", option).strip() for option in options]
    said = [place for place, option in enumerate(plain) if option and option in text]
    longest = [place for place in said if not any(plain[place] in plain[other] for other in said if other != place)]
    return (longest[0],) if len(longest) == 1 else None


def _places(letters: str) -> tuple[int, ...]:
    return tuple(sorted({ord(letter) - ord("A") for letter in letters if "A" <= letter <= "J"}))
