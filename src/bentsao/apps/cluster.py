"""Work over many machines with Ray Data: pieces go to workers on all nodes, results come back as they are done.

The only module that knows Ray. Each worker is a process that opens what it needs once (a model, mostly) and keeps it.
A piece is done at least once and its result is given out exactly once: what a node held when it was lost is asked again
in another round, by the workers that are left. Ray's own retries of an actor's tasks are off, because they wait for
that actor to come back, for ever where there is no room for it; the actors themselves do come back where there is.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import re
import socket
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bentsao.core.errors import BentsaoError, ConfigError, MissingError

T = TypeVar("T")
R = TypeVar("R")
W = TypeVar("W")
Report = Callable[[str], None]

IDLE_ROUNDS = 3
"""After so many rounds in a row without a single result the work is given up."""

_MOST_BLOCKS = 10_000
"""Pieces that Ray Data keeps apart; of more, several are handed out together."""

_STORE = 200 * 2**20
"""Bytes of the object store of a Ray that is started here: questions and answers are small."""

_WATCH = 5.0
"""Seconds from one look at the nodes to the next."""


class ClusterError(BentsaoError):
    """The cluster cannot be reached, has no room, or lost what it was asked to do."""


@dataclass(frozen=True)
class Size:
    """What a worker takes of its node: cores, GPUs, bytes of main memory (0: not known)."""

    cpus: float = 1
    gpus: float = 0
    memory: int = 0

    def __str__(self) -> str:
        parts = [f"{self.cpus:g} 个 CPU", *([f"{self.gpus:g} 张 GPU"] if self.gpus else [])]
        return "、".join([*parts, *([f"{self.memory / 1e9:.1f} GB 内存"] if self.memory else [])])


@dataclass(frozen=True)
class Node:
    """A machine of the cluster and what it has, whether taken or not. id: Ray's; name: as people know it."""

    id: str
    name: str
    has: Size

    def room(self, size: Size) -> int:
        """How many workers of this size it can hold."""
        pairs = [(self.has.cpus, size.cpus), (self.has.gpus, size.gpus), (self.has.memory, size.memory)]
        return min((int(has / takes + 1e-9) for has, takes in pairs if takes), default=0)


def planned(nodes: Sequence[Node], size: Size, wanted: int) -> int:
    """How many workers to start; wanted 0: as many as there is room for. Raises ClusterError where there is not."""
    room = sum(node.room(size) for node in nodes)
    if room >= max(wanted, 1):
        return wanted or room
    have = "；".join(f"{node.name}：{node.has}" for node in nodes[:5]) + (" …" if len(nodes) > 5 else "")
    if room:
        raise ClusterError(
            f"集群只放得下 {room} 个工作进程（每个 {size}），要的是 {wanted} 个。请用 --workers {room}，或增加节点。"
        )
    raise ClusterError(
        f"集群里没有一台机器放得下一个工作进程（需要 {size}；现有 {have or '没有节点'}）。"
        "请用更小的模型或 --quantization，调小 --worker-cpus、--worker-gpus，或增加节点。"
    )


def in_rounds(
    ask: Callable[[Mapping[int, T]], Iterator[tuple[int, R]]], pieces: Sequence[T], report: Report
) -> Iterator[R]:
    """Each piece's result once, as they come. ask: gives results with their piece's number; it may lose some.

    What was lost is asked again in another round; what comes twice is dropped, and both are told. Raises ClusterError
    after IDLE_ROUNDS rounds in a row that brought nothing.
    """
    left = dict(enumerate(pieces))
    idle = doubled = 0
    while left:
        before = len(left)
        for number, result in ask(dict(left)):
            if left.pop(number, None) is None:
                doubled += 1
                continue
            yield result
        idle = idle + 1 if len(left) == before else 0
        if idle == IDLE_ROUNDS:
            raise ClusterError(
                f"有 {len(left)} 批连续 {IDLE_ROUNDS} 次没有结果：做它们的进程每次都退出了，多半是内存不足。"
                "请调小 --batch-rows 或 --workers；已有的结果都保存了，再次运行同一命令即可继续。"
            )
        if left:
            report(f"有 {len(left)} 批随着丢失的节点或进程没有做完，重新分派。")
    if doubled:
        report(f"有 {doubled} 批做了两遍，只取第一遍的结果。")


