"""Which options a reply to a multiple-choice question names. What cannot be read is not guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SIGN = r"(?![A-Za-z0-9+\-类型组级期族])"
"""What may not follow a letter that names an option: DNA, B12, C-反应蛋白, A类 are words."""

_REFUSED = r"(?! ?(?:选项|项)? ?(?:的说法|的描述)?(?:是|为|并|均|都)?(?:错|不正确|不对|不符|不成立|不选|干扰|吗))"
"""What follows letters that are named in order not to be taken."""

_CHAIN = r"(?P<letters>[A-J](?: ?(?:[、,和与及或/]|or)? ?[A-J])*)" + _SIGN
_LETTERS = r"[(\[【“\"']*" + _CHAIN + _REFUSED

_STATED = (
    # What is said to be the answer: 答案是 B；正确选项为：A、C；故选D
    (
        re.compile(r"(?:答案|正确的?选项|正确的?选择)(?:应该|应当|应|就)?(?:选择|选|为|是|[:\s])*" + _LETTERS),
        re.compile(r"(?:故|因此|所以|应该|应当|应|综上)选择?[:\s]*" + _LETTERS),
        re.compile(r"(?i:answer(?: is)?)[:\s]*" + _LETTERS),
    ),
    # What is merely taken: 选A；or found to be right: 选项B正确
    (
        re.compile(r"(?<![可备任])选择?[:\s]*(?:选项 ?)?" + _LETTERS),
        re.compile(rf"选项 ?{_CHAIN} ?(?:才?是)?(?:正确(?![性率吗])|对(?=[的。,;.\s]|$))"),
    ),
)
"""Statements of an answer; the stronger ones first."""

_FIRST = re.compile(r"\s*" + _LETTERS + r"\s*(?=[)\]】。.、,:;\s”\"']|$)")
_LISTED = re.compile(r"(?:^|\n) ?[A-J] ?[.、:)]")
"""A line that begins as an option does."""

_NEGATED = re.compile(r"(?:不|非|错误|勿|别|排除)[^,;。\n]{0,4}$")
_NEAR = 6
"""Characters before a statement in which its denial can stand."""


def read_letters(reply: str, options: Sequence[str], *, several: bool, cut: bool = False) -> tuple[int, ...] | None:
    """The options that a reply names, by place, in order; None where it names none, or not clearly.

    options: their texts. several: whether more than one may be right. The reply's statement of its answer counts (the
    last, where it states several: people think aloud); else letters that it begins with; else the one option whose
    text it says. With one right answer, several letters are not an answer; A or B never is. cut: whether it was cut off
    at its longest; what its last, unfinished sentence quotes is then not all that it would have said.
    """
    # NFKC also makes full-width commas, colons and brackets plain ones.
    text = re.sub(r"[ \t]+", " ", unicodedata.normalize("NFKC", reply)).strip()
    letters = _stated(text) or _first(text)
    found = _places(letters) if letters else _quoted(_finished(text) if cut else text, options)
    if found is None or max(found) >= len(options):
        return None
    return found if several or len(found) == 1 else None


def _stated(text: str) -> str:
    """The letters of the last of the strongest statements that is not a denial; "" for none."""
    for patterns in _STATED:
        found = [
            (match.start(), match["letters"])
            for pattern in patterns
            for match in pattern.finditer(text)
            if not _NEGATED.search(text[max(0, match.start() - _NEAR) : match.start()])
        ]
        if found:
            return max(found)[1]
    return ""


def _first(text: str) -> str:
    """The letters that a reply begins with: alone on their line, or before a text that goes on about them."""
    match = _FIRST.match(text)
    if not match:
        return ""
    alone = not text[match.end() :].partition("\n")[0].strip(")]】。., ")
    # A list of the options (A. … B. …) is the question said again, not an answer.
    return match["letters"] if alone or not _LISTED.search(text, match.end()) else ""


def _quoted(text: str, options: Sequence[str]) -> tuple[int, ...] | None:
    """The one option whose text stands in the reply; an option within another one's text does not count beside it."""
    if _LISTED.search(text):
        return None
    plain = [unicodedata.normalize("NFKC", option).strip() for option in options]
    said = [place for place, option in enumerate(plain) if option and option in text]
    longest = [place for place in said if not any(plain[place] in plain[other] for other in said if other != place)]
    return (longest[0],) if len(longest) == 1 else None


def _finished(text: str) -> str:
    """The text as far as its sentences were ended."""
    return text[: 1 + max(map(text.rfind, "。;!?\n"))]


def _places(letters: str) -> tuple[int, ...] | None:
    """The places of letters, in order; None where the reply leaves open which."""
    if re.search("或|or|/", letters):
        return None
    return tuple(sorted({ord(letter) - ord("A") for letter in letters if "A" <= letter <= "J"}))
