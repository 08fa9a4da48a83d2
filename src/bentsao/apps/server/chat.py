"""`/v1/chat/completions`: a conversation → its next answer, whole or in pieces, plain or from the knowledge base."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request

from bentsao.apps.commands.grounded import answer_json
from bentsao.apps.server import reading
from bentsao.apps.server.asking import Asking, EventStream, opened, unless_gone
from bentsao.apps.server.batching import Job
from bentsao.apps.server.errors import ApiError, wrong
from bentsao.apps.server.jobs import Grounded, Weighing, Writing, Written
from bentsao.apps.server.logprobs import chat_logprobs, scorer
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.serving import Alert, Served, Service
from bentsao.apps.server.wire import AnswerMessage, ChatChoice, ChatCompletion, ChatLogprobs, ChatRequest, Usage
from bentsao.core.files import sha256_text
from bentsao.core.records import Message
from bentsao.inference.grounded import GroundedAnswer
from bentsao.inference.notice import NOTICE

log = logging.getLogger("bentsao.server")

_SENTENCES = re.compile(r"[^。！？；\n]*[。！？；\n]*")


@dataclass(frozen=True)
class Said:
    """One answer as a client is told it: without and with the alert around. ids: None where several turns made it."""

    text: str
    finish: str
    tokens: int
    ids: tuple[int, ...] | None = None
    grounded: GroundedAnswer | None = None


class Chat:
    """One request on its way."""

    def __init__(self, service: Service, metrics: Metrics, model: Served, request: ChatRequest, name: str) -> None:
        self.request = request
        self.asking = Asking(service, model, metrics)
        self._service = service
        self._metrics = metrics
        self._model = model
        self._name = name
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._count = request.n or 1
        self._prompt: list[int] = []
        self._prompt_tokens = 0
        self._dropped = 0
        self._alert = Alert()
        self._fingerprint = ""
        self._messages: list[Message] = []

    async def begin(self, *, grounded: bool) -> None:
        """Read the request and queue what it asks for. Raises ApiError, BentsaoError."""
        request, limits = self.request, self._service.limits
        if request.logprobs and (request.stream or grounded):
            raise wrong("logprobs 只用于不流式、不依据知识库的回答。请去掉其中一个。", "logprobs")
        decoding = reading.decoding_of(request, reading.answer_length(request, limits), limits)
        stops = reading.stop_words(request)
        self._messages = reading.conversation(request.messages)
        self._alert = await run_in_threadpool(self._service.safety, self._messages) or Alert()
        engine = await opened(self._model)
        self._fingerprint = f"fp_{sha256_text(engine.name)[:12]}"
        if request.logprobs:
            scorer(engine)
        jobs: list[Job] = []
        # Answers without chance are all the same: one is written.
        draws = reading.draws(decoding, self._count if decoding.temperature > 0 else 1)
        if grounded:
            if stops:
                raise wrong("依据知识库的回答要检查完才给出，不能用 stop。请去掉其中一个。", "stop")
            question = self._messages[-1].content
            ids = await run_in_threadpool(engine.tokens.encode, question, control=False, after=False)
            reading.check_length(len(ids), min(engine.context, limits.context), "messages")
            self._prompt_tokens = len(ids)
            jobs = [Grounded(self._messages, each, self.asking.teller(n)) for n, each in enumerate(draws)]
        else:
            found = await run_in_threadpool(reading.chat_prompt, engine, self._messages, decoding, limits)
            self._prompt, self._dropped = found
            self._prompt_tokens = len(self._prompt)
            seeded = request.seed is not None
            for n, each in enumerate(draws):
                tell = self.asking.teller(n)
                jobs.append(Writing(self._prompt, each, tell, stops=stops, trim=True, seeded=seeded))
        self.asking.submit(jobs)

    # ---- whole ------------------------------------------------------------------------------------------------------

    async def whole(self, http: Request) -> dict[str, Any]:
        """The answer in one piece."""
        said = [self._said(result) for result in await unless_gone(http, self.asking.results())]
        logprobs: list[ChatLogprobs | None] = [None] * len(said)
        if self.request.logprobs:
            logprobs = await unless_gone(http, self._weighed(said))
        self._account(said)
        choices: list[ChatChoice] = []
        for index in range(self._count):
            place = index if len(said) > 1 else 0
            message = AnswerMessage(content=self._alert.before + said[place].text + self._alert.after)
            finish = "stop" if said[place].finish == "stop" else "length"
            choices.append(ChatChoice(index=index, message=message, logprobs=logprobs[place], finish_reason=finish))
        body = ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._name,
            choices=choices,
            usage=self._usage(said),
            system_fingerprint=self._fingerprint,
            **self._beside(said),
        )
        return body.model_dump(mode="json")

    async def _weighed(self, said: Sequence[Said]) -> list[ChatLogprobs | None]:
        """The probabilities of each answer's tokens."""
        engine = self._model.engine()
        asking = Asking(self._service, self._model, self._metrics)
        ids = [each.ids or () for each in said]
        asking.submit([Weighing(self._prompt, each, asking.teller(n)) for n, each in enumerate(ids)])
        weights = await asking.results()
        top = bool(self.request.top_logprobs)
        return [chat_logprobs(engine, each, weight, top=top) for each, weight in zip(ids, weights, strict=True)]

    # ---- in pieces --------------------------------------------------------------------------------------------------

    def stream(self) -> EventStream:
        """The answer in pieces, as server-sent events."""
        return EventStream(self._pieces(), self.asking)

    async def _pieces(self) -> AsyncGenerator[str]:
        shown = list(range(self._count))
        for index in shown:
            yield self._chunk(index, {"role": "assistant", "content": self._alert.before})
        said: dict[int, Said] = {}
        try:
            async for event in self.asking.events():
                if event is None:
                    yield ": 仍在生成\n\n"
                    continue
                place, what = event
                indexes = [place] if len(shown) > 1 and self._drawn else shown
                if isinstance(what, str):
                    for index in indexes:
                        yield self._chunk(index, {"content": what})
                    continue
                said[place] = self._said(what)
                if isinstance(what, GroundedAnswer):
                    for index in indexes:
                        for sentence in filter(None, _SENTENCES.findall(what.answer)):
                            yield self._chunk(index, {"content": sentence})
                for index in indexes:
                    if self._alert.after:
                        yield self._chunk(index, {"content": self._alert.after})
                    yield self._chunk(index, {}, finish=said[place].finish, **self._beside([said[place]]))
            if self.request.stream_options is not None and self.request.stream_options.include_usage:
                yield self._event({"choices": [], "usage": self._usage(list(said.values())).model_dump()})
            self._account(list(said.values()))
        except ApiError as error:
            yield f"data: {json.dumps(error.body, ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"

    @property
    def _drawn(self) -> bool:
        """Whether each of n answers is its own."""
        return (self.request.temperature or 0) >= 0.01

    def _chunk(self, index: int, delta: dict[str, Any], *, finish: str | None = None, **beside: Any) -> str:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._event({"choices": [choice], **beside})

    def _event(self, fields: dict[str, Any]) -> str:
        body = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._name,
            "system_fingerprint": self._fingerprint,
            **fields,
        }
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    # ---- both -------------------------------------------------------------------------------------------------------

    def _said(self, result: Written | GroundedAnswer) -> Said:
        if isinstance(result, Written):
            return Said(result.text, result.finish, len(result.ids), result.ids)
        if result.error is not None:
            raise wrong(result.error, "messages")
        finish = "length" if result.finish == "length" else "stop"
        return Said(result.answer, finish, result.tokens, grounded=result)

    def _beside(self, said: Sequence[Said]) -> dict[str, Any]:
        grounded = said[0].grounded
        return {
            "notice": NOTICE,
            "alarm": dict(self._alert.data) or None,
            "grounded": None if grounded is None else answer_json(grounded),
            "dropped_messages": self._dropped,
        }

    def _usage(self, said: Sequence[Said]) -> Usage:
        return Usage.of(self._prompt_tokens, sum(each.tokens for each in said))

    def _account(self, said: Sequence[Said]) -> None:
        """For the metrics, and for the log where texts may stand there."""
        self._metrics.count(self._model.name, self._prompt_tokens, sum(each.tokens for each in said))
        if self._service.log_text:
            for each in said:
                log.info("问：%r 答：%r", self._messages[-1].content, each.text)
