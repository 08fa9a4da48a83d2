"""Asking a served model for the page: the conversation grows as the answer comes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
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

_BEGINNING = 100
"""Characters that are shown of a longer one."""

_EVERY = 0.1
"""Seconds between two pictures of an answer under way."""


_LOOKS = 0.2
"""Seconds after which a visitor who has had enough is noticed."""


class Stops:
    """Which conversations are being answered, so that their visitors can stop the answer.

    The answer's own stream ends then: a second stream of changes to the page might come before its last one.
    """

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}

    @contextmanager
    def begun(self, talk: Talk) -> Generator[threading.Event]:
        """While an answer is under way; what is given is set when it is to stop."""
        event = self._events[talk.id] = threading.Event()
        try:
            yield event
        finally:
            self._events.pop(talk.id, None)

    def stop(self, talk: Talk) -> bool:
        """Stop what is being answered; whether there is anything."""
        event = self._events.get(talk.id)
        if event is not None:
            event.set()
        return event is not None


def ask(
    service: Service,
    talk: Talk,
    question: str,
    model: str,
    decoding: Decoding,
    *,
    grounded: bool,
    stops: Stops | None = None,
) -> Generator[Talk]:
    """The conversation with the question, again and again while its answer comes; last when it has ended.

    The first holds the alarm, before any model is asked. Errors become the turn's. When the caller stops listening,
    the model need not write on. stops: where the visitor can stop it.
    """
    said = [*talk.said_by_visitor(), Message(role="user", content=question)]
    alarm = look(said)
    name = model + GROUNDED if grounded else model
    if len(question) > LONGEST_QUESTION:  # not kept: the conversation is drawn anew with every answer
        error = f"问题有 {len(question)} 字，最多 {LONGEST_QUESTION} 字。请缩短。"
        shown = f"{question[:_BEGINNING]}……"
        yield talk.with_new(Turn(question=shown, model=name, alarm=alarm, finish="error", error=error))
        return
    turn = Turn(question=question, model=name, alarm=alarm, cautions=caution(said))
    yield (talk_now := talk.with_new(turn))
    messages = [*talk.messages(), Message(role="user", content=question)]
    try:
        with (stops or Stops()).begun(talk) as stopped:
            for now in _answered(service, turn, messages, decoding, stopped):
                yield (talk_now := talk_now.with_last(now))
    except (BentsaoError, ApiError) as error:
        yield talk_now.with_last(talk_now.turns[-1].changed(finish="error", error=str(error)))


def _answered(
    service: Service, turn: Turn, messages: Sequence[Message], decoding: Decoding, stopped: threading.Event
) -> Generator[Turn]:
    model, grounded = service.find(turn.model)
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    job, dropped = _job(service, model, messages, decoding, told, grounded=grounded)
    turn = turn.changed(dropped=dropped)
    deadline = time.monotonic() + service.limits.seconds
    try:
        service.submit(model, [job])
        shown = 0.0
        while True:
            if stopped.is_set():
                yield turn.changed(finish="stopped")
                return
            try:
                event = told.get(timeout=_LOOKS)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise ApiError(504, f"超过了 {service.limits.seconds:g} 秒，请求已停止。", code="timeout") from None
                continue
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
