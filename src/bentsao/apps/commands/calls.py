"""A remote model on the command line: its flags, the estimate, progress, and what Ctrl-C does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bentsao.apps.commands.api import NO_LIMITS, CallLimits
from bentsao.models.remote.asking import Asking, ResponseFormat
from bentsao.models.remote.budget import Estimate
from bentsao.models.remote.journal import Journal
from bentsao.models.remote.running import Progress as Reached


@dataclass(frozen=True)
class CallFlags:
    """Where a remote model is, and how a run over many calls is made."""

    api_base: Annotated[
        str, Parameter(help="OpenAI 式接口的地址，写到 /v1 为止；本地的 vLLM、Ollama、llama.cpp 都可以")
    ] = "http://127.0.0.1:8000/v1"
    limits: Annotated[CallLimits, Parameter(name="*")] = NO_LIMITS
    dry_run: Annotated[bool, Parameter(help="只估算调用数、token、花费和时间，什么也不发送", negative=())] = False
    journal: Annotated[
        Path | None, Parameter(help="日志：每次调用和回答都记在这里，中断后据此接着做；缺省在输出文件旁边")
    ] = None
    output_limit: Annotated[int, Parameter(help="一次回答最多的 token 数")] = 2048
    response_format: Annotated[
        ResponseFormat, Parameter(help="让服务端保证 JSON：object 或 schema（要服务端支持），none 不用")
    ] = "none"

    def asking(self, model: str, temperature: float | None) -> Asking:
        """As settings (see `CallLimits.asking`)."""
        return self.limits.asking(self.api_base, model, temperature, self.output_limit, self.response_format)


NO_CALLS = CallFlags()


def describe_estimate(found: Estimate) -> str:
    """An estimate in words."""
    cost = ""
    if found.likely_money is not None and found.most_money is not None:
        cost = f"，花费约 {found.likely_money:.4f}（最多 {found.most_money:.4f}）"
    return (
        f"估算：{found.calls:,} 次调用（日志里已有回答 {found.answered:,} 项），约 {found.likely.total:,} token"
        f"（输入 {found.likely.input:,}，输出 {found.likely.output:,}；最多 {found.most.total:,}）{cost}，"
        f"约 {duration(found.seconds)}。重试和重问不计在内。"
    )


class RunBar:
    """The progress bar: jobs, tokens, money so far, and the time to go."""

    def __init__(self, asking: Asking, jobs: int, console: Console) -> None:
        self._prices, self._jobs = asking.prices, jobs
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> RunBar:
        self._progress.start()
        self._task = self._progress.add_task("", total=self._jobs)
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, reached: Reached, journal: Journal) -> None:
        """Say how far the run is."""
        used = journal.total.used
        money = self._prices.money(used)
        parts = [f"{used.total:,} token"]
        parts += [] if money is None else [f"花费 {money:.4f}"]
        failed = sum(journal.run.refused.values()) + sum(journal.run.lost.values())
        parts += [f"重试 {failed:,}"] if failed else []
        parts += [] if reached.left is None else [f"还要 {duration(reached.left)}"]
        self._progress.update(self._task, completed=reached.done, description="，".join(parts))


class Interrupt:
    """Ctrl-C and SIGTERM end the run after the calls that are out; a second one ends it at once."""

    def __init__(self, console: Console) -> None:
        self._console, self._wanted = console, False
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def asked(self) -> bool:
        """Whether the run is to end."""
        return self._wanted

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, *_: object) -> None:
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True
        self._console.print("等已发出的调用回来后停下（再按一次立即退出，已发出的可能白付）……")


def duration(seconds: float) -> str:
    """Seconds in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} 小时 {minutes} 分" if hours else f"{minutes} 分 {rest} 秒" if minutes else f"{rest} 秒"
