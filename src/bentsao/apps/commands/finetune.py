"""`bentsao finetune`: tune an adapter. A recipe in TOML, overrides, and the original's flags as they were spelt."""

from __future__ import annotations

import ast
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter
from rich.console import Console

from bentsao.apps.commands.switches import VALUE_OR_NONE, Switch, is_on
from bentsao.core.errors import ConfigError


@dataclass(frozen=True)
class Overrides:
    """Flags that stand over the recipe's values; None leaves the recipe as it is."""

    base: Annotated[
        str | None, Parameter(name=["--base", "--base_model"], help="基座：预设名、Hugging Face id 或目录")
    ] = None
    data: Annotated[
        list[str] | None,
        Parameter(name=["--data", "--data_path"], help="训练数据，可多次给出；JSON 或 JSON 行，常见格式自动识别"),
    ] = None
    output: Annotated[
        str | None, Parameter(name=["--out", "-o", "--output", "--output_dir"], help="适配器写到哪个目录")
    ] = None
    chat_format: Annotated[
        str | None,
        Parameter(
            name=["--format", "--prompt_template_name"], help="对话格式：名字、模板 JSON 文件，或 base（基座自带）"
        ),
    ] = None
    mix: Annotated[list[str] | None, Parameter(help="混入通用数据以防遗忘：FILE:SHARE，可多次给出")] = None
    names: Annotated[str | None, Parameter(help="实体名表：按名字分组，使验证的实体不出现在训练中")] = None
    validation: Annotated[
        float | None,
        Parameter(
            name=["--validation", "--val_set_size"],
            help="验证的份额（<1）或行数，按组留出；0 不验证；缺省 5%，最多 200 行",
        ),
    ] = None
    limit: Annotated[int | None, Parameter(help="最多用多少条数据（随机取）")] = None
    cutoff: Annotated[int | None, Parameter(name=["--cutoff", "--cutoff_len"], help="一行最多的 token 数")] = None
    epochs: Annotated[float | None, Parameter(name=["--epochs", "--num_epochs"], help="轮数")] = None
    steps: Annotated[int | None, Parameter(help="最多的优化步数")] = None
    batch_rows: Annotated[int | None, Parameter(name=["--batch-rows", "--batch_size"], help="一个优化步的行数")] = None
    learning_rate: Annotated[float | None, Parameter(name=["--learning-rate", "--learning_rate"], help="学习率")] = None
    rank: Annotated[int | None, Parameter(name=["--rank", "--lora_r"], help="LoRA 的秩")] = None
    alpha: Annotated[float | None, Parameter(name=["--alpha", "--lora_alpha"], help="LoRA 的 alpha")] = None
    dropout: Annotated[float | None, Parameter(name=["--dropout", "--lora_dropout"], help="LoRA 的 dropout")] = None
    targets: Annotated[
        str | None,
        Parameter(
            name=["--targets", "--lora_target_modules"], help="all-linear、attention，或模块名（逗号分隔或列表）"
        ),
    ] = None
    learn_prompt: Annotated[
        Switch | None,
        VALUE_OR_NONE,
        Parameter(name=["--learn-prompt", "--train_on_inputs"], help="是否也学习问题部分"),
    ] = None
    method: Annotated[
        Literal["lora", "full", "dpo"] | None, Parameter(help="调适配器，调全部权重，或用偏好对调适配器（DPO）")
    ] = None
    kind: Annotated[Literal["conversations", "text"] | None, Parameter(help="数据是对话，还是纯文本（继续预训练）")] = (
        None
    )
    quantization: Annotated[Literal["4bit", "8bit"] | None, Parameter(help="量化加载基座（QLoRA）")] = None
    seed: Annotated[int | None, Parameter(help="随机种子")] = None
    track: Annotated[list[str] | None, Parameter(help="tensorboard、wandb、trackio；不给则一个也不用")] = None
    set_: Annotated[
        list[str] | None, Parameter(name="--set", help="配方里的任何一项：section.key=value，可多次给出")
    ] = None

    def values(self) -> dict[str, Any]:
        """As `section.key` → value, for `load_recipe`."""
        plain: dict[str, Any] = {
            "base.name": self.base,
            "base.quantization": self.quantization,
            "data.files": self.data,
            "data.format": self.chat_format,
            "data.mix": self.mix,
            "data.names": self.names,
            "data.validation": self.validation,
            "data.limit": self.limit,
            "data.cutoff": self.cutoff,
            "data.learn_prompt": None if self.learn_prompt is None else is_on(self.learn_prompt, default=False),
            "output": self.output,
            "method": self.method,
            "data.kind": self.kind,
            "training.epochs": self.epochs,
            "training.steps": self.steps,
            "training.batch_rows": self.batch_rows,
            "training.learning_rate": self.learning_rate,
            "training.seed": self.seed,
            "training.trackers": self.track,
            "lora.rank": self.rank,
            "lora.alpha": self.alpha,
            "lora.dropout": self.dropout,
            "lora.targets": None if self.targets is None else _names(self.targets),
        }
        out = {key: value for key, value in plain.items() if value is not None}
        for item in self.set_ or []:
            key, equals, value = item.partition("=")
            if not equals:
                raise ConfigError(f"--set {item!r} 应写成 section.key=value，例如 --set training.warmup=0.1")
            out[key.strip()] = _literal(value.strip())
        return out


