"""What a value of a foreign file must look like to get in, and the reasons why others are left out.

A value is a name or a short phrase; running text is welcome only where an attribute is made of it (`TEXT_ATTRIBUTES`).
Readers never drop anything on their own: what does not get in becomes a `Skipped` with one of these reasons.
"""

from __future__ import annotations

import re

EMPTY = "空值"
PLACEHOLDER = "占位文字（暂无相关资料等）"
CUT = "原文件里已被截断（以 ... 结尾）"
SENTENCE = "是句子，不是词条"
TOO_LONG = "过长"
BROKEN = "残缺或含有非法字符"
PAGE_TEXT = "网页上的文字，不是值"
REPEATED = "同一行里重复"
UNMAPPED = "没有对应的属性："
"""Followed by the foreign attribute's name, so that the report counts each by itself."""

TERM_LIMIT = 40
LATIN_LIMIT = 80
TEXT_LIMIT = 160
"""The longest name or value, the same without Chinese characters, and the longest running text, in characters."""

TEXT_ATTRIBUTES = frozenset(
    {
        *("用法用量", "注意事项", "药物相互作用", "孕妇用药", "儿童用药", "老年用药", "药理作用", "药动学"),
        *("发病机制", "预后状况", "正常值"),
    }
)
"""Attributes whose values may be clauses of running text."""

_PLACEHOLDER = re.compile(
    r"[(（]?(?:暂?无(?:相关|可参考)?(?:资料|数据|内容)?|不详|未知|(?:尚不|不)(?:明确|清楚)|none|null|nan|n/a)[)）]?[。.]?",
    re.IGNORECASE,
)
_PAGE_TEXT = re.compile(r"\[?详细\]?|>+|应该如何用药.*|用什么药.*|查看更多.*|更多\W*")
_CUT = re.compile(r"(?:\.{3,}|…+)$")
_CJK = r"\u3400-\u9fff"
_INNER_BLANK = re.compile(rf"(?<=[{_CJK}，、（）]) +(?=[{_CJK}，、（）])|(?<=\d\.) +(?=\d)")
_MARKUP = re.compile(r"_([^_]+)_")
_EDGES = " ，、；。：,;:*·|"
_MEANS_SOMETHING = re.compile(r"[^\W_]")
_LOST = re.compile("[?\ufffd\ue000-\uf8ff]")  # what a character that was lost in a conversion has become
_JOINED = re.compile(r"\s*.?|(?:严重|[重中轻]度|活动性|继发性|原发性|对)[心肝脾肺肾胃脑]")
_WITHIN = re.compile(r"(?<=\d),(?=\d)|(?<=\b[A-Za-z]),(?=[A-Za-z]\b)", re.ASCII)
_OPENING, _CLOSING = "(（[【", ")）]】"


def tidy(text: str) -> str:
    """The text without blanks, markup and punctuation at its edges, and with its brackets in pairs.

    What is taken away can lay open more of the same, so it is gone over until nothing changes.
    """
    while (tidied := _tidied(text)) != text:
        text = tidied
    return text


def _tidied(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    text = _MARKUP.sub(r"\1", text.strip(_EDGES + ">"))
    text = _INNER_BLANK.sub("", text).lstrip(".")
    return _paired(text).strip(_EDGES)


def _paired(text: str) -> str:
    """Cut an opening bracket that is never closed with what follows it, and drop a closing one never opened.

    A name that was cut inside its brackets is whole without them: `核磁共振成像(...`.
    """
    depth, opened = 0, 0
    kept: list[str] = []
    for character in text:
        if character in _OPENING:
            if depth == 0:
                opened = len(kept)
            depth += 1
        elif character in _CLOSING:
            if depth == 0:
                continue
            depth -= 1
        kept.append(character)
    return "".join(kept[:opened] if depth and opened else kept)


def why_not(text: str, *, running: bool = False, name: bool = False) -> str | None:
    """The reason why a tidied value is left out; None if it gets in.

    running: running text is welcome; name: commas are part of it (人类疱疹病毒6，7，8型感染性疾病).
    """
    limit = TEXT_LIMIT if running else LATIN_LIMIT if is_latin(text) else TERM_LIMIT
    if not text:
        return EMPTY
    if _PLACEHOLDER.fullmatch(text):
        return PLACEHOLDER
    if _PAGE_TEXT.fullmatch(text):
        return PAGE_TEXT
    if _CUT.search(text):
        return CUT
    if not text.isprintable() or _LOST.search(text) or not _MEANS_SOMETHING.search(text):
        return BROKEN
    if len(text) > limit:
        return f"{TOO_LONG}（超过 {limit} 字）"
    if not running and not name and is_sentence(text):
        return SENTENCE
    return None


def is_sentence(text: str) -> bool:
    """Whether a value tells a story instead of naming a thing."""
    return bool(re.search(r"[。！？；!?;]", text)) or text.count("，") > 1 or ("，" in text and len(text) > 20)


def split_list(text: str, separators: str) -> list[str]:
    """The items, blank ones left out, of a list in one string; separators within brackets do not split.

    Nor does a 、 after a single character or an organ, which joins parts of one name (胃、十二指肠溃疡;
    严重肝、肾功能不全), or a comma between digits or single letters (1,000元; 1,25-二羟维生素D3; N,N-二甲基甲酰胺).
    """
    items: list[str] = []
    depth, start = 0, 0
    for at, character in enumerate(text):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(0, depth - 1)
        elif depth == 0 and character in separators and not _joins(text, start, at):
            items.append(text[start:at])
            start = at + 1
    return [item.strip() for item in [*items, text[start:]] if item.strip()]


def _joins(text: str, start: int, at: int) -> bool:
    if text[at] == ",":
        return _WITHIN.match(text, at) is not None
    return text[at] == "、" and _JOINED.fullmatch(text, start, at) is not None


def is_latin(text: str) -> bool:
    """Whether a name is written without Chinese characters."""
    return not re.search(f"[{_CJK}]", text)
