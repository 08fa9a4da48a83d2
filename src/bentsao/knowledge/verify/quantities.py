"""Figures with units as quantities, so that 0.5g is 500mg, 每日3次 is tid, and 0.5g is not 5g.

Reads text as `normalise` writes it. A quantity is an interval of one dimension in its base unit (grams, litres, seconds
…); a figure alone is an interval without width, `不超过4g` one without a lower end. `UNITS` is the list of what is
understood; to teach a unit, add it there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bentsao.knowledge.verify.cues import COUNTED

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MONTH = 365.25 / 12 * DAY

UNITS: Mapping[str, Mapping[str, float]] = {
    "mass": {
        "kg": 1e3, "千克": 1e3, "公斤": 1e3, "斤": 500, "g": 1, "克": 1, "mg": 1e-3, "毫克": 1e-3,
        "μg": 1e-6, "ug": 1e-6, "mcg": 1e-6, "微克": 1e-6, "ng": 1e-9, "纳克": 1e-9, "pg": 1e-12,
    },
    "volume": {"l": 1, "升": 1, "dl": 0.1, "ml": 1e-3, "毫升": 1e-3, "cc": 1e-3, "μl": 1e-6, "ul": 1e-6, "微升": 1e-6},
    "time": {
        "秒": 1, "秒钟": 1, "分钟": MINUTE, "min": MINUTE, "小时": HOUR, "h": HOUR, "天": DAY, "日": DAY, "d": DAY,
        "周": 7 * DAY, "星期": 7 * DAY, "礼拜": 7 * DAY, "月": MONTH, "个月": MONTH, "年": 12 * MONTH,
    },
    "age": {"岁": 1, "周岁": 1, "月龄": 1 / 12},
    "length": {"m": 1, "米": 1, "cm": 0.01, "厘米": 0.01, "mm": 1e-3, "毫米": 1e-3, "μm": 1e-6, "微米": 1e-6},
    "area": {"m2": 1, "平方米": 1, "cm2": 1e-4, "平方厘米": 1e-4, "mm2": 1e-6},
    "amount": {"mol": 1, "mmol": 1e-3, "毫摩尔": 1e-3, "μmol": 1e-6, "umol": 1e-6, "nmol": 1e-9, "pmol": 1e-12},
    "activity": {"u": 1, "iu": 1, "miu": 1e-3, "mu": 1e-3, "单位": 1, "国际单位": 1},
    "pressure": {"mmhg": 133.322, "毫米汞柱": 133.322, "kpa": 1e3, "cmh2o": 98.0665, "mmh2o": 9.80665},
    "energy": {"kcal": 4184, "千卡": 4184, "kj": 1e3, "千焦": 1e3, "j": 1},
    "temperature": {"°c": 1, "摄氏度": 1},
    "radiation": {"gy": 1, "cgy": 0.01},
    "share": {"%": 0.01, "‰": 0.001},
    "money": {"元": 1, "块钱": 1},
    "times": {"次": 1},
    "fold": {"倍": 1},
} | {each: {each: 1} for each in COUNTED}  # fmt: skip
"""Dimension → its units, each in the dimension's base unit. Months are a twelfth of a year of 365.25 days."""

_FACTORS = {unit: (dimension, factor) for dimension, units in UNITS.items() for unit, factor in units.items()}
_PER = _FACTORS | {"分": ("time", MINUTE), "晚": ("time", DAY), "早": ("time", DAY), "晨": ("time", DAY)}
"""What may stand after a stroke or 每: there 分 is a minute and not a point."""

_LATIN_RATES = {"qd": 1, "bid": 2, "tid": 3, "qid": 4, "qod": 0.5, "qn": 1, "qm": 1, "hs": 1}


@dataclass(frozen=True)
class Quantity:
    """`text[start:end]` says that something lies in [low, high] of `dimension`, in its base unit.

    `dimension`: a key of UNITS or a quotient of them ("mass/time"). `rough`: in months or years, whose length varies.
    """

    start: int
    end: int
    low: float
    high: float
    dimension: str
    rough: bool = False


Agreement = Literal["same", "within", "apart"]


def compare(said: Quantity, known: Quantity, *, whole: bool = False) -> Agreement | None:
    """How what is said stands to what is known; None where they cannot be compared (other dimensions, open ends).

    "same": both ends equal, or an open statement (不超过4周) whose one end is the known one's; "within": inside a known
    closed interval (15mg of 10～20mg), which `whole` does not let pass; "apart": everything else.
    """
    if said.dimension != known.dimension:
        return None
    slack = 0.1 if said.rough != known.rough else 1e-6
    low = _equal(said.low, known.low, slack)
    high = _equal(said.high, known.high, slack)
    if (low and high) or (low and said.high == math.inf) or (high and said.low == -math.inf):
        return "same"
    closed = math.isfinite(known.low) and math.isfinite(known.high)
    inside = (low or said.low > known.low) and (high or said.high < known.high)
    if not inside:
        return "apart"
    if closed:
        return "apart" if whole else "within"
    return None if math.isfinite(said.low) and math.isfinite(said.high) else "apart"


