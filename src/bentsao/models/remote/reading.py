"""Reading a reply that must be JSON of one shape, validated; a code fence around it is allowed.

A reply that is not valid is asked for again once, with what was wrong (`jobs.next_step`); after that it is a failure.
"""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import ValidationError

from bentsao.core.complaints import in_one_line
from bentsao.core.records import Record
from bentsao.models.remote.exchange import Reply


class ReplyError(Exception):
    """A reply that cannot be used. `reason` is counted; `detail` tells the model (and a person) what is wrong."""

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
    return ReplyError("JSON 的形状不对", f"JSON 不符合要求：{in_one_line(error)}。")
