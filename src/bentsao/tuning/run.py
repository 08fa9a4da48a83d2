"""A whole tuning run: recipe → adapter or model folder. The one entry of this room; reads top to bottom."""

from __future__ import annotations

import os
import random
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn

from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_text
from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import Tokens
from bentsao.models.adapters import CONFIG_NAME, MANIFEST_NAME
from bentsao.models.loading import Base, load_base, resolve_format
from bentsao.models.machine import choose_dtype
from bentsao.models.tokens import HFTokens
from bentsao.tuning.adapter import Papers, write_result
from bentsao.tuning.checkpoints import open_run, run_folder
from bentsao.tuning.data import gather
from bentsao.tuning.frozen import keep
from bentsao.tuning.job import EvalRecord, Job, Outcome, Reporter, StepRecord
from bentsao.tuning.loop import train
from bentsao.tuning.lora import add_lora, load_initial, trainable, unfreeze
from bentsao.tuning.objective import LabelledLoss, check_against_model
from bentsao.tuning.recipe import DataPart, Recipe
from bentsao.tuning.rows import Account, Rows, cached_rows, check_not_empty, check_weights
from bentsao.tuning.texts import gather_texts, pack

MICRO_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Tokens of one forward where the recipe says nothing: on a CPU larger batches gain nothing and cost memory."""


class RunReporter(Reporter, Protocol):
    """What a run tells besides its steps."""

    def note(self, text: str) -> None:
        """A line for the user."""

    def prepared(self, train: Account, valid: Account) -> None:
        """The data are rendered; training begins after this."""

    def tokenising(self, done: int, rows: int) -> None:
        """How far rendering is."""


@dataclass(frozen=True)
class Prepared:
    """Data ready for training: the rows of both parts, and what they were made from (files: SHA-256 by path)."""

    files: dict[str, str]
    valid_ids: list[str]
    chat_format: ChatFormat
    train: Rows
    valid: Rows


def prepare(recipe: Recipe, tokens: HFTokens, chat_format: ChatFormat, reporter: RunReporter) -> Prepared:
    """Read, split and render the recipe's data. Raises DataError or ConfigError when nothing can be learnt from it."""
    if recipe.data.kind == "text":
        prepared = _prepare_texts(recipe, tokens, chat_format, reporter)
    else:
        prepared = _prepare_conversations(recipe, tokens, chat_format, reporter)
    check_not_empty(prepared.train, recipe.data.cutoff)
    check_weights(prepared.train.account, recipe.training.part_weights)
    reporter.prepared(prepared.train.account, prepared.valid.account)
    return prepared


def _prepare_conversations(
    recipe: Recipe, tokens: HFTokens, chat_format: ChatFormat, reporter: RunReporter
) -> Prepared:
    material = gather(recipe.data, recipe.training.seed)
    for line in material.notes:
        reporter.note(line)
    # Validation on the way reads the first rows only, so they must be a fair sample.
    random.Random(recipe.training.seed).shuffle(material.valid)
    train_rows = _rows(material.train, recipe.data, chat_format, tokens, reporter)
    valid_rows = _rows(material.valid, recipe.data, chat_format, tokens, reporter)
    return Prepared(material.files, sorted(c.id for c in material.valid), chat_format, train_rows, valid_rows)


def _prepare_texts(recipe: Recipe, tokens: HFTokens, chat_format: ChatFormat, reporter: RunReporter) -> Prepared:
    texts = gather_texts(recipe.data, recipe.training.seed)
    reporter.note(f"继续预训练：{len(texts.train)} 篇用来学，{len(texts.valid)} 篇用来验证")
    train_rows, valid_rows = (
        pack(part, tokens, length=recipe.data.cutoff, progress=reporter.tokenising)
        for part in (texts.train, texts.valid)
    )
    return Prepared(texts.files, sorted(d.id for d in texts.valid), chat_format, train_rows, valid_rows)


