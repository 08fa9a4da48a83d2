"""What is asked of a remote model, and what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from bentsao.core.errors import BentsaoError
from bentsao.core.files import sha256_text
from bentsao.core.records import Record


class RemoteError(BentsaoError):
    """The run cannot go on: the server refuses for good, or the journal is not to be used."""


class Usage(NamedTuple):
    """Tokens of one call or of many."""

    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output

    def __add__(self, other: object) -> Usage:
        """Sum by field (a plain tuple would be joined)."""
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(self.input + other.input, self.output + other.output)


NO_USAGE = Usage()


class Turn(NamedTuple):
    """One message of a request."""

    role: Literal["system", "user", "assistant"]
    content: str


OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")
"""The parameter that limits the reply: servers know the first, some hosted models only the second."""


@dataclass(frozen=True)
class Request:
    """One call: model, messages and parameters, one of which limits the output (see OUTPUT_LIMITS)."""

    model: str
    messages: tuple[Turn, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def body(self) -> dict[str, Any]:
        """The body of a chat completion."""
        messages = [turn._asdict() for turn in self.messages]
        return {"model": self.model, "messages": messages, **self.parameters}

    @cached_property
    def key(self) -> str:
        """The request's hash: the same request has the same answer in the journal."""
        return sha256_text(json.dumps(self.body, ensure_ascii=False, sort_keys=True))

    @cached_property
    def most(self) -> Usage:
        """An upper bound of its tokens, whatever the tokenizer: no token is shorter than a byte.

        What a chat template puts around a message, and a system text of its own, is allowed for.
        """
        size = sum(len(turn.content.encode("utf-8", "surrogatepass")) for turn in self.messages)
        limit = next(int(self.parameters[name]) for name in OUTPUT_LIMITS if name in self.parameters)
        return Usage(size + TEMPLATE_TOKENS + MESSAGE_TOKENS * len(self.messages), limit)

    @cached_property
    def likely(self) -> int:
        """About how many tokens its messages have."""
        return sum(likely_tokens(turn.content) + 4 for turn in self.messages)


TEMPLATE_TOKENS, MESSAGE_TOKENS = 64, 8

_HAN = re.compile(r"[\u3000-\u9fff\uf900-\ufaff\uff00-\uffef]")


def likely_tokens(text: str) -> int:
    """About how many tokens a text has: 0.7 a Chinese character, one for four others, as today's tokenizers do."""
    han = len(_HAN.findall(text))
    return round(0.7 * han + (len(text) - han) / 4)


class Reply(Record):
    """What the server answered to a request, as it is kept in the journal; paid for, whatever it is worth.

    `text`: what the model wrote; empty where the answer holds none. `finish`: the server's word for why it ended
    (stop, length …), or one of ours: "empty" (no choices), "unreadable" (no chat completion; `text` is the body).
    `input_tokens`, `output_tokens`: as the server counted, or (`counted` False) an upper bound, where it did not say or
    what it said cannot be. `model`: as the server calls it. `time`: when it came, ISO 8601.
    """

    event: Literal["reply"] = "reply"
    request: str
    text: str
    finish: str
    input_tokens: int
    output_tokens: int
    counted: bool = True
    model: str = ""
    time: str

    @property
    def usage(self) -> Usage:
        """What it is charged with."""
        return Usage(self.input_tokens, self.output_tokens)


def read_reply(request: str, most: Usage, body: str, time: str) -> Reply:
    """The reply in the body of a chat completion, whatever the body is.

    request: its key. most: the most that it can cost; what is charged where the server does not say.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
        text, finish, model, usage = body, "unreadable", "", None
    else:
        text, finish = _choice(value["choices"])
        model, usage = str(value.get("model") or ""), value.get("usage")
    # A half character cannot be written to any file.
    text, model = (part.encode("utf-8", "replace").decode() for part in (text, model))
    counted = _usage(usage)
    charged = counted or most
    return Reply(
        request=request, text=text, finish=finish, input_tokens=charged.input, output_tokens=charged.output,
        counted=counted is not None, model=model, time=time,
    )  # fmt: skip


def _choice(choices: list[Any]) -> tuple[str, str]:
    """The text and the finish of the first choice."""
    first = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = first.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str):
        return "", "empty"
    return text, str(first.get("finish_reason") or "stop")


MOST_TOKENS = 10**8  # no call of today has that many: a larger count is an error


def _usage(value: Any) -> Usage | None:
    """The usage a server reports; None where it is missing or cannot be."""
    if not isinstance(value, dict):
        return None
    given, made = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    return Usage(given, made) if given and made is not None else None  # no prompt has no tokens


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None
