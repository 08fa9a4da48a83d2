"""Pieces of work go to workers on all nodes, results come back as they are done.

Each worker is a process that opens what it needs once (a model, mostly) and keeps it. A piece is done at least once and
its result is given out exactly once: what a node held when it was lost is asked again in another round, by the workers
that are left. Ray's own retries of an actor's tasks are off, because they wait for that actor to come back, for ever
where there is no room for it; the actors themselves do come back where there is.
"""

from __future__ import annotations

import pickle
import socket
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bentsao.apps.cluster.pieces import ClusterError, Node, Report, Size, in_rounds, planned
from bentsao.core.errors import BentsaoError

T = TypeVar("T")
R = TypeVar("R")
W = TypeVar("W")

_MOST_BLOCKS = 10_000
"""Pieces that Ray Data keeps apart; of more, several are handed out together."""

_WATCH = 5.0
"""Seconds from one look at the nodes to the next."""


@dataclass(frozen=True)
class Cluster:
    """A Ray that is connected to. size: of a worker; workers: how many, 0 for as many as there is room for."""

    ray: Any
    size: Size
    workers: int = 0

    def nodes(self) -> list[Node]:
        """The machines that are alive."""

        def node(one: dict[str, Any]) -> Node:
            has = one["Resources"]
            size = Size(has.get("CPU", 0), has.get("GPU", 0), int(has.get("memory", 0)))
            return Node(one["NodeID"], one["NodeManagerAddress"], size)

        return [node(one) for one in self.ray.nodes() if one["Alive"]]

    def sized(self, **changes: Any) -> Cluster:
        """With workers of which each takes other amounts of these (see Size)."""
        return replace(self, size=replace(self.size, **changes))

    def once(self, work: Callable[[], R]) -> R:
        """What this gives on some node, in a process of its own that ends with it. Raises what `each` raises."""
        planned(self.nodes(), self.size, 1)
        remote = self.ray.remote(num_cpus=self.size.cpus, num_gpus=self.size.gpus, max_calls=1, max_retries=3)(_told)
        try:
            return _taken(self.ray.get(remote.remote(work)))
        except self.ray.exceptions.RayTaskError as error:
            # The error was not in the work, but in bringing it there.
            last = str(error).strip().rpartition("\n")[2]
            raise ClusterError(f"节点上不能开始工作，多半是没有装好同一版本的本项目：{last[:200]}") from None
        except self.ray.exceptions.RayError as error:
            raise ClusterError(f"工作进程在做完之前退出了，多半是内存不足：{str(error)[:200]}") from None

    def each(
        self, open: Callable[[], W], work: Callable[[W, T], R], pieces: Sequence[T], report: Report
    ) -> Iterator[R]:
        """The result of each piece, in the order in which they are done.

        open: what each worker does first, once; work: what it does with that and each piece. Both, the pieces and the
        results are pickled. report: told of nodes and pieces that were lost. Raises ClusterError where there is no
        room, where a worker fails (its error and the node in words), or where pieces are lost again and again.
        """
        planned(self.nodes(), self.size, self.workers)
        yield from in_rounds(lambda left: self._round(open, work, left, report), pieces, report)

    def _round(
        self, open: Callable[[], W], work: Callable[[W, T], R], pieces: Mapping[int, T], report: Report
    ) -> Iterator[tuple[int, R]]:
        data = self.ray.data
        # In a later round there may be fewer nodes than were asked for.
        workers = min(planned(self.nodes(), self.size, 0), self.workers or len(pieces), len(pieces))
        rows = [{"number": number, "piece": pickle.dumps(piece)} for number, piece in pieces.items()]
        # Where there are many, a second piece is on its way while a worker has one; of few, none waits for a busy one.
        at_once = 2 if len(pieces) > 4 * workers else 1
        given = data.from_items(rows, override_num_blocks=min(len(rows), _MOST_BLOCKS))
        with warnings.catch_warnings():
            # Ray 2.64 is to lose `max_task_retries`; the extra is bound below it.
            warnings.simplefilter("ignore", DeprecationWarning)
            results = given.map_batches(
                _Worker,
                fn_constructor_args=(open, work),
                batch_size=1,
                batch_format="numpy",
                compute=data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=at_once),
                num_cpus=self.size.cpus,
                num_gpus=self.size.gpus,
                memory=self.size.memory or None,
                max_task_retries=0,
            )
        with self._watched(report):
            try:
                for batch in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                    for row in batch.to_pylist():
                        yield row["number"], _taken(pickle.loads(row["result"]))
            except self.ray.exceptions.RayError:
                return  # what had been done on a node that is gone is asked for again

    @contextmanager
    def _watched(self, report: Report) -> Generator[None]:
        """Tells of nodes that are lost, and where no worker has a place any more."""
        ended = threading.Event()

        def watch() -> None:
            known = self.nodes()
            waiting = False
            while not ended.wait(_WATCH):
                alive = self.nodes()
                if gone := [node.name for node in known if node not in alive]:
                    report(f"丢失了节点 {'、'.join(gone)}，还有 {len(alive)} 个。")
                known = alive
                stuck = not any(node.room(self.size) for node in alive)
                if stuck and not waiting:
                    report("警告：没有节点放得下工作进程了，等待新的节点。按 Ctrl-C 可以中断，已有的结果都保存了。")
                waiting = stuck

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


# ---- in the workers -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Failure:
    """An error where it cannot be raised. ours: it is in words for the user; else `text` is a traceback."""

    node: str
    text: str
    ours: bool


class _Worker:
    """What Ray Data makes of each worker: opens once, works for each piece."""

    def __init__(self, open: Callable[[], Any], work: Callable[[Any, Any], Any]) -> None:
        self._work = work
        # Kept, and not raised: Ray would try again and then tell of itself.
        self._opened = _told(open)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        opened, results = self._opened, list[bytes]()
        for piece in batch["piece"]:
            if not isinstance(opened, _Failure):
                results.append(pickle.dumps(_told(lambda piece=piece: self._work(opened, pickle.loads(piece)))))
            else:
                results.append(pickle.dumps(opened))
        return {"number": batch["number"], "result": results}


def _told(work: Callable[[], R]) -> R | _Failure:
    try:
        return work()
    except BentsaoError as error:
        return _Failure(socket.gethostname(), str(error), ours=True)
    except Exception:
        return _Failure(socket.gethostname(), traceback.format_exc(), ours=False)


def _taken(result: R | _Failure) -> R:
    if isinstance(result, _Failure):
        if result.ours:
            raise ClusterError(f"节点 {result.node} 上：{result.text}")
        raise RuntimeError(f"on node {result.node}:\n{result.text}")
    return result
