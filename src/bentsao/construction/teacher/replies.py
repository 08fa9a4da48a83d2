"""What the teacher must write: JSON of one shape for each job, validated; a code fence around it is allowed.

A reply that is not valid is asked for again once, with what was wrong; after that it is a failure.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from bentsao.core.records import Record
from bentsao.models.remote.exchange import Reply

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

MOST_TURNS = 6


class Pair(Record):
    """A question with its answer, and the numbers of the facts that the answer stands on."""

    question: Text
    answer: Text
    facts: Annotated[tuple[int, ...], Field(min_length=1)]


class Pairs(Record):
    """The reply to a call for questions and answers."""

    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]


class Sentence(Record):
    """A sentence of an answer: what the paper says, or what is generally known."""

    text: Text
    origin: Literal["paper", "general"]


class Exchange(Record):
    """A turn of a dialogue: what the user asks and what the assistant answers."""

    question: Text
    answer: Annotated[tuple[Sentence, ...], Field(min_length=1)]


class Dialogue(Record):
    """The reply to a call for a dialogue."""

    turns: Annotated[tuple[Exchange, ...], Field(min_length=1, max_length=MOST_TURNS)]


class ReplyError(Exception):
    """A reply that cannot be used. `reason` is counted; `detail` tells the teacher (and a person) what is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


Shape = TypeVar("Shape", bound=Record)

_FENCED = re.compile(r"\s*```[A-Za-z0-9_-]*[ \t]*\r?\n(.*?)\n?[ \t]*```\s*", re.DOTALL)


def read(reply: Reply, shape: type[Shape]) -> Shape:
    """The reply in its shape. Raises ReplyError."""
    if reply.finish == "unreadable":
        raise ReplyError("服务器的回答不是对话补全", "服务器的回答不是合法的对话补全，取不到内容。")
    if not reply.text.strip():
        raise ReplyError("空回答", "回答是空的。")
    fenced = _FENCED.fullmatch(reply.text)
    try:
        # Numbers in quotes and the like are read as they are meant: lax, but no unknown or missing fields.
        return shape.model_validate_json(fenced[1] if fenced else reply.text)
    except ValidationError as error:
        if reply.finish == "length":
            raise ReplyError("回答被截断", "回答太长，没有写完就被截断了。请写短一些。") from None
        raise _what_is_wrong(error) from None


def _what_is_wrong(error: ValidationError) -> ReplyError:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return ReplyError("不是 JSON", f"回答不是合法的 JSON：{first['msg']}。")
    faults = [f"{'.'.join(map(str, fault['loc'])) or '整体'}：{fault['msg']}" for fault in error.errors()[:5]]
    return ReplyError("JSON 的形状不对", "JSON 不符合要求：" + "；".join(faults) + "。")


def check_numbers(pairs: Pairs, facts: int) -> Pairs:
    """The pairs, if each cites only facts 1 to `facts`. Raises ReplyError."""
    wrong = sorted({number for pair in pairs.pairs for number in pair.facts if not 1 <= number <= facts})
    if wrong:
        raise ReplyError("引用了没有的资料", f"资料只有 1 到 {facts} 号，没有 {'、'.join(map(str, wrong))} 号。")
    return pairs