@dataclass(frozen=True)
class OriginalFlags:
    """The original's flags that have no counterpart of the same meaning; what becomes of each is said."""

    micro_batch_size: Annotated[
        int | None, Parameter(name="--micro_batch_size", help="一次前向的行数上限（原项目的写法）")
    ] = None
    group_by_length: Annotated[
        Switch | None,
        VALUE_OR_NONE,
        Parameter(name="--group_by_length", help="原项目的写法；这里每一步之内总是按长度排，无需打开"),
    ] = None
    resume_from_checkpoint: Annotated[
        str | None,
        Parameter(name="--resume_from_checkpoint", help="从这个适配器的权重开始（未完成的训练会自动接着跑）"),
    ] = None
    wandb_project: Annotated[str, Parameter(name="--wandb_project", help="记到 wandb 的哪个项目")] = ""
    wandb_run_name: Annotated[str, Parameter(name="--wandb_run_name", help="wandb 里这次运行的名字")] = ""
    wandb_watch: Annotated[str, Parameter(name="--wandb_watch", help="原项目的写法")] = ""
    wandb_log_model: Annotated[str, Parameter(name="--wandb_log_model", help="原项目的写法")] = ""

    def values(self, cutoff: int, note: Callable[[str], None]) -> dict[str, Any]:
        """As `section.key` → value; `note` is told what is not taken over."""
        out: dict[str, Any] = {}
        if self.micro_batch_size is not None:
            out["training.micro_tokens"] = self.micro_batch_size * cutoff
        if is_on(self.group_by_length, default=False):
            note("group_by_length：每个优化步之内总是按长度排，不影响损失曲线，无需打开")
        if self.resume_from_checkpoint:
            out["lora.init"] = self.resume_from_checkpoint
        if self.wandb_project:
            out |= {"training.trackers": ["wandb"], "training.project": self.wandb_project}
        if self.wandb_run_name:
            out["training.run_name"] = self.wandb_run_name
        if self.wandb_watch or self.wandb_log_model:
            note("wandb_watch 与 wandb_log_model 不支持：适配器写在输出目录里，梯度不上传")
        return out


NO_OVERRIDES, NO_FLAGS = Overrides(), OriginalFlags()


