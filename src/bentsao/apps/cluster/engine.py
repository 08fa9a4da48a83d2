"""An engine on every worker of a cluster: fulfils `inference.engine.Spread`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psutil

from bentsao import __version__
from bentsao.apps.cluster.pieces import ClusterError, Report
from bentsao.apps.cluster.workers import Cluster
from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import Tokens
from bentsao.inference.engine import Engine, Scorer

T = TypeVar("T")
R = TypeVar("R")

Opening = Callable[[Report], Engine]
"""Opens the engine on a worker, and tells what may spoil the answers; it is pickled."""

_ROOM = 1.2
"""Memory of a worker over that of one that has just opened its engine: answering takes some too."""


@dataclass(frozen=True)
class ClusterEngine:
    """See `Spread`. cluster: its workers are of the size that the engine was found to need."""

    name: str
    tokens: Tokens
    chat_format: ChatFormat
    context: int
    weighs: bool
    cluster: Cluster
    opening: Opening

    def each(self, work: Callable[[Engine, T], R], pieces: Sequence[T], report: Report) -> Iterator[R]:
        """See `Spread.each`. Raises what `Cluster.each` does, and ClusterError where a node opens another engine."""
        opened = partial(_opened, self.opening, self.name, self.chat_format.hash, __version__)
        return self.cluster.each(opened, work, pieces, report)


@dataclass(frozen=True)
class _Description:
    """What a worker says of the engine that it opened. memory: bytes its process had then; told: for the user."""

    name: str
    tokens: Tokens
    chat_format: ChatFormat
    context: int
    weighs: bool
    memory: int
    told: tuple[str, ...]


def open_on(cluster: Cluster, opening: Opening, report: Report) -> ClusterEngine:
    """The engine on this cluster: opened on one worker to see what it is and what memory it takes.

    No model is opened in this process, so that it may run where there is no GPU. Raises what `Cluster.once` does, and
    ClusterError where no node has the memory.
    """
    found = cluster.once(partial(_describe, opening))
    for line in found.told:
        report(line)
    return ClusterEngine(
        name=found.name,
        tokens=found.tokens,
        chat_format=found.chat_format,
        context=found.context,
        weighs=found.weighs,
        cluster=cluster.sized(memory=int(found.memory * _ROOM)),
        opening=opening,
    )


def _describe(opening: Opening) -> _Description:
    told: list[str] = []
    engine = opening(told.append)
    return _Description(
        name=engine.name,
        tokens=engine.tokens,
        chat_format=engine.chat_format,
        context=engine.context,
        weighs=isinstance(engine, Scorer),
        memory=psutil.Process().memory_info().rss,
        told=tuple(told),
    )


def _opened(opening: Opening, name: str, format_hash: str, version: str) -> Engine:
    """The engine, which must be that of the other nodes: its answers go into one file with theirs."""
    if version != __version__:
        raise ClusterError(f"这里装的是 bentsao {__version__}，发起任务的机器上是 {version}。请装同一版本。")
    engine = opening(_silent)
    if (engine.name, engine.chat_format.hash) != (name, format_hash):
        raise ClusterError(
            f"这里打开的是 {engine.name}，别的节点上是 {name}，回答会不一样。请用 --engine、--device、--dtype 说定，"
            "并让各节点上的基座与适配器相同。"
        )
    return engine


def _silent(_: Any) -> None:
    """Warnings were told once, by `open_on`."""
