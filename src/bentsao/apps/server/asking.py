"""Between a request and the model's thread: jobs are queued, their pieces come back, and who has gone is noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from bentsao.apps.server.batching import BrokenError, BusyError, CalledOffError, ClosedError, Job
from bentsao.apps.server.errors import ApiError, wrong
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.serving import Served, Service
from bentsao.core.errors import BentsaoError
from bentsao.inference.engine import Engine, MemoryShortageError

T = TypeVar("T")

KEEP_ALIVE = 10.0
"""Seconds without a piece after which a stream says that it is still there; proxies close what is silent."""


class EventStream(StreamingResponse):
    """Server-sent events of a request, whose jobs are called off when the client goes."""

    def __init__(self, events: AsyncGenerator[str], asking: Asking) -> None:
        # So that what stands between passes pieces on as they come.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._asking = asking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._asking.ended:
                self._asking.metrics.called_off.labels("disconnect").inc()
            self._asking.close()


class GoneError(Exception):
    """The client has closed the connection."""


class Asking:
    """One request's jobs, from one model. ended: whether all results, or an error, have been handed on."""

    def __init__(self, service: Service, model: Served, metrics: Metrics) -> None:
        self.service = service
        self.model = model
        self.metrics = metrics
        self._came = time.perf_counter()
        self._first = False
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self._jobs: list[Job] = []
        self.ended = False

    def teller(self, place: int) -> Callable[[Any], None]:
        """What the job of that number is to tell."""

        def tell(event: Any) -> None:
            with suppress(RuntimeError):  # the server has ended meanwhile
                self._loop.call_soon_threadsafe(self._events.put_nowait, (place, event))

        return tell

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue the jobs, whose tellers are those of 0, 1 …. Raises ApiError where there is no room."""
        try:
            self.service.submit(self.model, jobs)
        except BentsaoError as error:
            raise as_api_error(error) from None
        self._jobs = list(jobs)

    async def events(self) -> AsyncGenerator[tuple[int, Any] | None]:
        """(job, piece or result) as they come, until every job has its result; None where nothing came for a while.

        Raises ApiError for a job's error and when the time is over. What is not ended when the caller goes, is called
        off.
        """
        left = len(self._jobs)
        getting: asyncio.Future[tuple[int, Any]] | None = None
        try:
            while left:
                rest = self._came + self.service.limits.seconds - time.perf_counter()
                if rest <= 0:
                    self.metrics.called_off.labels("timeout").inc()
                    raise ApiError(504, f"超过了 {self.service.limits.seconds:g} 秒，请求已停止。", code="timeout")
                getting = getting or asyncio.ensure_future(self._events.get())
                await asyncio.wait({getting}, timeout=min(rest, KEEP_ALIVE))
                if not getting.done():
                    yield None
                    continue
                (place, event), getting = getting.result(), None
                if isinstance(event, BentsaoError):
                    raise as_api_error(event)
                if not isinstance(event, str):
                    left -= 1
                self._count_first()
                yield place, event
            self.ended = True
        except ApiError:
            self.ended = True
            raise
        finally:
            if getting is not None:
                getting.cancel()
            self.close()

    def close(self) -> None:
        """Call off what has not ended: nobody waits for it."""
        for job in self._jobs:
            job.off.set()

    async def results(self) -> list[Any]:
        """The result of each job. Errors as `events`."""
        found: dict[int, Any] = {}
        async for event in self.events():
            if event is not None and not isinstance(event[1], str):
                found[event[0]] = event[1]
        return [found[place] for place in sorted(found)]

    def _count_first(self) -> None:
        if not self._first:
            self._first = True
            self.metrics.first.labels(self.model.name).observe(time.perf_counter() - self._came)


async def opened(model: Served) -> Engine:
    """The model's engine. Raises ApiError where it cannot be opened."""
    try:
        return await run_in_threadpool(model.engine)
    except BentsaoError as error:
        raise ApiError(503, f"模型 {model.name} 打不开：{error}", code="model_not_open") from None


async def unless_gone(http: Request, work: Awaitable[T]) -> T:
    """What the work gives; it is ended when the client goes. Raises GoneError then."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(http))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise GoneError
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


def as_api_error(error: BentsaoError) -> ApiError:
    """What a client is told of an error."""
    if isinstance(error, BusyError):
        return ApiError(429, str(error), code="queue_full", headers={"Retry-After": str(error.seconds)})
    if isinstance(error, ClosedError | CalledOffError):
        return ApiError(503, str(ClosedError()), code="stopping", headers={"Retry-After": "5"})
    if isinstance(error, MemoryShortageError):
        return ApiError(503, str(error), code="out_of_memory", headers={"Retry-After": "5"})
    if isinstance(error, BrokenError):
        return ApiError(500, str(error), code="internal_error")
    return wrong(str(error))
