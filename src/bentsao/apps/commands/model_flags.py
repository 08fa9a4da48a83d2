"""What `answer`, `infer` and `chat` share: the flags that choose a model, and how text reaches the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from bentsao.apps.commands.switches import VALUE_OR_NONE, Switch, is_on
from bentsao.apps.terminal import printable
from bentsao.core.errors import ConfigError
from bentsao.core.records import Alarm, Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import EngineName
from bentsao.inference.safety import alarm_text, look
from bentsao.models.shipped import shipped_adapter

if TYPE_CHECKING:
    from bentsao.inference.engine import Engine


@dataclass(frozen=True)
class ModelChoice:
    """The model that answers. The original's flags are accepted as they were spelt."""

    adapter: Annotated[
        Path | None,
        Parameter(
            name=["--adapter", "--lora_weights"],
            help="适配器目录（`bentsao finetune` 的输出，或任何 PEFT LoRA）；与 --base 都不给时用随项目发布的",
        ),
    ] = None
    base: Annotated[
        str | None,
        Parameter(
            name=["--base", "--base_model"],
            help="基座：预设名（如 embedded）、Hugging Face id 或目录；与 --adapter 同用时换掉适配器记下的基座",
        ),
    ] = None
    chat_format: Annotated[
        str | None,
        Parameter(
            name=["--format", "--prompt_template"],
            help="对话格式的名字或模板 JSON 文件；缺省用适配器里存的（没有适配器时用基座的）",
        ),
    ] = None
    engine: Annotated[
        EngineName,
        Parameter(
            help="auto：没有 GPU 时用 ctranslate2（int8，快几倍），它不支持的架构与有 GPU 时用 transformers；vllm 另装"
        ),
    ] = "auto"
    device: Annotated[str | None, Parameter(help="cpu、cuda、cuda:1、mps …；缺省自动选")] = None
    dtype: Annotated[str | None, Parameter(help="float32、bfloat16、float16；缺省按设备选（ctranslate2：int8）")] = None
    quantization: Annotated[Literal["4bit", "8bit"] | None, Parameter(help="量化加载（CUDA；CPU 上 8bit 即 int8）")] = (
        None
    )
    gpus: Annotated[int, Parameter(help="vllm 引擎把模型分到几张 GPU 上")] = 1
    trust_remote_code: Annotated[bool, Parameter(help="允许运行基座自带的代码", negative=())] = False
    lora: Annotated[
        Switch | None, VALUE_OR_NONE, Parameter(name="--use_lora", help="原项目的写法；False 时不用适配器")
    ] = None
    load_8bit: Annotated[
        Switch | None, VALUE_OR_NONE, Parameter(name="--load_8bit", help="原项目的写法；同 --quantization 8bit")
    ] = None

    @property
    def use_lora(self) -> bool:
        """Whether an adapter is wanted at all."""
        return is_on(self.lora, default=True)

    def open(self, tell: Callable[[str], None] | None = None) -> Engine:
        """Load it. tell: told what the user should know; None writes it to standard error."""
        from bentsao.inference.engines.opening import open_engine

        chosen = self.with_default()
        load_8bit = is_on(self.load_8bit, default=False)
        if load_8bit and self.quantization == "4bit":
            raise ConfigError("--load_8bit 与 --quantization 4bit 不能同用。请去掉其中一个。")
        return open_engine(
            adapter=chosen.adapter if self.use_lora else None,
            base=self.base,
            chat_format=self.chat_format,
            report=tell or report,
            device=self.device,
            dtype=self.dtype,
            quantization="8bit" if load_8bit else self.quantization,
            trust_remote_code=self.trust_remote_code,
            engine=self.engine,
            gpus=self.gpus,
        )

    def with_default(self) -> ModelChoice:
        """With the adapter that ships with the project, where neither an adapter nor a base is named."""
        if self.adapter is not None or self.base is not None or not self.use_lora:
            return self
        return replace(self, adapter=shipped_adapter())

    def with_full_paths(self) -> ModelChoice:
        """The same from whatever folder it is opened."""
        from bentsao.models.fetching import canonical_name

        file = self.chat_format or ""
        return replace(
            self,
            adapter=self.adapter and self.adapter.absolute(),
            base=self.base and canonical_name(self.base),
            # A format is a name or a file, and files have a suffix.
            chat_format=str(Path(file).absolute()) if Path(file).suffix else self.chat_format,
        )

    def with_adapter(self, folder: Path) -> ModelChoice:
        """With this adapter, and its own base and chat format."""
        return replace(self, adapter=folder, base=None, chat_format=None, lora=None)

    def without_adapter(self) -> ModelChoice:
        """The base that the adapter was tuned on (or is put on), with its own chat format."""
        from bentsao.models.adapters import read_adapter

        assert self.adapter is not None
        base = self.base or read_adapter(self.adapter).base
        return replace(self, adapter=None, base=base, chat_format=None)


Model = Annotated[ModelChoice, Parameter(name="*", group="模型")]
Drawing = Annotated[Decoding, Parameter(name="*", group="解码")]
MODEL = ModelChoice()
GREEDY = Decoding()


def report(line: str) -> None:
    """A line to standard error; warnings in a colour that is seen."""
    Console(stderr=True).print(printable(line), style="bold yellow" if line.startswith("警告") else "dim", markup=False)


def warn(alarm: Alarm | None) -> None:
    """Put an alarm before whatever is answered."""
    if alarm is not None:
        Console(highlight=False).print(f"{alarm_text(alarm)}\n", style="bold red", markup=False, soft_wrap=True)


def warn_before(question: str, history: Sequence[str] = ()) -> None:
    """Put the alarm of a question before its answer, without waiting for a model to be loaded."""
    warn(look([Message(role="user", content=text) for text in (*history, question)]))


def caution_lines(lines: Sequence[str]) -> str:
    """Cautions, each on a line of its own before which the line ends."""
    return "".join(f"\n提醒：{line}" for line in lines)