def tune(
    recipe: Recipe, reporter: RunReporter, *, restart: bool = False, stop: Callable[[], bool] | None = None
) -> Outcome:
    """Tune an adapter as the recipe says and write it to `recipe.output`, going on from an earlier run's checkpoint.

    restart: throw an unfinished run away. stop: asked after each step; True saves and ends early (then no adapter is
    written). Raises BentsaoErrors for all that the user can mend.
    """
    output = Path(recipe.output)
    _check_output(output, restart)
    refuse_float16(recipe.base.dtype)
    check_together(recipe, reporter.note)
    accelerator = _accelerator(recipe)
    set_seed(recipe.training.seed)
    base = _load(recipe, accelerator, reporter)
    chat_format = resolve_format(recipe.data.format, base.tokens, base.default_format)
    data = prepare(recipe, base.tokens, chat_format, reporter)

    set_seed(recipe.training.seed)
    model = _to_be_tuned(base, recipe, reporter)
    objective = LabelledLoss(model)
    check_against_model(objective, torch.tensor(data.train.rows[0].ids[:64], device=base.device))
    ours, all_parameters = trainable(model)
    reporter.note(f"可训练参数 {ours:,}，占全部 {all_parameters:,} 的 {ours / all_parameters:.2%}")

    folder = run_folder(output)
    resume = _open_run(folder, recipe, data, base, restart=restart, accelerator=accelerator)
    if resume is not None:
        reporter.note(f"从检查点 {resume.name} 接着训练")
    job = Job(
        train=data.train.rows,
        train_ids=data.train.ids,
        valid=data.valid.rows,
        training=recipe.training,
        pad_id=base.tokens.pad_id,
        micro_tokens=recipe.training.micro_tokens or MICRO_TOKENS.get(base.device.type, MICRO_TOKENS["cuda"]),
        folder=folder,
        resume=resume,
        stop=stop or (lambda: False),
    )
    if recipe.training.keep_activations:
        job = replace(job, kept=keep(objective, job, accelerator, reporter.note))
    outcome = train(model, objective, job, accelerator, _Tracked(reporter, accelerator, recipe))
    if outcome.finished:
        papers = Papers(base, chat_format, outcome.history, _manifest(recipe, data, outcome))
        write_result(output, model, papers, accelerator)
        if accelerator.is_main_process:
            _remove_run(folder)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return outcome


def _to_be_tuned(base: Base, recipe: Recipe, reporter: RunReporter) -> nn.Module:
    """The base's model with what is to be tuned by the recipe, and nothing else, asking for gradients."""
    training = recipe.training
    if recipe.method == "full":
        return unfreeze(base.model, checkpointing=training.gradient_checkpointing, lowest=training.lowest_layer)
    model = add_lora(
        base.model,
        recipe.lora,
        quantised=recipe.base.quantization is not None,
        checkpointing=training.gradient_checkpointing,
        lowest=training.lowest_layer,
    )
    if recipe.lora.init:
        load_initial(model, Path(recipe.lora.init))
        reporter.note(f"从适配器 {recipe.lora.init} 的权重开始")
    return model


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes: the device's on CUDA, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def tokens_hash(tokens: HFTokens) -> str:
    """Identifies a tokenizer by what it makes of text: vocabulary, merges, settings, and the tokens around a text."""
    backend = getattr(tokens.tokenizer, "backend_tokenizer", None)
    words = backend.to_str() if backend is not None else repr(sorted(tokens.tokenizer.get_vocab().items()))
    return sha256_text(repr((words, tokens.start_ids, tokens.end_id, sorted(tokens.control_ids))))


def _rows(
    conversations: list[Any], part: DataPart, chat_format: ChatFormat, tokens: Tokens, reporter: RunReporter
) -> Rows:
    rows, cached = cached_rows(
        conversations,
        chat_format,
        tokens,
        tokens_hash(cast(HFTokens, tokens)),
        cutoff=part.cutoff,
        cut_answers=part.too_long == "cut",
        learn_prompt=part.learn_prompt,
        progress=reporter.tokenising,
    )
    if cached:
        reporter.note(f"用缓存中已分词的 {len(rows.rows)} 行")
    return rows


def check_together(recipe: Recipe, note: Callable[[str], None]) -> None:
    """Raises ConfigError for settings that make no sense together; what is unwise is noted."""
    training = recipe.training
    full, quantised = recipe.method == "full", recipe.base.quantization is not None
    if full and quantised:
        raise ConfigError('量化的权重不能全部微调。请去掉 base.quantization，或用 method = "lora"。')
    if full and recipe.lora.init:
        raise ConfigError('method = "full" 不写适配器，lora.init 没有意义。请去掉它，或先把适配器合并进基座。')
    if training.shard and quantised:
        raise ConfigError("量化的权重不能分片（training.shard）。4bit 的基座每张卡放一份即可，请去掉 training.shard。")
    if training.keep_activations and not training.lowest_layer:
        raise ConfigError(
            "training.keep_activations 只在下面的层不动时有用。请同时设 training.lowest_layer（大于 0）。"
        )
    if full and training.learning_rate > 1e-4:
        note(f"警告：全参数微调的学习率 {training.learning_rate:g} 很可能太大，常用 1e-5 到 5e-5")


def _check_output(output: Path, restart: bool) -> None:
    if (output / MANIFEST_NAME).is_file() and not run_folder(output).exists() and not restart:
        raise ConfigError(
            f"{output} 里已有一个训练完的结果。要重新训练并取代它，请加 --restart；否则请换一个 --output。"
        )
    ours = (CONFIG_NAME, MANIFEST_NAME)
    if output.exists() and not (
        output.is_dir() and (any((output / name).is_file() for name in ours) or not any(output.iterdir()))
    ):
        raise ConfigError(
            f"输出目录 {output} 已存在，而且不是适配器或训练出的模型。为免覆盖别的东西，请换一个 --output。"
        )


