"""What `/metrics` tells Prometheus. Nothing of what anybody said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from bentsao.apps.server.serving import Served

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "bentsao_requests", "Requests by route, model and HTTP status", ["route", "model", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.tokens = Counter("bentsao_tokens", "Tokens read and written", ["model", "kind"], registry=self.registry)
        self.called_off = Counter(
            "bentsao_called_off", "Requests that ended before their answer", ["reason"], registry=self.registry
        )
        self.first = Histogram(
            "bentsao_first_token_seconds", "From a request's coming to the first piece of its answer", ["model"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "bentsao_request_seconds", "From a request's coming to its end", ["route"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.batches = Histogram(
            "bentsao_batch_rows", "Requests worked on together", ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry,
        )  # fmt: skip

    def batch(self, model: str, rows: int) -> None:
        """A batch begins."""
        self.batches.labels(model).observe(rows)

    def count(self, model: str, prompt: int, completion: int) -> None:
        """Tokens of an answered request."""
        self.tokens.labels(model, "prompt").inc(prompt)
        self.tokens.labels(model, "completion").inc(completion)

    def watch(self, served: Callable[[], Sequence[Served]]) -> None:
        """Tell the queues of the models that there are then, too."""
        self.registry.register(_Queues(served))

    def text(self) -> bytes:
        """In Prometheus' text form."""
        return generate_latest(self.registry)


class _Queues:
    """Read when they are asked for."""

    def __init__(self, served: Callable[[], Sequence[Served]]) -> None:
        self._served = served

    def collect(self) -> Iterable[GaugeMetricFamily]:
        gauge = GaugeMetricFamily("bentsao_jobs", "Requests that wait or are worked on", labels=["model", "state"])
        for model in self._served():
            gauge.add_metric([model.name, "waiting"], model.batcher.waiting)
            gauge.add_metric([model.name, "working"], model.batcher.working)
        yield gauge
