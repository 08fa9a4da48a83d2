"""Lists in words taken apart: `如恶心、呕吐和剧烈头痛等` → 恶心, 呕吐, 剧烈头痛. Works on normalised text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

_SEPARATOR = re.compile(r"[、,;。\n]|以及|及其?(?![时早格])|和|与|或者?|(?<![\w.])\d+[.)](?!\d)|等")
_LEADING = re.compile(
    r"^(?:[:\-*\"'(\[]|主要|常见的?|例如|比如|诸如|如|包括|还|有(?!机)|出现|伴有|伴随|并发(?!症)|引起|引发|导致|表现为|进行|采用|采取|"
    r"使用|服用|应用|给予|接受|选用|选择|可以|可能|可见|可(?![待乐])|用于|适用于|治疗|缓解|防治|预防(?!接种)|是|为|的|其|该|各种|一些|某些|做|行(?!为|走|经)|通过|对|由|因|到|去|挂|用(?![药量法]))+"
)
_TRAILING = re.compile(
    r"(?:[\"')\]:]|等|等等|之一|的?(?:症状|表现|患者|病人|情况|现象|就诊|就医|看病|可能性?|方法|方式|措施|手段|所致|引起)|都|均|也|者?(?:禁用|慎用|忌用|禁服|慎服)|者|有效)+$"
)
_NO_NAME = re.compile(
    "建议|根据|针对|排除|可以|应该|需要|通过|患者|病人|医生|医师|医院|具体|情况|不同|个体|综合(?!征)|及时|尽快|注意(?!缺陷)|遵|因此|所以|如果|但是|同时|此外|以下|上述|这些|"
    "什么|一般|通常|主要|进行|能够|以便|为主|为宜|确定|确诊|必要|方面|等等|多种|其他|其它|相应|适当|积极|有关|相关|我|您|你|了|将|会(?!阴|厌)|(?<![可斯])的"
)
_PLAIN = re.compile(
    "轻度|中度|重度|轻微|严重|剧烈|明显|显著|反复|持续|间断|经常|偶尔|偶有|常有|多有|伴有?|出现|有|可能|可|常|多|会|的|等|发作|加重|加剧|症状|表现|感|患者|者|"
    "进行|检查|常规|使用|服用|用|治疗|药物|疾病|常见|主要|典型|一定|程度|不同|禁用|慎用|忌用|不宜|可用|避免|不能|[()\"':、,和及与或以等]"
)


def items(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans of the items of the list at `text[start:end]`, without the words around the names themselves."""
    at = start
    for match in _SEPARATOR.finditer(text, start, end):
        yield from _trimmed(text, at, match.start())
        at = match.end()
        if match.group() == "等":
            return
    yield from _trimmed(text, at, end)


def is_name(item: str) -> bool:
    """Whether an item reads like a name rather than a part of a sentence."""
    return 2 <= len(item) <= 16 and not _NO_NAME.search(item)


def is_no_more(item: str, names: Sequence[tuple[int, int]]) -> bool:
    """Whether an item says no more than the names in it (their spans): 明显头痛 and 头痛, but not 全身麻醉 and 全身."""
    if any(left[1] == right[0] for left, right in pairwise(names)):
        return False  # 粘膜 and 感染 in 粘膜感染
    for start, end in reversed(names):
        item = item[:start] + item[end:]
    return not _PLAIN.sub("", item)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if leading := _LEADING.match(text[start:end]):
        start += leading.end()
    if trailing := _TRAILING.search(text[start:end]):
        end = start + trailing.start()
    if start < end:
        yield start, end
