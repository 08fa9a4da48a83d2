"""One way of writing for every way of writing: width, case, script, punctuation, numerals, blanks.

Names and questions go through the same function, so that ２型糖尿病, Ⅱ型糖尿病 and 二型糖尿病 meet. It looks at a
character and its neighbours only, never at words, so that a name is written alike alone and inside a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from opencc import OpenCC


@dataclass(frozen=True)
class Normalised:
    """A text in one way of writing, and where each of its characters stood in the original.

    Character i of `text` was written at `starts[i]:ends[i]` of the original.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]`, which must not be empty, stood in the original."""
        return self.starts[start], self.ends[end - 1]


def normalise(text: str) -> Normalised:
    """The text in one way of writing.

    Half width, lower case, without accents, simplified script, one sign for each kind of bracket, quote and dash;
    第三, 二型, 两周, Ⅲ in Arabic figures; blanks, hyphens and middle dots kept only where they part words or figures.
    Line breaks are kept. Idempotent.
    """
    folded = text.translate(_FOLDED)
    if len(folded) == len(text):
        draft = Normalised(folded, range(len(text)), range(1, len(text) + 1))
    else:
        widths = [len(character.translate(_FOLDED)) for character in text]
        starts = [at for at, width in enumerate(widths) for _ in range(width)]
        draft = Normalised(folded, starts, [at + 1 for at in starts])
    if _MAY_CHANGE.search(folded):
        for pattern, replacement in _REWRITES:
            draft = _rewrite(draft, pattern, replacement)
    return draft


# --- one character ---------------------------------------------------------------------------------------------------

_SIGNS: dict[str, str] = {
    "-": "‐‑‒–—―−─━",
    "~": "〜∼～",
    "·": "•・‧∙⋅●",
    '"': "“”„″",
    "'": "‘’′`´",
    "(": "（﹙",
    ")": "）﹚",
    "[": "【〔「『〖",
    "]": "】〕」』〗",
    ",": "，﹐",
    "/": "⁄∕",
    "粘": "黏",
}
"""What one sign or character stands for: those that are written one for another."""

_ALIKE = {ord(other): sign for sign, others in _SIGNS.items() for other in others}


class _Folding(dict[int, str]):
    """A table for str.translate that works out a character when it is met first."""

    def __missing__(self, code: int) -> str:
        self[code] = _fold(chr(code))
        return self[code]


_FOLDED = _Folding()


def _fold(character: str) -> str:
    if character in "\n\r\u2028\u2029\x85\v\f":
        return "\n"
    if ord(character) in _ALIKE:
        return _ALIKE[ord(character)]
    if character in _ROMAN_SIGNS:
        return _ROMAN_SIGNS[character]
    out = ""
    for part in unicodedata.normalize("NFKD", character).lower():
        kind = unicodedata.category(part)
        if kind in {"Zs", "Cc"}:
            out += " "
        elif kind == "Cs":
            out += "\ufffd"  # half a character, which no text should have
        elif kind not in {"Mn", "Me", "Cf"}:
            out += _ALIKE.get(ord(part), part)
    return "".join(_converter().convert(part) for part in out) if any(part >= "\u3400" for part in out) else out


@cache
def _converter() -> OpenCC:
    return OpenCC("t2s")


# --- a character and its neighbours ----------------------------------------------------------------------------------

_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
_ROMAN_SIGNS = {chr(base + number): str(number + 1) for base in (0x2160, 0x2170) for number in range(12)}
_LONG_ROMAN = sorted({numeral for numeral in _ROMAN if len(numeral) > 1 and numeral != "iv"}, key=len, reverse=True)
_DIGITS = "一二三四五六七八九"

_GRADES = "型期度级类代"
_COUNTED = "[型期度级类代个次天日周月年岁片粒颗支袋瓶滴倍种]|小时|分钟|毫克|毫升|微克|公斤|克|升"
_NUMERAL = f"(?:[{_DIGITS}]?十[{_DIGITS}]?|[两{_DIGITS}])"


def _figures(numeral: str) -> str:
    tens, ten, ones = numeral.replace("两", "二").rpartition("十")
    value = (_DIGITS.find(tens) + 1 if tens else 1) * 10 if ten else 0
    return str(value + (_DIGITS.find(ones) + 1 if ones else 0))


def _roman_figures(numeral: str) -> str:
    return str(_ROMAN.index(numeral) + 1)


def _nothing(_: str) -> str:
    return ""


_BLANKS = re.compile(r"(?<![a-z0-9]) | (?![a-z0-9])|(?<=[a-z]) (?=[0-9])|(?<=[0-9]) (?=[a-z])")
"""All but one between two words in Latin letters, and one between two figures."""

_REWRITES: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile("(?<= ) +"), _nothing),
    (_BLANKS, _nothing),
    (re.compile(r"(?<=\w)[-·](?=[^\W0-9])|(?<=[^\W0-9])[-·](?=\w)"), _nothing),
    (re.compile(rf"(?<![0-9〇零百千万十{_DIGITS}]){_NUMERAL}(?={_COUNTED})|(?<=第){_NUMERAL}"), _figures),
    (re.compile(rf"(?<![a-z0-9])(?:{'|'.join(_LONG_ROMAN)})(?![a-z0-9])"), _roman_figures),
    (re.compile(rf"(?<![a-z0-9])(?:iv|i|v|x)(?=[{_GRADES}])|(?<=因子)(?:iv|i|v|x)(?![a-z0-9])"), _roman_figures),
    (_BLANKS, _nothing),  # around what was no figure before
    (re.compile("(?<=综合)症"), lambda _: "征"),
)
"""What is rewritten by its neighbours, in this order."""

_MAY_CHANGE = re.compile(rf"[ \-·ivx十两{_DIGITS}]|综合症")
"""What every match of a rewrite has in it: a quick look that spares most texts the rewrites."""


def _rewrite(draft: Normalised, pattern: re.Pattern[str], replacement: Callable[[str], str]) -> Normalised:
    """Each match replaced; the first new character starts, and every one ends, where what it replaces did."""
    text, starts, ends, done = "", list[int](), list[int](), 0
    for match in pattern.finditer(draft.text):
        new = replacement(match.group())
        text += draft.text[done : match.start()] + new
        starts += [*draft.starts[done : match.start()], *[draft.starts[match.start()]] * len(new)]
        ends += [*draft.ends[done : match.start()], *[draft.ends[match.end() - 1]] * len(new)]
        done = match.end()
    if not done:
        return draft
    return Normalised(text + draft.text[done:], [*starts, *draft.starts[done:]], [*ends, *draft.ends[done:]])
