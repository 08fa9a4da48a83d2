"""A remote model on the command line: its flags, the estimate, progress, and what Ctrl-C does."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bentsao.core.errors import ConfigError
from bentsao.models.remote.asking import Asking, ResponseFormat
from bentsao.models.remote.budget import Estimate, Prices
from bentsao.models.remote.calling import Patience
from bentsao.models.remote.client import Endpoint
from bentsao.models.remote.journal import Journal
from bentsao.models.remote.running import Progress as Reached


@dataclass(frozen=True)
class CallFlags:
    """Where a remote model is, how it is asked, and what may be spent."""

    api_base: Annotated[
        str, Parameter(help="OpenAI 式接口的地址，写到 /v1 为止；本地的 vLLM、Ollama、llama.cpp 都可以")
    ] = "http://127.0.0.1:8000/v1"
    key_env: Annotated[str, Parameter(help="放密钥的环境变量的名字；密钥只从这里读，不显示也不保存")] = "OPENAI_API_KEY"
    concurrency: Annotated[int, Parameter(help="同时进行的调用数")] = 16
    rpm: Annotated[float | None, Parameter(help="每分钟最多的请求数")] = None
    tpm: Annotated[float | None, Parameter(help="每分钟最多的 token 数")] = None
    max_tokens_budget: Annotated[
        int | None, Parameter(help="token 预算，按日志里的总数计，到了就停；加大后再运行即接着做")
    ] = None
    max_money: Annotated[float | None, Parameter(help="花费预算，要同时给出价格；币种与价格相同")] = None
    price_in: Annotated[float | None, Parameter(help="每百万输入 token 的价格")] = None
    price_out: Annotated[float | None, Parameter(help="每百万输出 token 的价格")] = None
    dry_run: Annotated[bool, Parameter(help="只估算调用数、token、花费和时间，什么也不发送", negative=())] = False
    journal: Annotated[
        Path | None, Parameter(help="日志：每次调用和回答都记在这里，中断后据此接着做；缺省在输出文件旁边")
    ] = None
    output_limit: Annotated[int, Parameter(help="一次回答最多的 token 数")] = 2048
    limit_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"], Parameter(help="这个上限在接口里叫什么；有的模型只认后一个")
    ] = "max_tokens"
    response_format: Annotated[
        ResponseFormat, Parameter(help="让服务端保证 JSON：object 或 schema（要服务端支持），none 不用")
    ] = "none"
    extra: Annotated[
        str | None, Parameter(help="另外要发送的参数，一个 JSON 对象，例如 '{\"enable_thinking\": false}'")
    ] = None
    timeout: Annotated[float, Parameter(help="一次调用最多等多少秒")] = 120.0
    attempts: Annotated[int, Parameter(help="一个请求最多试几次；只在 429、5xx、超时和连接失败时重试")] = 6

    def asking(self, model: str, temperature: float | None) -> Asking:
        """As settings. temperature: negative or None is not sent. Raises ConfigError for a value that cannot be."""
        try:
            return Asking(
                endpoint=Endpoint(base_url=self.api_base, key_env=self.key_env, timeout=self.timeout),
                model=model,
                temperature=None if temperature is not None and temperature < 0 else temperature,
                output_limit=self.output_limit,
                limit_name=self.limit_name,
                response_format=self.response_format,
                extra=self._extra(),
                concurrency=self.concurrency,
                requests_per_minute=self.rpm,
                tokens_per_minute=self.tpm,
                max_tokens=self.max_tokens_budget,
                max_money=self.max_money,
                prices=Prices(input=self.price_in, output=self.price_out),
                patience=Patience(attempts=self.attempts),
            )
        except ValidationError as error:
            raise ConfigError(f"模型的设置有误：{_faults(error)}。") from None

    def _extra(self) -> dict[str, Any]:
        try:
            value = json.loads(self.extra or "{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ConfigError(f"--extra {self.extra!r} 应是一个 JSON 对象。")
        return value


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


def _faults(error: ValidationError) -> str:
    return "；".join(
        f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r}：{fault['msg']}" for fault in error.errors()
    )