# ---- the cluster ----------------------------------------------------------------------------------------------------


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

    def needing(self, memory: int) -> Cluster:
        """With workers of which each takes so many bytes of main memory."""
        return replace(self, size=replace(self.size, memory=memory))

    def once(self, work: Callable[[], R]) -> R:
        """What this gives on some node, in a process of its own that ends with it. Raises what `each` raises."""
        planned(self.nodes(), self.size, 1)
        remote = self.ray.remote(num_cpus=self.size.cpus, num_gpus=self.size.gpus, max_calls=1, max_retries=3)(_told)
        try:
            return _taken(self.ray.get(remote.remote(work)))
        except self.ray.exceptions.RayError as error:
            raise ClusterError(f"工作进程在做完之前退出了，多半是内存不足：{_short(error)}") from None

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


@contextmanager
def connected(address: str, *, size: Size | None = None, workers: int = 0) -> Generator[Cluster]:
    """A cluster while the block lasts.

    address: `local:N` starts a Ray of N workers on this machine alone; `auto` is the cluster that this machine is a
    node of; HOST:PORT one by its head. size None: with GPUs, one GPU and one core a worker; else a node a worker,
    and for `local:N` its share of the cores. Raises MissingError without Ray, ConfigError for an address that is none,
    ClusterError where nothing answers.
    """
    count = _local(address)
    ray = _import_ray()
    settings: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if count:
        # Cores are what Ray counts by; a worker that is asked for gets one even where there are fewer.
        cores = max(os.cpu_count() or 1, count)
        settings |= {"include_dashboard": False, "num_cpus": cores, "object_store_memory": _STORE}
    else:
        _reach(address)
    try:
        with _silent_start():
            ray.init("local" if count else address, **settings)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"连不上 Ray 集群 {address}：{_short(error)}\n"
            "请在集群的一台机器上运行 `ray status` 看它是否在，各机器的 Python 与 ray 版本是否相同；"
            "只用本机时请用 --ray local:2。"
        ) from None
    try:
        _quiet(ray)
        cluster = Cluster(ray, Size(), workers or count)
        yield replace(cluster, size=size or _usual(cluster.nodes(), count))
    finally:
        ray.shutdown()


def _usual(nodes: Sequence[Node], local: int) -> Size:
    if any(node.has.gpus for node in nodes):
        return Size(cpus=1, gpus=1)
    cores = min((node.has.cpus for node in nodes if node.has.cpus), default=1)
    return Size(cpus=max(1, cores // local) if local else cores)


def _local(address: str) -> int:
    """The workers of `local:N`; 0 for a cluster. Raises ConfigError for neither."""
    if found := re.fullmatch(r"local:([1-9]\d*)", address):
        return int(found[1])
    if address == "auto" or re.fullmatch(r"(?!local:)[^\s:/]+:\d+", address):
        return 0
    raise ConfigError(f"--ray {address} 应是 auto（本机所在的集群）、主机:端口，或 local:N（只在本机，N 个工作进程）。")


def _reach(address: str) -> None:
    """Raises ClusterError at once where nobody listens; Ray itself would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(f"连不上 Ray 集群 {address}：{error}。请检查地址，以及那台机器上的 `ray status`。") from None


def _import_ray() -> Any:
    # Set before Ray is imported, and not only as a default: nothing is told to anybody.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of the parts in C++, which write to the terminal
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of its own next version
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError:
        raise MissingError("--ray 需要 Ray。安装：pip install 'bentsao[ray]'（集群的每台机器上都要装）。") from None


@contextmanager
def _silent_start() -> Generator[None]:
    """Keeps from the terminal what Ray's parts in C++ write there when they start; errors come as exceptions."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _quiet(ray: Any) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # what is lost is asked again, see in_rounds
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


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


def _short(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
