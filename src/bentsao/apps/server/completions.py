"""`/v1/completions`: texts or token ids, written on as they are; with `echo` and `logprobs`, weighed.

This is how lm-evaluation-harness asks for the likelihood of an answer.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request

from bentsao.apps.server import reading
from bentsao.apps.server.asking import Asking, EventStream, opened, unless_gone
from bentsao.apps.server.errors import ApiError, wrong
from bentsao.apps.server.jobs import Weighing, Writing, Written
from bentsao.apps.server.logprobs import completion_logprobs, scorer
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.serving import Served, Service
from bentsao.apps.server.wire import Completion, CompletionChoice, CompletionLogprobs, CompletionRequest, Usage
from bentsao.core.files import sha256_text
from bentsao.inference.engine import Engine

USUAL = 16
"""Tokens that are written where a request does not say how many, as OpenAI has it."""

_NOTHING = Written("", (), "length")


@dataclass(frozen=True)
class _Prompt:
    """What is written on: its text, for echo, and its ids."""

    text: str
    ids: list[int]


class Completing:
    """One request on its way."""

    def __init__(
        self, service: Service, metrics: Metrics, model: Served, request: CompletionRequest, name: str
    ) -> None:
        self._request = request
        self._service = service
        self._metrics = metrics
        self._model = model
        self._asking = Asking(service, model, metrics)
        self._prompts: list[_Prompt] = []
        self._head: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
        }

    async def begin(self) -> None:
        """Read the request and queue what it asks for. Raises ApiError, BentsaoError."""
        request, limits = self._request, self._service.limits
        most = USUAL if request.max_tokens is None else request.max_tokens
        if most == 0 and not request.echo:
            raise wrong("max_tokens 为 0 时没有可以返回的内容。请给出 max_tokens，或加上 echo。", "max_tokens")
        if request.stream and (request.echo or request.logprobs is not None):
            raise wrong("echo 与 logprobs 不能用于流式回答。请去掉 stream。", "stream")
        decoding = reading.decoding_of(request, most, limits)
        engine = await opened(self._model)
        self._head["system_fingerprint"] = f"fp_{sha256_text(engine.name)[:12]}"
        if request.logprobs is not None:
            scorer(engine)
        self._prompts = await run_in_threadpool(self._read, engine)
        count = request.n or 1
        if len(self._prompts) * count > limits.waiting:
            raise wrong(f"一个请求最多 {limits.waiting} 个提示（乘以 n）。请分几次发。", "prompt")
        stops, seeded = reading.stop_words(request), request.seed is not None
        jobs: list[Writing] = []
        for prompt in self._prompts if most else []:
            for each in reading.draws(decoding, count):
                jobs.append(Writing(prompt.ids, each, self._asking.teller(len(jobs)), stops=stops, seeded=seeded))
        self._asking.submit(jobs)

    def _read(self, engine: Engine) -> list[_Prompt]:
        """The prompts, with the ids that the base wants around a text. Raises ApiError for too long ones."""
        given: Any = self._request.prompt
        if isinstance(given, str) or isinstance(given[0], int):
            given = [given]
        found: list[_Prompt] = []
        for each in given:
            if isinstance(each, str):
                tokens = engine.tokens
                text = tokens.encode(each, control=False, after=False)
                ids = [*tokens.start_ids, *text, *tokens.prompt_end_ids]
                found.append(_Prompt(each, ids))
            else:
                found.append(_Prompt(reading.text_of(engine, each), list(each)))
            context = min(engine.context, self._service.limits.context)
            reading.check_length(len(found[-1].ids), context, "prompt")
            if not found[-1].ids:
                raise wrong("提示是空的。", "prompt")
        return found

    async def whole(self, http: Request) -> dict[str, Any]:
        """All texts in one piece."""
        request = self._request
        count = request.n or 1
        pairs = [(prompt, n) for prompt in self._prompts for n in range(count)]
        results = await unless_gone(http, self._asking.results()) if request.max_tokens != 0 else []
        written: list[Written] = results or [_NOTHING] * len(pairs)
        logprobs: list[CompletionLogprobs | None] = [None] * len(pairs)
        if request.logprobs is not None:
            logprobs = await unless_gone(http, self._weighed([prompt for prompt, _ in pairs], written))
        choices = [
            CompletionChoice(
                index=index,
                text=(prompt.text if request.echo else "") + each.text,
                logprobs=logprobs[index],
                finish_reason=each.finish,
            )
            for index, ((prompt, _), each) in enumerate(zip(pairs, written, strict=True))
        ]
        return Completion(**self._head, choices=choices, usage=self._usage(written)).model_dump(mode="json")

    async def _weighed(self, prompts: list[_Prompt], written: list[Written]) -> list[CompletionLogprobs | None]:
        """The probabilities of the texts' tokens: of all with echo, else of what was written."""
        engine = self._model.engine()
        echo = bool(self._request.echo)
        asking = Asking(self._service, self._model, self._metrics)
        known = [prompt.ids[:1] if echo else prompt.ids for prompt in prompts]
        texts = [[*(prompt.ids[1:] if echo else []), *each.ids] for prompt, each in zip(prompts, written, strict=True)]
        asking.submit([Weighing(*pair, asking.teller(n)) for n, pair in enumerate(zip(known, texts, strict=True))])
        weights = await asking.results()
        return [
            completion_logprobs(engine, [*before, *text] if echo else text, weight, first=echo)
            for before, text, weight in zip(known, texts, weights, strict=True)
        ]

    def stream(self) -> EventStream:
        """The texts in pieces, as server-sent events."""
        return EventStream(self._pieces(), self._asking)

    async def _pieces(self) -> AsyncGenerator[str]:
        written: list[Written] = []
        try:
            async for event in self._asking.events():
                if event is None:
                    yield ": 仍在生成\n\n"
                elif isinstance(event[1], str):
                    yield self._chunk(event[0], event[1])
                else:
                    written.append(event[1])
                    yield self._chunk(event[0], "", event[1].finish)
            usage = self._usage(written)
            if self._request.stream_options is not None and self._request.stream_options.include_usage:
                yield self._event({"choices": [], "usage": usage.model_dump()})
        except ApiError as error:
            yield f"data: {json.dumps(error.body, ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"

    def _chunk(self, index: int, text: str, finish: str | None = None) -> str:
        return self._event({"choices": [{"index": index, "text": text, "logprobs": None, "finish_reason": finish}]})

    def _event(self, fields: dict[str, Any]) -> str:
        return f"data: {json.dumps({**self._head, **fields}, ensure_ascii=False)}\n\n"

    def _usage(self, written: list[Written]) -> Usage:
        read = sum(len(prompt.ids) for prompt in self._prompts)
        wrote = sum(len(each.ids) for each in written)
        self._metrics.count(self._model.name, read, wrote)
        return Usage.of(read, wrote)
