"""`bentsao serve`: models behind an OpenAI-compatible API."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from bentsao.apps.commands.answering import ModelChoice, report
from bentsao.apps.commands.opening import kb_path
from bentsao.core.errors import BentsaoError, ConfigError, MissingError
from bentsao.core.files import read_text
from bentsao.inference.engine import EngineName
from bentsao.inference.grounded.records import Guard, Policy
from bentsao.inference.grounded.records import Path as Way
from bentsao.inference.notice import NOTICE
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.shipped import shipped_adapter

if TYPE_CHECKING:
    from fastapi import FastAPI

    from bentsao.apps.server.metrics import Metrics
    from bentsao.apps.server.serving import Ground, Limits, Served, Service
    from bentsao.apps.server.shelf import Shelf
    from bentsao.inference.engine import Engine

SHIPPED = "bentsao"
"""What the adapter that ships with the project is called."""


@dataclass(frozen=True)
class ServedChoice:
    """What is served."""

    adapter: Annotated[
        tuple[str, ...],
        Parameter(help="适配器目录，或 名字=目录；可写多次。不写名字时用目录名；与 --base 都不给时用随项目发布的"),
    ] = ()
    adapter_folder: Annotated[
        Path | None,
        Parameter(
            help="这个目录下的每个适配器都提供，以目录名为名；服务进行中增减后，POST /v1/adapters/reload 或 SIGHUP 生效"
        ),
    ] = None
    base: Annotated[
        str | None,
        Parameter(help="基座；只给它时服务未微调的基座，与 --adapter 同用时换掉适配器记下的基座"),
    ] = None
    chat_format: Annotated[str | None, Parameter(name="--format", help="对话格式；缺省用适配器里存的")] = None
    engine: Annotated[EngineName, Parameter(help="见 bentsao infer --help")] = "auto"
    device: Annotated[str | None, Parameter(help="cpu、cuda、cuda:1、mps …；缺省自动选")] = None
    dtype: Annotated[str | None, Parameter(help="float32、bfloat16、float16；缺省按设备选")] = None
    quantization: Annotated[Literal["4bit", "8bit"] | None, Parameter(help="量化加载")] = None
    gpus: Annotated[int, Parameter(help="vllm 引擎把模型分到几张 GPU 上")] = 1
    trust_remote_code: Annotated[bool, Parameter(help="允许运行基座自带的代码", negative=())] = False

    def one(self, adapter: Path | None, base: str | None) -> ModelChoice:
        """One of the models: an adapter, or an untuned base."""
        return ModelChoice(
            adapter=adapter,
            base=base,
            chat_format=self.chat_format if adapter is not None or not self.adapter else None,
            engine=self.engine,
            device=self.device,
            dtype=self.dtype,
            quantization=self.quantization,
            gpus=self.gpus,
            trust_remote_code=self.trust_remote_code,
        )


@dataclass(frozen=True)
class GroundChoice:
    """Where grounded answers come from."""

    kb: Annotated[Path | None, Parameter(name="--kb", help="知识库文件；缺省为自带的示例知识库")] = None
    no_kb: Annotated[bool, Parameter(name="--no-kb", help="不提供依据知识库的回答", negative=())] = False
    path: Annotated[Way, Parameter(help="由谁判断问的是什么：both、model、linker、bm25")] = "both"
    guard: Annotated[Guard, Parameter(help="回答里没有依据的话：remove 删去，mark 标出，off 不检查")] = "remove"
    bundle: Annotated[
        Path | None, Parameter(help="服务一个包（bentsao bundle make）：适配器、知识库与策略都在其中")
    ] = None


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

    keys, limits, metrics = access.keys(), access.limits(), Metrics()
    _warn(access, keys)
    if access.log_text:
        logging.basicConfig(format="%(asctime)s %(message)s")
        logging.getLogger("bentsao.server").setLevel(logging.INFO)
    with ExitStack() as stack:
        models, shelf = _models(served, ground, limits, metrics, stack)
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


def _models(
    served: ServedChoice, ground: GroundChoice, limits: Limits, metrics: Metrics, stack: ExitStack
) -> tuple[list[Served], Shelf | None]:
    """The models: of a bundle, or adapters and then the bases they were tuned on, which are opened when first asked.

    And the folder of adapters that come and go, where there is one.
    """
    from bentsao.apps.server.serving import Served
    from bentsao.apps.server.shelf import Shelf

    if ground.bundle is not None:
        return [_bundled(served, ground, limits, metrics, stack)], None
    if ground.path == "oracle":
        raise ConfigError("--path oracle 要人给出每个问题的实体，不能用于服务。请换一个。")
    answers = (
        None if ground.no_kb else _grounding(kb_path(ground.kb), Policy(path=ground.path, guard=ground.guard), stack)
    )

    def make(name: str, folder: Path) -> Served:
        return Served(name, "adapter", served.one(folder, served.base).open, answers, limits, seen=metrics.batch)

    choices = {name: served.one(folder, served.base) for name, folder in _adapters(served).items()}
    found = [Served(name, "adapter", one.open, answers, limits, seen=metrics.batch) for name, one in choices.items()]
    shelf = None if served.adapter_folder is None else Shelf(served.adapter_folder, make)
    # A folder's adapters come and go; the bases they stand on are not served besides.
    alone = {} if shelf is not None else {served.base: None}
    for base in dict.fromkeys(one.without_adapter().base for one in choices.values()) or alone:
        if base is None:
            continue
        name = Path(base).name if Path(base).is_dir() else base
        if name in choices:
            raise ConfigError(f"适配器与基座都叫 {name}。请用 --adapter 名字=目录 给适配器换一个名字。")
        found.append(Served(name, "base", served.one(None, base).open, None, limits, seen=metrics.batch))
    return found, shelf


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


def _adapters(served: ServedChoice) -> dict[str, Path]:
    """The adapters by name. Raises ConfigError for a name that is given twice."""
    if not served.adapter and served.adapter_folder is None:
        shipped = shipped_adapter() if served.base is None else None
        if shipped is None and served.base is None:
            raise ConfigError("没有指定模型。请用 --adapter DIR 给出适配器目录，或用 --base NAME 给出基座。")
        return {} if shipped is None else {SHIPPED: shipped}
    found: dict[str, Path] = {}
    for given in served.adapter:
        name, equals, folder = given.partition("=")
        path = Path(folder if equals else given)
        name = name if equals else path.resolve().name
        if name in found:
            raise ConfigError(f"有两个适配器都叫 {name}。请用 --adapter 名字=目录 给它们不同的名字。")
        found[name] = path
    return found


def _grounding(kb: Path, policy: Policy, stack: ExitStack, bundle: str = "") -> Ground:
    """Makes answerers that share the knowledge base and its linker."""
    from bentsao.inference.grounded import Answerer
    from bentsao.knowledge.linking import Linker

    store = stack.enter_context(KnowledgeBase.open(kb))
    linker = Linker.for_kb(store)
    return lambda engine: Answerer(engine, store, policy, linker=linker, bundle=bundle)


def _bundled(served: ServedChoice, ground: GroundChoice, limits: Limits, metrics: Metrics, stack: ExitStack) -> Served:
    from bentsao.apps.server.serving import Served
    from bentsao.inference.grounded.bundle import open_bundle

    assert ground.bundle is not None
    more = (served.adapter, served.adapter_folder, served.base, served.chat_format)
    if ground != GroundChoice(bundle=ground.bundle) or any(more):
        raise ConfigError(
            "--bundle 里已有适配器、对话格式、知识库与策略，不能与 --adapter、--base、--format、--kb、--no-kb、--path、"
            "--guard 同用。请去掉它们，或不用 --bundle。"
        )
    bundle = open_bundle(ground.bundle)
    opens: Callable[[], Engine] = served.one(bundle.adapter, None).open
    answers = _grounding(bundle.kb, bundle.policy, stack, bundle.hash)
    return Served(bundle.folder.resolve().name, "bundle", opens, answers, limits, seen=metrics.batch)


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
