"""What a cluster has room for, and the rounds in which pieces of work are done though machines are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bentsao.core.errors import BentsaoError

T = TypeVar("T")
R = TypeVar("R")
Report = Callable[[str], None]

IDLE_ROUNDS = 3
"""After so many rounds in a row without a single result the work is given up."""


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