def _equal(a: float, b: float, slack: float) -> bool:
    return a == b or (math.isfinite(a) and math.isfinite(b) and math.isclose(a, b, rel_tol=slack))


def quantities(text: str) -> tuple[Quantity, ...]:
    """The quantities of a normalised text, in order, none within another."""
    return tuple(_read(text)) if _MAY_HOLD.search(text) else ()


# --- reading --------------------------------------------------------------------------------------

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_SCALES = {"千": 1e3, "万": 1e4, "亿": 1e8}

_CHINESE = "[零〇一二两三四五六七八九十百千半]"
_NUMBER = rf"(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|{_CHINESE}+(?:点[零〇一二三四五六七八九]+)?"
_UNIT = "|".join(
    re.escape(unit) + ("(?![a-z])" if unit[-1].isascii() and unit[-1].isalpha() else "")
    for unit in sorted(_FACTORS, key=len, reverse=True)
)
_PER_UNIT = "|".join(
    re.escape(unit) + ("(?![a-z])" if unit[-1].isascii() and unit[-1].isalpha() else "")
    for unit in sorted(_PER, key=len, reverse=True)
)
_AT_LEAST = "不低于|不少于|不小于|至少|最少|超过|大于|高于|多于|≥|>=|>"
_AT_MOST = "不超过|不高于|不大于|不多于|至多|最多|小于|低于|少于|不足|≤|<=|<"
_TO = "[-~]{1,2}|至|到"
_TIMES = f"(?:{_CHINESE}|\\d)+"

_PATTERN = re.compile(
    rf"""
    (?P<latin>(?<![a-z])(?:qd|bid|tid|qid|qod|qn|qm|hs|q(?P<hours>\d+)h)(?![a-z]))
  | (?P<twice>早[、,]?晚各(?:服|用|1次|一次|{_TIMES}(?={_UNIT})))
  | (?P<every_other>隔(?P<gap>天|日)(?:1次|一次)?)
  | (?P<rate>(?:每隔?(?P<from>{_NUMBER})?(?:(?:{_TO})(?P<until>{_NUMBER}))?|(?<![\d.第])(?:1|一)|(?<![\d.])(?=日))
      (?P<span>{_PER_UNIT})(?:口?服|[使用应]用|注射|给药|滴|,)?
      (?P<times>{_NUMBER})(?:(?:{_TO})(?P<times_to>{_NUMBER}))?次)
  | (?P<fraction>(?P<of>[一二两三四五六七八九十百千]*万|[百千])分之
      (?P<part>{_NUMBER})(?:(?:{_TO})(?P<part_to>{_NUMBER}))?)
  | (?P<daily>每(?:日|天)|(?:1|一)(?:日|天)|日剂量|日总量)?(?:的?(?:最大|总|极|维持)?(?:剂量|用量|量))?
    (?P<every>每隔?)?(?P<bound>{_AT_LEAST}|{_AT_MOST})?
    (?<![\d.a-z第个])(?P<low>{_NUMBER})(?P<low_scale>千(?![克卡焦])|[万亿])?(?P<low_unit>{_UNIT})?
    (?:(?P<to>{_TO})?(?P<high>{_NUMBER})(?P<high_scale>千(?![克卡焦])|[万亿])?)?
    (?:[×x*]10\^?(?P<power>\d{{1,2}}))?
    (?P<unit>{_UNIT})?(?P<per>(?:/(?:{_PER_UNIT}|\((?:kg|千克|公斤|m2)[·*/]?(?:{_PER_UNIT})\)))+)?(?:/(?P<among>\d+)(?P<among_scale>[万亿])?(?!\d|{_UNIT}))?
    (?P<after>及?以上|及?以下|以内|之内|内)?
    """,
    re.VERBOSE,
)
_MAY_HOLD = re.compile(r"[\d零〇一二两三四五六七八九十百千半隔]|早晚|[btq]id|q[dnm]|qod")
_NO_QUANTITY = re.compile(r"百日咳|千日红|[一1]日[三3]餐|半月板|\d+月\d+日|第\d+(?:[-~至到]\d+)?|(?<![分共])\d+次(?!/)")


def _read(text: str) -> Iterator[Quantity]:
    hidden = [match.span() for match in _NO_QUANTITY.finditer(text)]
    at = 0
    while match := _PATTERN.search(text, at):
        quantity = None
        if match.end() > match.start() and not any(start <= match.start() < end for start, end in hidden):
            quantity = _quantity(match)
        if quantity is None:
            at = match.start() + 1
        else:
            yield quantity
            at = quantity.end


