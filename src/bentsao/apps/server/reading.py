"""What a request means: messages, decoding, prompt. Whatever we have not is refused here, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

from bentsao.apps.server.errors import wrong
from bentsao.apps.server.serving import Limits
from bentsao.apps.server.wire import ChatMessage, ChatRequest, CompletionRequest, Drawing
from bentsao.core.records import Message
from bentsao.core.rendering import fit_prompt
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine

_LONGEST_TOKEN = 16
"""Characters of history kept for each token of context, before anything is encoded; few tokens are longer."""


class Readable(Protocol):
    """What is asked of an engine's tokens besides the renderer's wants."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text, control tokens left out."""
        ...


def readable(engine: Engine) -> Readable:
    """The engine's tokens, to be read."""
    return cast(Readable, engine.tokens)


def text_of(engine: Engine, ids: Sequence[int]) -> str:
    """What the prompt's ids read. Raises ApiError for ids that the tokenizer cannot have."""
    try:
        return readable(engine).decode(ids)
    except (ValueError, OverflowError, IndexError):  # each tokenizer has its own word for it
        raise wrong(
            f"prompt 里有不在词表中的 token 编号（最大的是 {max(ids)}）。请用本模型的分词器。", "prompt"
        ) from None


def check(request: Drawing) -> None:
    """Raises ApiError for fields that would change the answer, if we had them."""
    unsupported: dict[str, bool] = {
        "frequency_penalty": bool(request.frequency_penalty),
        "presence_penalty": bool(request.presence_penalty),
        "logit_bias": bool(request.logit_bias),
    }
    if isinstance(request, ChatRequest):
        unsupported |= {"tools": bool(request.tools), "functions": bool(request.functions)}
    if isinstance(request, CompletionRequest):
        best_of = request.best_of is not None and request.best_of != (request.n or 1)
        unsupported |= {"best_of": best_of, "suffix": bool(request.suffix)}
    for name, given in unsupported.items():
        if given:
            raise wrong(f"本服务不支持 {name}。请去掉它。", name, "unsupported_parameter")
    if request.stream_options is not None and not request.stream:
        raise wrong("stream_options 只用于 stream 为 true 的请求。请去掉它。", "stream_options")


def decoding_of(request: Drawing, most: int, limits: Limits) -> Decoding:
    """The decoding that is asked for, of at most `most` tokens. Raises ApiError."""
    if most > limits.answer:
        raise wrong(f"max_tokens 为 {most}，本服务最多 {limits.answer}。请减小它。", "max_tokens")
    temperature = request.temperature or 0.0
    drawing: dict[str, Any] = {}
    if temperature >= 0.01:  # below it nothing is left to chance
        drawing = {"temperature": temperature, "top_p": request.top_p or 1.0, "top_k": request.top_k or 0}
        drawing["seed"] = request.seed or 0
    return Decoding(max_new_tokens=max(1, most), repetition_penalty=request.repetition_penalty or 1.0, **drawing)


def draws(decoding: Decoding, count: int) -> list[Decoding]:
    """The decodings of several answers to one prompt: each with a seed of its own, where there is chance."""
    if decoding.temperature == 0:
        return [decoding] * count
    return [decoding.model_copy(update={"seed": (decoding.seed + n) % (1 << 63)}) for n in range(count)]


def answer_length(request: ChatRequest, limits: Limits) -> int:
    """How many tokens a chat's answer may have."""
    given = request.max_completion_tokens or request.max_tokens
    return min(limits.usual, limits.answer) if given is None else given


def stop_words(request: Drawing) -> tuple[str, ...]:
    """The words that end the text."""
    given = request.stop or []
    return tuple(word for word in ([given] if isinstance(given, str) else given) if word)


def conversation(messages: Sequence[ChatMessage]) -> list[Message]:
    """The messages as every chat format takes them: what the system says first, then user and assistant in turn.

    Several of one role in a row are joined. Raises ApiError where the user has not the first and the last word.
    """
    lead = [_text(message) for message in messages if message.role in ("system", "developer")]
    turns: list[tuple[str, str]] = []
    for message in messages:
        if message.role in ("system", "developer"):
            continue
        text = _text(message)
        if turns and turns[-1][0] == message.role:
            turns[-1] = (message.role, f"{turns[-1][1]}\n{text}")
        else:
            turns.append((message.role, text))
    if not turns or turns[-1][0] != "user":
        raise wrong("最后一条消息应是用户的（role 为 user）。", "messages")
    if turns[0][0] != "user":
        raise wrong("对话应由用户（role 为 user）开始。", "messages")
    if not turns[-1][1].strip():
        raise wrong("最后一条消息是空的。", "messages")
    system = [Message(role="system", content="\n".join(lead))] if any(map(str.strip, lead)) else []
    return system + [Message(role="user" if role == "user" else "assistant", content=text) for role, text in turns]


def chat_prompt(
    engine: Engine, messages: Sequence[Message], decoding: Decoding, limits: Limits
) -> tuple[list[int], int]:
    """The prompt with as much history as fits, and how many messages were left out. Raises ApiError for too long a one.

    The room is `engine.fitted_prompt`'s, within the server's limit.
    """
    context = min(engine.context, limits.context)
    kept = _recent(messages, _LONGEST_TOKEN * context)
    room = max(context - decoding.max_new_tokens, context // 2)
    prompt, dropped = fit_prompt(kept, engine.chat_format, engine.tokens, room)
    check_length(len(prompt), context, "messages")
    return prompt, dropped + len(messages) - len(kept)


def check_length(tokens: int, context: int, field: str) -> None:
    """Raises ApiError for a prompt that leaves no room for an answer."""
    if tokens >= context:
        raise wrong(
            f"问题太长：{tokens} 个 token，本服务最多 {context}（问题与回答一共）。请缩短问题。",
            field,
            "context_length_exceeded",
        )


def _recent(messages: Sequence[Message], characters: int) -> list[Message]:
    """Without the oldest turns that cannot fit: encoding a long history again and again would take minutes."""
    system = [message for message in messages if message.role == "system"]
    turns = [message for message in messages if message.role != "system"]
    length = sum(len(message.content) for message in messages)
    start = 0
    while length > characters and start + 2 < len(turns):
        length -= len(turns[start].content) + len(turns[start + 1].content)
        start += 2
    return system + turns[start:]


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    return "\n".join(part.text for part in message.content)
