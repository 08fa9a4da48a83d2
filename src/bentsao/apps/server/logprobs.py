"""Probabilities of tokens in OpenAI's two forms."""

from __future__ import annotations

from collections.abc import Sequence

from bentsao.apps.server.errors import wrong
from bentsao.apps.server.reading import readable
from bentsao.apps.server.wire import ChatLogprobs, CompletionLogprobs, TokenLogprob, TopLogprob
from bentsao.inference.engine import Engine, Scorer, Weight


def scorer(engine: Engine) -> Scorer:
    """The engine as one that weighs. Raises ApiError where it cannot."""
    if not isinstance(engine, Scorer):
        raise wrong("这个模型的引擎不能给出 token 的概率。请去掉 logprobs。", "logprobs")
    return engine


def token_text(engine: Engine, token: int) -> str:
    """What a token reads by itself; by its number where that is nothing, or part of a character."""
    text = readable(engine).decode([token])
    return text if text and "\ufffd" not in text else f"token_id:{token}"


def chat_logprobs(engine: Engine, ids: Sequence[int], weight: Weight, *, top: bool) -> ChatLogprobs:
    """Of an answer's tokens. top: with the likeliest token of each place."""
    content: list[TokenLogprob] = []
    for token, logprob, (best, its) in zip(ids, weight.each, weight.best, strict=True):
        text, other = token_text(engine, token), token_text(engine, best)
        tops = [TopLogprob(token=other, logprob=its, bytes=list(other.encode()))] if top else []
        content.append(TokenLogprob(token=text, logprob=logprob, bytes=list(text.encode()), top_logprobs=tops))
    return ChatLogprobs(content=content)


def completion_logprobs(engine: Engine, ids: Sequence[int], weight: Weight, *, first: bool) -> CompletionLogprobs:
    """Of a text's tokens. first: whether the first of them stands before everything, and so has no probability.

    Where the likeliest token reads like the one that stands there and is another, it is told by its number.
    """
    texts = [token_text(engine, token) for token in ids]
    offsets: list[int] = []
    length = 0
    for text in texts:
        offsets.append(length)
        length += len(text)
    each: list[float | None] = [None] if first and ids else []
    tops: list[dict[str, float] | None] = [None] if first and ids else []
    known = ids[1:] if first else ids
    for token, logprob, (best, its) in zip(known, weight.each, weight.best, strict=True):
        own, other = token_text(engine, token), token_text(engine, best)
        each.append(logprob)
        tops.append({other if best == token or other != own else f"token_id:{best}": its, own: logprob})
    return CompletionLogprobs(tokens=texts, token_logprobs=each, top_logprobs=tops, text_offset=offsets)
