"""`bentsao serve`: models behind an OpenAI-compatible API."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bentsao.apps.commands.model_flags import report
from bentsao.apps.commands.opening import kb_path
from bentsao.apps.commands.serve_models import GroundChoice, ServedChoice, models_of
from bentsao.core.errors import BentsaoError, ConfigError, MissingError, os_reason
from bentsao.core.files import read_text
from bentsao.inference.notice import NOTICE
from bentsao.knowledge.store import KnowledgeBase

if TYPE_CHECKING:
    from fastapi import FastAPI

    from bentsao.apps.server.serving import Limits, Service
    from bentsao.apps.server.shelf import Shelf


@dataclass(frozen=True)
class Access:
    """Who may ask, and how much."""

    host: Annotated[str, Parameter(help="监听的地址；缺省只有本机能访问")] = "127.0.0.1"
    port: Annotated[int, Parameter(help="端口")] = 8000
    api_key_env: Annotated[
        str | None, Parameter(help="从这个环境变量读 API 密钥（多个用逗号分开）；不给就不要密钥")
    ] = None
    api_key_file: Annotated[Path | None, Parameter(help="从这个文件读 API 密钥，每行一个")] = None
    max_queue: Annotated[int, Parameter(help="每个模型最多排队的请求；满了答 429")] = 64
    max_tokens: Annotated[int, Parameter(help="一个回答最多的 token")] = 1024
    max_context: Annotated[int, Parameter(help="问题（连同对话历史）最多的 token")] = 4096
    max_body: Annotated[int, Parameter(help="请求体最多的字节；超过答 413")] = 1_000_000
    batch_rows: Annotated[int, Parameter(help="一起生成的请求最多几个")] = 32
    timeout: Annotated[float, Parameter(help="一个请求从收到到答完最多几秒")] = 300
    grace: Annotated[float, Parameter(help="停止服务时（SIGTERM、Ctrl-C）等进行中的请求最多几秒")] = 20
    log_text: Annotated[bool, Parameter(help="把问题和回答写进日志；缺省不写", negative=())] = False

    def limits(self) -> Limits:
        """What the flags allow. Raises ConfigError."""
        from bentsao.apps.server.serving import Limits

        for name in ("max_queue", "max_tokens", "max_context", "max_body", "batch_rows", "timeout"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)} 应不小于 1。")
        return Limits(
            answer=self.max_tokens,
            context=self.max_context,
            body=self.max_body,
            waiting=self.max_queue,
            rows=self.batch_rows,
            seconds=self.timeout,
            grace=max(0.0, self.grace),
        )

    def check_port(self) -> None:
        """Raises ConfigError where nobody can listen there, before models are opened for nothing."""
        if not 0 <= self.port < 2**16:
            raise ConfigError(f"--port {self.port} 应在 0 与 65535 之间。")
        try:
            family, kind, *_, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as tried:
                if os.name == "posix":  # as the server does: a port that was left a moment ago is free
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
        except OSError as error:
            raise ConfigError(
                f"不能监听 {self.host}:{self.port}：{os_reason(error)}。请用 --port 换一个端口，或检查 --host。"
            ) from None

    def keys(self) -> tuple[str, ...]:
        """The keys that clients must have one of; none where the flags name none. Raises ConfigError, MissingError."""
        found: list[str] = []
        if self.api_key_env is not None:
            given = os.environ.get(self.api_key_env, "")
            found += [key.strip() for key in given.split(",") if key.strip()]
            if not found:
                raise ConfigError(f"环境变量 {self.api_key_env} 里没有 API 密钥。请先设好它，或去掉 --api-key-env。")
        if self.api_key_file is not None:
            lines = [line.strip() for line in read_text(self.api_key_file).splitlines() if line.strip()]
            if not lines:
                raise ConfigError(f"{self.api_key_file} 里没有 API 密钥。请每行写一个。")
            found += lines
        return tuple(found)


@dataclass(frozen=True)
class PageChoice:
    """The web page."""

    ui: Annotated[bool, Parameter(help="也提供网页（/ui）：问答、知识库、报告；不访问任何外部地址", negative=())] = (
        False
    )
    reports: Annotated[
        tuple[Path, ...], Parameter(help="网页上可以读的报告在哪些目录", consume_multiple=True, negative=())
    ] = ()
    feedback: Annotated[
        Path | None, Parameter(help="允许访客评价回答，连同那一问一答写进这个 JSONL 文件；缺省不收评价")
    ] = None

    def add_to(
        self, app: FastAPI, service: Service, ground: GroundChoice, keys: Sequence[str], stack: ExitStack
    ) -> None:
        """Mount the page where it is wanted. Raises ConfigError, MissingError."""
        if not self.ui:
            if self.reports or self.feedback is not None:
                raise ConfigError("--reports 与 --feedback 只用于网页。请加上 --ui，或去掉它们。")
            return
        try:
            from bentsao.apps.page.wiring import build_page, mount_page
        except ImportError as error:
            raise MissingError(f"缺少 {error.name}。请安装：pip install 'bentsao[serve]'") from None
        kb = None
        if not ground.no_kb:
            from bentsao.inference.grounded.bundle import open_bundle

            path = kb_path(ground.kb) if ground.bundle is None else open_bundle(ground.bundle).kb
            kb = stack.enter_context(KnowledgeBase.open(path))
        page = build_page(service, kb=kb, report_folders=self.reports, feedback=self.feedback)
        mount_page(app, page, keys=keys)


NOTHING_CHOSEN, NO_GROUND_CHOSEN, LOCAL, NO_PAGE = ServedChoice(), GroundChoice(), Access(), PageChoice()


def serve(
    *,
    served: Annotated[ServedChoice, Parameter(name="*", group="模型")] = NOTHING_CHOSEN,
    ground: Annotated[GroundChoice, Parameter(name="*", group="依据知识库")] = NO_GROUND_CHOSEN,
    access: Annotated[Access, Parameter(name="*", group="访问")] = LOCAL,
    page: Annotated[PageChoice, Parameter(name="*", group="网页")] = NO_PAGE,
) -> None:
    """以 OpenAI 兼容的 API 提供回答：/v1/chat/completions、/v1/completions、/v1/models。

    模型名后加 -grounded（或在请求里写 "grounded": true）就依据知识库回答，依据在回答的 grounded 字段里。

    例：

        bentsao serve --adapter my=runs/my --kb my.kb --port 8000

        bentsao serve --ui --reports runs
    """
    try:
        from bentsao.apps.server.alerting import alert_of
        from bentsao.apps.server.app import create_app
        from bentsao.apps.server.metrics import Metrics
        from bentsao.apps.server.running import Server
        from bentsao.apps.server.serving import Service
    except ImportError as error:
        raise MissingError(f"缺少 {error.name}。请安装：pip install 'bentsao[serve]'") from None

    access.check_port()
    keys, limits, metrics = access.keys(), access.limits(), Metrics()
    _warn(access, keys)
    if access.log_text:
        logging.basicConfig(format="%(asctime)s %(message)s")
        logging.getLogger("bentsao.server").setLevel(logging.INFO)
    with ExitStack() as stack:
        models, shelf = models_of(served, ground, limits, metrics, stack)
        service = Service(models, limits, alert_of, log_text=access.log_text)
        stack.callback(service.close)
        for model in models:
            if model.kind != "base" or len(models) == 1:
                report(f"打开模型 {model.name}……")
                model.engine()
        if shelf is not None:
            _reload(shelf, service)
            if not service.served:
                raise ConfigError(f"{served.adapter_folder} 里没有能用的适配器。请放进一个，或用 --adapter、--base。")
            if hasattr(signal, "SIGHUP"):
                # In a thread of its own: what comes is opened, and others are answered meanwhile.
                again = partial(Thread, target=_reload, args=(shelf, service), daemon=True)
                signal.signal(signal.SIGHUP, lambda *_: again().start())
        app = create_app(service, metrics, keys=keys, shelf=shelf)
        page.add_to(app, service, ground, keys, stack)
        report(f"模型：{'、'.join(service.names())}")
        if page.ui:
            report(f"网页：http://{access.host}:{access.port}/ui")
        report(NOTICE)
        Server(app, service, host=access.host, port=access.port).run()


def _reload(shelf: Shelf, service: Service) -> None:
    try:
        found = shelf.reload(service)
    except BentsaoError as error:
        report(f"警告：{error}")
        return
    for label, names in (("新来的", found.added), ("换过的", found.changed), ("拿走的", found.removed)):
        if names:
            report(f"适配器（{label}）：{'、'.join(names)}")
    for name, why in found.failed.items():
        report(f"警告：适配器 {name} 没有打开：{why}")


def _warn(access: Access, keys: Sequence[str]) -> None:
    """Whoever opens the server to others should know it."""
    try:
        local = ipaddress.ip_address(access.host).is_loopback
    except ValueError:
        local = access.host == "localhost"
    if not local and not keys:
        report(
            f"警告：正在监听 {access.host}，别的机器也能访问，而没有要求 API 密钥。"
            "请用 --api-key-env 设密钥，或放在有认证的反向代理之后（见 docs/deploy.md）。"
        )
