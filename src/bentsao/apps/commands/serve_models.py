"""The models that `bentsao serve` offers, as the flags name them: adapters, bases, a folder of adapters, a bundle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.apps.commands.opening import kb_path
from bentsao.core.errors import ConfigError
from bentsao.inference.engine import EngineName
from bentsao.inference.grounded.records import Guard, Policy
from bentsao.inference.grounded.records import Path as Way
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.shipped import shipped_adapter

if TYPE_CHECKING:
    from bentsao.apps.server.metrics import Metrics
    from bentsao.apps.server.serving import Ground, Limits, Served
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


def models_of(
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
