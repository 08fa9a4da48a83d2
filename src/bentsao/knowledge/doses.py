"""What is suspicious about a dose: figures that no dose can have, or that do not go together.

Marks of scanning and copying (a lost decimal point, a lost ², mg for μg), not of medicine: whether a dose is right for
a disease only a person can tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.verify.quantities import DAY, Quantity, quantities

WIDE = 40
"""A range whose upper end is more than this many times its lower end has probably lost a point or a figure."""

LARGE = 100.0
"""Grams: more in one dose is probably milligrams."""

OFTEN = 24
"""More doses a day than this are not given."""

APART = 500
"""Single doses of one drug that differ by more than this factor are probably in different units (mg and μg)."""

_BROKEN = re.compile(r"\d\.\.+\d|\d\.\d+\.\d|(?<![\d.:：])0\d+(?:\.\d+)?(?=[μmnku]?g|m?l|[片粒丸支袋滴克毫])")
_UNITLESS = re.compile(
    r"(?:每|1)次(?:口?服|用|量|给)?(?:约|为)?\d+(?:\.\d+)?(?:[-~]\d+(?:\.\d+)?)?(?=[,;。]|\.(?![\d.])|$)"
)
_DAILY = re.compile(r"(?:每|(?<!\d)1)[天日](?:\d+[-~])?(?P<times>\d+)次")
_WEIGHT = re.compile("kg|公斤|千克")
_SINGLE = re.compile(r"(?:每|(?<!\d)1)次(?:口?服|用|量|给予?|剂量|注射)?(?:约|为|不超过)?$")


def suspicious(value: str) -> Iterator[str]:
    """What is odd about one value of 用法用量, in words for the user; nothing where nothing is."""
    text = normalise(value).text
    found = quantities(text)
    for match in _BROKEN.finditer(text):
        yield f"数字写法可疑：{text[max(0, match.start() - 4) : match.end() + 4]}"
    for match in _UNITLESS.finditer(text):
        yield f"剂量没有单位：{match.group()}"
    for match in _DAILY.finditer(text):
        if int(match["times"]) > OFTEN:
            yield f"每天超过 {OFTEN} 次：{match.group()}"
    for one in found:
        written = text[one.start : one.end]
        # `1/2~1袋` is read from its 2, and kilograms are a patient's weight.
        if text[one.start - 1 : one.start] != "/" and not _WEIGHT.search(written) and (reason := _odd(one)):
            yield f"{reason}：{written}"
    singles = [one for one in found if _is_single(text, one)]
    for most in (one for one in found if one.low == -math.inf and one.dimension.endswith("/time")):
        for one in singles:
            if f"{one.dimension}/time" == most.dimension and one.high > most.high * DAY * (1 + 1e-6):
                yield f"单次剂量超过每日上限：{text[one.start : one.end]}，{text[most.start : most.end]}"


def far_apart(values: Iterable[str]) -> tuple[str, str] | None:
    """The values with the smallest and the largest single dose by weight, if they are too far apart; else None."""
    singles: list[tuple[float, str]] = []
    for value in values:
        text = normalise(value).text
        singles += [(one.high, value) for one in quantities(text) if one.dimension == "mass" and _is_single(text, one)]
    positive = sorted(single for single in singles if single[0] > 0)
    if positive and positive[-1][0] > positive[0][0] * APART:
        return positive[0][1], positive[-1][1]
    return None


def _is_single(text: str, one: Quantity) -> bool:
    """Whether a quantity is what is taken at one time."""
    return one.low > -math.inf and bool(_SINGLE.search(text[: one.start]))


def _odd(one: Quantity) -> str | None:
    """Why a quantity by itself is suspicious."""
    dose = one.dimension.split("/")[0] in _DOSES
    if "mass/length" in one.dimension:
        return "每平方米（m²）少了平方"
    if dose and one.low > one.high:
        return "下限大于上限"
    if dose and one.low == one.high == 0:
        return "剂量为 0"
    if dose and math.isfinite(one.high) and 0 < one.low * WIDE < one.high:
        return "上下限相差过大"
    if one.dimension == "mass" and LARGE < one.high < math.inf:
        return f"超过 {LARGE:.0f} 克"
    return None


_DOSES = frozenset({"mass", "volume", "activity", *"片粒支袋丸滴包瓶枚贴喷揿"})
