"""Asking a served model for the page: the conversation grows as the answer comes."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator, Sequence
from typing import Any

from bentsao.apps.page.talk import Talk, Turn
from bentsao.apps.server import reading
from bentsao.apps.server.asking import as_api_error
from bentsao.apps.server.batching import Job
from bentsao.apps.server.errors import ApiError, wrong
from bentsao.apps.server.jobs import Grounded, Writing, Written
from bentsao.apps.server.serving import GROUNDED, Served, Service
from bentsao.core.errors import BentsaoError
from bentsao.core.records import Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.grounded import GroundedAnswer
from bentsao.inference.safety import caution, look

LONGEST_QUESTION = 4000
"""Characters of a question; what is longer is no question."""

_EVERY = 0.1
"""Seconds between two pictures of an answer under way."""


def ask(
    service: Service, talk: Talk, question: str, model: str, decoding: Decoding, *, grounded: bool
) -> Generator[Talk]:
    """The conversation with the question, again and again while its answer comes; last when it has ended.

    The first holds the alarm, before any model is asked. Errors become the turn's. When the caller stops listening,
    the model need not write on.
    """
    said = [*talk.said_by_visitor(), Message(role="user", content=question)]
    alarm = look(said)
    name = model + GROUNDED if grounded else model
    turn = Turn(question=question, model=name, alarm=alarm, cautions=() if alarm else caution(question))
    yield (talk_now := talk.with_new(turn))
    messages = [*talk.messages(), Message(role="user", content=question)]
    try:
        for now in _answered(service, turn, messages, decoding):
            yield (talk_now := talk_now.with_last(now))
    except (BentsaoError, ApiError) as error:
        yield talk_now.with_last(talk_now.turns[-1].changed(finish="error", error=str(error)))


def _answered(service: Service, turn: Turn, messages: Sequence[Message], decoding: Decoding) -> Generator[Turn]:
    if len(turn.question) > LONGEST_QUESTION:
        raise wrong(f"问题有 {len(turn.question)} 字，最多 {LONGEST_QUESTION} 字。请缩短。")
    model, grounded = service.find(turn.model)
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    job, dropped = _job(service, model, messages, decoding, told, grounded=grounded)
    turn = turn.changed(dropped=dropped)
    deadline = time.monotonic() + service.limits.seconds
    try:
        service.submit(model, [job])
        shown = 0.0
        while True:
            try:
                event = told.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ApiError(504, f"超过了 {service.limits.seconds:g} 秒，请求已停止。", code="timeout") from None
            if isinstance(event, BentsaoError):
                raise as_api_error(event)
            if isinstance(event, str):
                turn = turn.changed(text=turn.text + event)
                if time.monotonic() - shown >= _EVERY:
                    shown = time.monotonic()
                    yield turn
                continue
            if isinstance(event, GroundedAnswer):
                yield turn.grounded_in(event)
            elif isinstance(event, Written):
                yield turn.changed(text=event.text, finish="end" if event.finish == "stop" else "length")
            return
    finally:
        job.off.set()


def _job(
    service: Service,
    model: Served,
    messages: Sequence[Message],
    decoding: Decoding,
    told: queue.SimpleQueue[Any],
    *,
    grounded: bool,
) -> tuple[Job, int]:
    """What the model is to do, and how many messages no longer fit."""
    if decoding.max_new_tokens > service.limits.answer:
        raise wrong(f"回答长度为 {decoding.max_new_tokens}，本服务最多 {service.limits.answer}。请减小它。")
    engine = model.engine()
    if grounded:
        length = len(engine.tokens.encode(messages[-1].content, control=False, after=False))
        reading.check_length(length, min(engine.context, service.limits.context), "messages")
        return Grounded(messages, decoding, told.put), 0
    prompt, dropped = reading.chat_prompt(engine, messages, decoding, service.limits)
    return Writing(prompt, decoding, told.put, trim=True, seeded=True), dropped