def finetune(
    recipe: Annotated[
        Path | None, Parameter(help="配方：TOML 文件，或自带配方的名字（default、knowledge……）；不给则用默认值")
    ] = None,
    *,
    overrides: Annotated[Overrides, Parameter(name="*", group=Group("设置（覆盖配方）", sort_key=1))] = NO_OVERRIDES,
    original: Annotated[OriginalFlags, Parameter(name="*", group=Group("原项目的参数", sort_key=2))] = NO_FLAGS,
    preview: Annotated[
        int | None, Parameter(help="只显示数据表与前 N 行（学习的 token 着色），不训练；0 只显示表")
    ] = None,
    restart: Annotated[bool, Parameter(help="从头开始：丢弃没有完成的训练，取代已有的适配器", negative=())] = False,
) -> None:
    """在医学指令数据（或纯文本）上微调基座，写出 LoRA 适配器，或（method = "full"）完整的模型。

    被中断的训练再次运行同一命令即可接着跑，之后的损失与没有中断时一样。

    例：

        bentsao finetune --data llama_data.json -o runs/llama-med

        bentsao finetune knowledge --data data/grounded/train.jsonl -o runs/kt
    """
    from bentsao.apps.training_view import TrainingView
    from bentsao.tuning.recipe import find_recipe, load_recipe

    # Keep what scripts read from stdout clean of progress when it is a pipe: all of this is for a person.
    view = TrainingView(Console())
    if recipe:
        recipe = find_recipe(recipe)
        view.note(f"配方 {recipe}")
    first = load_recipe(recipe, overrides.values())
    resolved = load_recipe(recipe, {**original.values(first.data.cutoff, view.note), **overrides.values()})
    if preview is not None and preview < 0:
        raise ConfigError(f"--preview {preview} 应不小于 0。")
    if preview is not None and (resolved.method == "dpo" or resolved.data.kind == "text"):
        raise ConfigError("--preview 只能看对话数据。")
    if preview is not None:
        _preview(resolved, preview, view)
        return
    from bentsao.models.machine import peak_memory
    from bentsao.tuning.run import tune

    stop = _Interrupt(view.note)
    with view, stop:
        outcome = tune(resolved, view, restart=restart, stop=stop.asked)
    if not outcome.finished:
        view.note(f"已在第 {outcome.steps} 步停下并保存。再次运行同一命令即可接着训练。")
        raise KeyboardInterrupt
    seconds = sum(record.seconds for record in view.step_records)
    tokens = sum(record.tokens for record in view.step_records)
    if seconds:
        speed = f"{tokens / seconds:.0f} token/s，{seconds:.0f} 秒"
        view.note(f"训练 {len(view.step_records)} 步，{speed}，内存峰值 {peak_memory() / 2**30:.2f} GiB")
    losses = [record["valid_loss"] for record in outcome.history if "valid_loss" in record]
    if len(losses) > 1:
        view.note(f"验证损失 {losses[0]:.4f} → {losses[-1]:.4f}")
    what, flag = ("适配器", "--adapter") if resolved.method != "full" else ("模型", "--base")
    where = quote(resolved.output)
    view.note(f"{what}已写入 {resolved.output}。试一试：bentsao infer {flag} {where} --question 问题")
    view.note(f"依据知识库回答：bentsao answer 问题 {flag} {where} --kb 知识库")


def _preview(recipe: Any, count: int, view: Any) -> None:
    """Show how the first rows are rendered; the base's tokenizer is all that is loaded of it."""
    from bentsao.apps.training_view import preview
    from bentsao.models.fetching import locate
    from bentsao.models.loading import default_format, open_tokens, resolve_format
    from bentsao.tuning.preparing import prepare

    located = locate(recipe.base.name, view.note, weights=False)
    tokens = open_tokens(located, recipe.base.trust_remote_code)
    default = default_format(tokens, located.preset, located.folder)
    chat_format = resolve_format(recipe.data.format, tokens, default)
    data = prepare(recipe, tokens, chat_format, view)
    if count:
        view.console.print(preview(data.train.rows[:count], data.train.ids[:count], tokens))


@dataclass
class _Interrupt:
    """Ctrl-C and SIGTERM end the run after the step under way; a second one ends it at once."""

    note: Callable[[str], None]
    wanted: bool = False

    def asked(self) -> bool:
        return self.wanted

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._catch) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, *_: object) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
        self.note("这一步做完后保存并停下（再按一次立即退出）……")


def _names(text: str) -> str | list[str]:
    """`a,b`, `[a,b]` or `['a', 'b']` → a list; a single word stays one."""
    words = [word.strip(" '\"") for word in text.strip("[] ").split(",")]
    words = [word for word in words if word]
    if not words:
        raise ConfigError(f"--targets {text!r} 是空的。")
    return words[0] if len(words) == 1 else words


def _literal(text: str) -> Any:
    """A value of `--set` as Python would read it; what it cannot read is text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
