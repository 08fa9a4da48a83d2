"""The shape of an answer: empty, not finished, going round in circles, or no more than the question again."""

from __future__ import annotations

import re

from bentsao.construction.filters.context import Context, reason
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation
from bentsao.core.repetition import repeated
from bentsao.core.subsequence import in_order
from bentsao.knowledge.grams import folded

MIN_ANSWER = 4
"""Letters and digits that an answer has at least.

27 rows of the original's data have fewer (足, 氧, 是, 男性, 化疗, 心肌炎): right or wrong, they teach to answer in
one word.
"""

BARE = 12
"""An answer of so few letters and digits, without any punctuation, is a name and needs no full stop."""

ECHO = 0.9
"""Share of an answer that stands in the question in the same order, from which on it says nothing else.

From 0.9 on the original's data has rows such as 治疗方案应当采用哪种？ → 开放性气胸的治疗方案。 From 0.8 to 0.9 most
add a short answer.
"""

ECHO_LENGTH = 8
"""Characters; shorter answers are names; a name may well stand in the question."""

LOOPED = 0.5
"""Share of an answer that lies in runs repeated three times, from which on it goes round in circles.

In the original's literature dialogues 22 answers repeat a run of 12 characters three times, and each is the long name
of what they speak of (hsa_circRNA_103191): 0.15 to 0.40 of the answer. A model that loops covers nearly all of it.
"""

TWICE = 16
"""A sentence of at least so many letters and digits that stands in an answer twice was not meant twice."""

_CLOSED = re.compile(r"[。！？!?.][\s”’」』）)】\]\"'…]*$|[。！？!?][\s\S]{0,2}$")
_CUT = re.compile(r"(?:[、，,：:；;（(【《“\-—+/]|……|…|\.\.\.)\s*$")
_EMPTY_MARK = re.compile(r"[、，,：:；;]\s*[。！？]|、{2,}|，{2,}|、，|，、|(?:包括|例如|比如|以及|[及和或与、])\s*$")
_NO_NUMBER = re.compile(r"[≥≤＞＜><]\s*(?=[，。；、]|以及|等|和|或|$)")
_PAIRS = (("（(", "）)"), ("【", "】"), ("《", "》"), ("“", "”"), ("「", "」"))
_YES_OR_NO = re.compile(
    r"吗|是否|是不是|有没有|能不能|会不会|可不可以|要不要|需不需要|有无|能否|可否|对不对|还是|哪个|哪一[个种]|谁"
)
_ASKS = re.compile(r"什么|哪|如何|怎|何|多少|几|谁|请|为啥")
_SENTENCE = re.compile(r"[。！？!?；;\n]")


def too_short(conversation: Conversation, _: Context) -> str | None:
    """An empty question or answer, or an answer of a character or two."""
    said = texts(conversation)
    if not said.questions or any(not folded(question) for question in said.questions):
        return reason("问题是空的", said.question)
    if not said.answers or any(not folded(answer) for answer in said.answers):
        return reason("回答是空的", said.answer)
    return next((reason("回答过短", text) for text in said.answers if len(folded(text)) < MIN_ANSWER), None)


def unfinished(conversation: Conversation, _: Context) -> str | None:
    """An answer that breaks off: no closing punctuation, an open list or bracket, a number left out."""
    for answer in texts(conversation).answers:
        text = answer.strip()
        tail = text[-24:]
        if _CUT.search(text):
            return reason("断在中间", tail)
        if found := _EMPTY_MARK.search(text):
            return reason("列举缺了一项", text[max(0, found.start() - 12) : found.end() + 12])
        if found := _NO_NUMBER.search(text):
            return reason("比较号后没有数字", text[max(0, found.start() - 12) : found.end() + 12])
        if opened := _left_open(text):
            return reason("括号没有配对", opened)
        if not _CLOSED.search(text) and not _is_bare(text):
            return reason("没有句末标点", tail)
    return None


def _is_bare(text: str) -> bool:
    """Whether an answer is a name by itself."""
    return len(folded(text)) <= BARE and not re.search(r"[，、；：,;:。]", text)


def _left_open(text: str) -> str | None:
    """The text from a bracket on that is never closed. A list's `1）` closes nothing and is no fault."""
    for opening, closing in _PAIRS:
        depth: list[int] = []
        for at, character in enumerate(text):
            if character in opening:
                depth.append(at)
            elif character in closing and depth:
                depth.pop()
        if depth:
            return text[depth[0] :]
    return None


def repetition(conversation: Conversation, _: Context) -> str | None:
    """An answer that says the same again: a run of 12 characters three times, or a whole sentence twice."""
    for answer in texts(conversation).answers:
        runs = repeated(answer)
        if runs and max(runs.values()) >= LOOPED:
            return reason("同一段话出现三次以上", next(iter(runs)))
        seen: set[str] = set()
        for sentence in _SENTENCE.split(answer):
            plain = folded(sentence)
            if len(plain) >= TWICE and plain in seen:
                return reason("同一句话说了两遍", sentence)
            seen.add(plain)
    return None


def echo(conversation: Conversation, _: Context) -> str | None:
    """An answer that only says the question again.

    A question of yes or no, or of one or the other, may be answered in its own words.
    """
    said = texts(conversation)
    for question, answer in zip(said.questions, said.answers, strict=False):
        plain, asked = _units(answer), _units(question)
        if len(plain) < ECHO_LENGTH or _YES_OR_NO.search(question):
            continue
        if question.rstrip().endswith(("？", "?")) and not _ASKS.search(question):
            continue
        if any(unit[0] < "\u0370" and unit not in asked for unit in plain):
            continue  # a name or a figure that the question does not have
        if in_order(plain, asked) >= ECHO * len(plain):
            return reason("回答只重复了问题", answer)
    return None


def _units(text: str) -> list[str]:
    """The characters of a text; a run of Latin letters or of figures is one, lest a long name outweigh the rest."""
    return re.findall(r"[a-z]+|[0-9]+|.", folded(text))
