"""What is served: models by name, each with its engine, its knowledge base and its queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentsao.apps.server.batching import Batcher, ClosedError, Job
from bentsao.apps.server.jobs import Grounded, Weighing, Writing, ground, weigh, write
from bentsao.core.errors import MissingError
from bentsao.core.formats import ChatFormat
from bentsao.core.records import Message
from bentsao.core.rendering import Tokens
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated
from bentsao.inference.grounded import Answerer

GROUNDED = "-grounded"
"""What a model's name ends with for answers from the knowledge base."""


@dataclass(frozen=True)
class Limits:
    """How much one request, and all together, may take.

    answer: the most tokens of an answer; usual: where the request names none. context: the most tokens of a prompt and
    of its answer (a model may have less). body: bytes of a request. waiting: requests in a model's queue. rows, budget:
    of a batch (see `Batcher`). seconds: for one request, from its coming to its end; upload: for its body to come.
    grace: seconds that requests have to end when the server is stopped.
    """

    answer: int = 1024
    usual: int = 512
    context: int = 4096
    body: int = 1_000_000
    waiting: int = 64
    rows: int = 32
    budget: int = 32768
    seconds: float = 300
    upload: float = 30
    grace: float = 20


@dataclass(frozen=True)
class Alert:
    """What safety puts around an answer, whatever the model says. data: the same for programs."""

    before: str = ""
    after: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


Safety = Callable[[Sequence[Message]], Alert | None]
"""Looks at a conversation before it is answered."""

Ground = Callable[[Engine], Answerer]
"""Makes the answerer of an engine."""


class Served:
    """One model. opens: opens its engine, which is done when it is first asked for; ground: None for a model without a
    knowledge base.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        opens: Callable[[], Engine],
        ground: Ground | None,
        limits: Limits,
        *,
        seen: Callable[[str, int], None] = lambda _name, _rows: None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.created = int(time.time())
        self._opens = opens
        self._ground = ground
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._answerer: Answerer | None = None
        self._grounding: Sequence[Job] = ()
        self.batcher = Batcher(
            self._work,
            most=limits.waiting,
            rows=limits.rows,
            budget=limits.budget,
            seen=lambda rows: seen(name, rows),
        )

    @property
    def grounded(self) -> bool:
        """Whether it can answer from a knowledge base."""
        return self._ground is not None

    def engine(self) -> Engine:
        """The engine; opens it where that has not been done, which may take a minute. Errors as `open_engine`'s."""
        with self._opening:
            if self._engine is None:
                engine = self._opens()
                if self._ground is not None:
                    self._answerer = self._ground(_Interruptible(engine, self._is_wanted))
                self._engine = engine
            return self._engine

    def _work(self, batch: Sequence[Job]) -> None:
        engine = self.engine()
        first = batch[0]
        if isinstance(first, Writing):
            write(engine, [job for job in batch if isinstance(job, Writing)])
        elif isinstance(first, Weighing):
            weigh(engine, [job for job in batch if isinstance(job, Weighing)])
        elif isinstance(first, Grounded) and self._answerer is not None:
            self._grounding = batch
            ground(self._answerer, [job for job in batch if isinstance(job, Grounded)])

    def _is_wanted(self) -> bool:
        """Whether anybody still waits for the grounded answers at work."""
        return not all(job.off.is_set() for job in self._grounding)


class _Interruptible:
    """An engine that ends everything at work when nothing of it is wanted any more."""

    def __init__(self, engine: Engine, wanted: Callable[[], bool]) -> None:
        self._engine = engine
        self._wanted = wanted

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def tokens(self) -> Tokens:
        return self._engine.tokens

    @property
    def chat_format(self) -> ChatFormat:
        return self._engine.chat_format

    @property
    def context(self) -> int:
        return self._engine.context

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        return self._engine.generate(
            prompts,
            decoding,
            on_text=on_text,
            called_off=lambda row: not self._wanted() or (called_off is not None and called_off(row)),
        )


class Service:
    """All models that are served, the first of which answers where a request names none.

    safety: looks at each conversation. log_text: whether what people say, and the answers, may stand in the log.
    """

    def __init__(
        self, served: Sequence[Served], limits: Limits, safety: Safety = lambda _: None, *, log_text: bool = False
    ) -> None:
        self.served = {model.name: model for model in served}
        self.limits = limits
        self.safety = safety
        self.log_text = log_text
        self.stopping = False

    def find(self, name: str | None) -> tuple[Served, bool]:
        """The model of that name, and whether the name asks for grounded answers. Raises MissingError."""
        if name is None and self.served:
            return next(iter(self.served.values())), False
        if name is not None and name in self.served:
            return self.served[name], False
        model = self.served.get((name or "").removesuffix(GROUNDED))
        if model is not None and model.grounded:
            return model, True
        raise MissingError(f"没有模型 {name!r}。可用：{'、'.join(self.names())}。")

    def names(self) -> list[str]:
        """Every name that can be asked."""
        return [name for model in self.served.values() for name in _names(model)]

    def put(self, model: Served) -> None:
        """Serve a model from now on, in the place of one of its name; that one ends the work it has first."""
        old = self.served.get(model.name)
        self.served = {**self.served, model.name: model}
        if old is not None:
            old.batcher.close()

    def remove(self, name: str) -> None:
        """Serve a model no more; it ends the work it has first."""
        old = self.served[name]
        self.served = {key: model for key, model in self.served.items() if key != name}
        old.batcher.close()

    def submit(self, model: Served, jobs: Sequence[Job]) -> None:
        """Queue the jobs. Raises BusyError, or ClosedError while the server is being stopped."""
        if self.stopping:
            raise ClosedError
        model.batcher.submit(jobs)

    def drain(self) -> None:
        """Take no more requests; those that have not ended within the grace are ended as they stand."""
        if self.stopping:
            return
        self.stopping = True
        timer = threading.Timer(self.limits.grace, self.call_off)
        timer.daemon = True
        timer.start()

    def call_off(self) -> None:
        """End everything that is under way."""
        for model in self.served.values():
            model.batcher.call_off()

    def close(self) -> None:
        """End everything, and the models' threads."""
        self.stopping = True
        self.call_off()
        for model in self.served.values():
            model.batcher.close(timeout=10)


def _names(model: Served) -> list[str]:
    return [model.name, model.name + GROUNDED] if model.grounded else [model.name]