def _quantity(match: re.Match[str]) -> Quantity | None:
    start, end = match.span()
    if match["latin"]:
        rate = 24 / float(match["hours"]) if match["hours"] else _LATIN_RATES[match["latin"]]
        return Quantity(start, end, rate / DAY, rate / DAY, "times/time")
    if match["twice"]:
        return Quantity(start, end, 2 / DAY, 2 / DAY, "times/time")
    if match["every_other"]:
        return Quantity(start, end, 0.5 / DAY, 0.5 / DAY, "times/time")
    if match["rate"]:
        return _rate(match)
    if match["fraction"]:
        whole = _value(match["of"].rstrip("万")) * (1e4 if match["of"].endswith("万") else 1)
        low = _value(match["part"]) / whole
        return Quantity(start, end, low, _value(match["part_to"]) / whole if match["part_to"] else low, "share")
    return _measured(match)


def _rate(match: re.Match[str]) -> Quantity | None:
    dimension, factor = _PER[match["span"]]
    if dimension != "time":
        return None
    shortest = _value(match["from"]) if match["from"] else 1.0
    longest = _value(match["until"]) if match["until"] else shortest
    low = _value(match["times"])
    high = _value(match["times_to"]) if match["times_to"] else low
    if not shortest or not longest:
        return None
    return Quantity(*match.span(), low / (longest * factor), high / (shortest * factor), "times/time")


def _measured(match: re.Match[str]) -> Quantity | None:
    low_unit = match["low_unit"]
    unit = match["unit"] or (None if match["high"] else low_unit)
    dimension, factor = _FACTORS[unit] if unit else ("", 1.0)
    for below, size in _below(match["per"] or ""):
        if below == "times":
            continue  # 0.5g/次 is 0.5g
        dimension, factor = f"{dimension}/{below}", factor / size
    if match["among"]:
        among = float(match["among"]) * _SCALES.get(match["among_scale"], 1)
        if unit not in {None, "例"} or among < 100:
            return None
        dimension, factor = "share", factor / among
    if not dimension or (match["high"] and not match["to"] and not (low_unit == unit or match["low_scale"])):
        return None
    low, high = _ends(match, dimension, factor)
    if low is None or high is None:
        return None
    start, end = match.span()
    if match["daily"] and "/time" not in dimension and dimension not in {"time", "share", "age", "times"}:
        dimension, low, high = f"{dimension}/time", low / DAY, high / DAY
    elif match["daily"]:
        start = match.start("every") if match["every"] else match.start("bound" if match["bound"] else "low")
    if match["every"] and dimension == "time":
        if not low or not high:
            return None
        low, high, dimension = 1 / high, 1 / low, "times/time"
    rough = dimension == "time" and (unit or "")[-1:] in {"月", "年"}
    return Quantity(start, end, low, high, dimension, rough)


def _below(per: str) -> list[tuple[str, float]]:
    """`/kg/d` and `/(kgd)`, which is how `normalise` writes `/(kg·d)`, taken apart."""
    per = re.sub(r"\((kg|千克|公斤|m2)[·*/]?", r"\1/", per)
    return [_PER[each] for each in re.findall(_PER_UNIT, per)]


def _ends(match: re.Match[str], dimension: str, factor: float) -> tuple[float | None, float | None]:
    power = 10.0 ** int(match["power"]) if match["power"] else 1.0
    high_scale = _SCALES.get(match["high_scale"], 1.0)
    low_scale = _SCALES.get(match["low_scale"], high_scale if match["high"] else 1.0)
    low_factor = factor
    if match["low_unit"] and match["high"]:
        below, low_factor = _FACTORS[match["low_unit"]]
        if below != dimension:
            return None, None
    low = _value(match["low"]) * low_scale * low_factor * power
    high = _value(match["high"]) * high_scale * factor * power if match["high"] else low
    bound, after = match["bound"] or "", match["after"] or ""
    if re.fullmatch(_AT_MOST, bound) or after.endswith(("下", "内")):
        return -math.inf, high
    if re.fullmatch(_AT_LEAST, bound) or after.endswith("上"):
        return low, math.inf
    return low, high


def _value(figures: str) -> float:
    """3,000 → 3000; 十五 → 15; 一百二十 → 120; 两 → 2; 半 → 0.5; 二点五 → 2.5."""
    if figures[0].isdigit() and figures[0].isascii():
        return float(figures.replace(",", ""))
    whole, _, rest = figures.partition("点")
    half = 0.5 if whole.endswith("半") else 0.0
    total, digit = 0, 0
    for sign in whole.removesuffix("半"):
        if sign in _TENS:
            total, digit = total + (digit or 1) * _TENS[sign], 0
        else:
            digit = digit * 10 + _DIGITS[sign] if sign in _DIGITS else digit
    return total + digit + half + (float("0." + "".join(str(_DIGITS[sign]) for sign in rest)) if rest else 0.0)