def refuse_float16(dtype: str | None) -> None:
    """Raises ConfigError for float16, in the recipe or from `accelerate launch`.

    Small gradients become 0 in it without loss scaling, which this loop does not do.
    """
    if dtype == "float16" or os.environ.get("ACCELERATE_MIXED_PRECISION") == "fp16":
        raise ConfigError(
            "不支持 float16（fp16）训练：它需要损失缩放，否则小的梯度会变成 0。"
            "请用 bfloat16（bf16），没有 bf16 的显卡请用 float32；也可以不填 base.dtype，按设备选。"
        )


def training_dtype(wanted: str | None, device: torch.device) -> str:
    """The number format of the weights; None takes float32 on a CPU, elsewhere bfloat16, or float32 without it."""
    number = choose_dtype(wanted, device)
    return "float32" if number is torch.float16 else str(number).removeprefix("torch.")


def check_device(wanted: str | None, given: torch.device) -> None:
    """Raises ConfigError if `base.device` is not the device that accelerate gave this process."""
    if wanted not in (None, given.type, f"{given.type}:{given.index or 0}"):
        raise ConfigError(
            f"训练用的设备是 {given}，不能用 base.device={wanted!r}。"
            "要用第几张卡，请设环境变量（如 CUDA_VISIBLE_DEVICES=1）并去掉 base.device；只用 CPU 请写 cpu。"
        )


def _accelerator(recipe: Recipe) -> Accelerator:
    trackers = list(recipe.training.trackers)
    cpu = recipe.base.device == "cpu" or not torch.cuda.is_available()
    halves = recipe.method == "full" and recipe.base.dtype is None and not cpu and torch.cuda.is_bf16_supported()
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision="bf16" if halves else None,
        log_with=cast(Any, trackers) or None,
        project_dir=f"{recipe.output}.logs" if trackers else None,
    )
    check_device(recipe.base.device, accelerator.device)
    if trackers:
        run = {"wandb": {"name": recipe.training.run_name}} if recipe.training.run_name else {}
        accelerator.init_trackers(recipe.training.project, init_kwargs=run)
    return accelerator


def _load(recipe: Recipe, accelerator: Accelerator, reporter: RunReporter) -> Base:
    return load_base(
        recipe.base.name,
        device=str(accelerator.device),
        # Small changes get lost in 16-bit weights: where they are tuned themselves, they are held in float32, and
        # `_accelerator` lets the forward compute in bfloat16.
        dtype=training_dtype(recipe.base.dtype or ("float32" if recipe.method == "full" else None), accelerator.device),
        quantization=recipe.base.quantization,
        trust_remote_code=recipe.base.trust_remote_code,
        report=reporter.note,
    )


def _open_run(
    folder: Path, recipe: Recipe, data: Prepared, base: Base, *, restart: bool, accelerator: Accelerator
) -> Path | None:
    fingerprint = {
        "基座": [base.name, base.revision, str(base.dtype), recipe.base.quantization],
        "数据": data.files,
        "对话格式": data.chat_format.hash,
        "方法": recipe.method,
        "LoRA": recipe.lora.model_dump(mode="json"),
        "数据设置": recipe.data.model_dump(mode="json"),
        "训练设置": recipe.training.model_dump(mode="json", exclude={"save_every", "trackers", "project", "run_name"}),
    }
    with accelerator.main_process_first():
        return open_run(folder, fingerprint, restart=restart and accelerator.is_main_process)


def _remove_run(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _manifest(recipe: Recipe, data: Prepared, outcome: Outcome) -> dict[str, Any]:
    valid = [h["valid_loss"] for h in outcome.history if "valid_loss" in h]
    return {
        "recipe": recipe.model_dump(mode="json"),
        "data": data.files,
        "train": data.train.account.model_dump(mode="json"),
        "valid": data.valid.account.model_dump(mode="json"),
        "valid_ids": data.valid_ids,
        "steps": outcome.steps,
        "seed": recipe.training.seed,
        "losses": {
            "valid_before": valid[0] if valid else None,
            "valid_after": valid[-1] if valid else None,
            "best_step": outcome.best[1] if outcome.best else None,
        },
    }


def _named(what: str, by_part: dict[str, float]) -> dict[str, float]:
    return {f"{what}/{part}": loss for part, loss in by_part.items()}


@dataclass
class _Tracked:
    """Passes records on to the trackers and, in the main process, to the reporter."""

    reporter: RunReporter
    accelerator: Accelerator
    recipe: Recipe

    def step(self, record: StepRecord) -> None:
        if self.recipe.training.trackers:
            values = {k: v for k, v in asdict(record).items() if k not in ("step", "by_part")}
            self.accelerator.log({**values, **_named("loss", record.by_part)}, step=record.step)
        if self.accelerator.is_main_process:
            self.reporter.step(record)

    def evaluated(self, record: EvalRecord) -> None:
        if self.recipe.training.trackers:
            values = {"valid_loss": record.loss, **_named("valid_loss", record.by_part)}
            self.accelerator.log(values, step=record.step)
        if self.accelerator.is_main_process:
            self.reporter.evaluated(record)

    def saved(self, step: int) -> None:
        if self.accelerator.is_main_process:
            self.reporter.saved(step)
