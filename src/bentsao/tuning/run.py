"""A whole tuning run: recipe → adapter or model folder. The one entry of this room; reads top to bottom."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from peft import PeftModel
from torch import nn

from bentsao.core.errors import ConfigError
from bentsao.core.formats import ChatFormat
from bentsao.core.splits import learnt_keys
from bentsao.models.adapter_places import settle
from bentsao.models.loading import Base, load_base, resolve_format
from bentsao.models.shipped import adapter_folder
from bentsao.tuning.adapter import Papers, write_result
from bentsao.tuning.checkpoints import open_run, run_folder
from bentsao.tuning.checks import (
    check_device,
    check_launcher,
    check_output,
    check_together,
    refuse_float16,
    training_dtype,
)
from bentsao.tuning.frozen import keep
from bentsao.tuning.job import EvalRecord, Job, Outcome, StepRecord, note_steps
from bentsao.tuning.loop import train
from bentsao.tuning.lora import add_lora, load_initial, trainable, unfreeze
from bentsao.tuning.objective import LabelledLoss, check_against_model
from bentsao.tuning.pairs import gather_pairs, pair_rows
from bentsao.tuning.preferring import PairJob, prefer, trainer_checkpoints
from bentsao.tuning.preparing import Prepared, RunReporter, prepare
from bentsao.tuning.recipe import Recipe
from bentsao.tuning.shortcuts import take_shortcuts

MICRO_TOKENS = {"cpu": 1024, "cuda": 8192}
"""Tokens of one forward where the recipe says nothing: on a CPU larger batches gain nothing and cost memory."""

MAY_CHANGE = {"save_every", "save_seconds", "trackers", "project", "run_name", "shard", "activations_gb"}
"""Settings of the training that may be others when a run is gone on with."""


def tune(
    recipe: Recipe, reporter: RunReporter, *, restart: bool = False, stop: Callable[[], bool] | None = None
) -> Outcome:
    """Tune an adapter as the recipe says and write it to `recipe.output`, going on from an earlier run's checkpoint.

    restart: throw an unfinished run away. stop: asked after each step; True saves and ends early (then no adapter is
    written). Raises BentsaoErrors for all that the user can mend.
    """
    output = Path(recipe.output)
    check_output(output, restart)
    refuse_float16(recipe.base.dtype)
    check_together(recipe, reporter.note)
    accelerator = _accelerator(recipe)
    set_seed(recipe.training.seed)
    base = _load(recipe, accelerator, reporter)
    chat_format = resolve_format(recipe.data.format, base.tokens, base.default_format)
    run = _prefer if recipe.method == "dpo" else _learn
    outcome = run(recipe, base, chat_format, accelerator, reporter, restart=restart, stop=stop or (lambda: False))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return outcome


def _learn(
    recipe: Recipe,
    base: Base,
    chat_format: ChatFormat,
    accelerator: Accelerator,
    reporter: RunReporter,
    *,
    restart: bool,
    stop: Callable[[], bool],
) -> Outcome:
    """From conversations or texts, by our own loop."""
    output = Path(recipe.output)
    data = prepare(recipe, base.tokens, chat_format, reporter)

    set_seed(recipe.training.seed)
    model = _to_be_tuned(base, recipe, reporter)
    objective = LabelledLoss(model)
    check_against_model(objective, torch.tensor(data.train.rows[0].ids[:64], device=base.device))
    ours, all_parameters = trainable(model)
    reporter.note(f"可训练参数 {ours:,}，占全部 {all_parameters:,} 的 {ours / all_parameters:.2%}")

    folder = run_folder(output)
    begun = not restart and folder.exists()
    with accelerator.main_process_first():
        fingerprint = _fingerprint(recipe, data.files, chat_format, base)
        resume = open_run(folder, fingerprint, restart=restart and accelerator.is_main_process, note=reporter.note)
    if resume is not None:
        reporter.note(f"从检查点 {resume.name} 接着训练")
    elif begun and accelerator.is_main_process:
        reporter.note(f"{folder} 里没有检查点（上次还没有存下就中断了），从头开始")
    job = Job(
        train=data.train.rows,
        train_ids=data.train.ids,
        valid=data.valid.rows,
        training=recipe.training,
        pad_id=base.tokens.pad_id,
        micro_tokens=_micro_tokens(recipe, base),
        folder=folder,
        resume=resume,
        stop=stop,
    )
    note_steps(recipe.training, len(job.train), reporter.note)
    if recipe.training.keep_activations:
        job = replace(job, kept=keep(objective, job, accelerator, reporter.note))
    take_shortcuts(objective, job, accelerator, reporter.note)
    outcome = train(model, objective, job, accelerator, _Tracked(reporter, accelerator, recipe))
    if outcome.finished:
        papers = Papers(base, chat_format, outcome.history, _manifest(recipe, data, outcome))
        write_result(output, model, papers, accelerator)
        if accelerator.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _prefer(
    recipe: Recipe,
    base: Base,
    chat_format: ChatFormat,
    accelerator: Accelerator,
    reporter: RunReporter,
    *,
    restart: bool,
    stop: Callable[[], bool],
) -> Outcome:
    """From preference pairs, by trl."""
    pairs = gather_pairs(recipe.data, recipe.training.seed)
    tokens = base.tokens.with_template(chat_format.base_template) if chat_format.base_template else base.tokens
    train_rows, too_long = pair_rows(pairs.train, chat_format, tokens, recipe.data.cutoff)
    valid_rows, also = pair_rows(pairs.valid, chat_format, tokens, recipe.data.cutoff)
    for line in (*pairs.notes, f"学 {len(train_rows)} 对，验证 {len(valid_rows)} 对，放不下的 {too_long + also} 对"):
        reporter.note(line)
    if not train_rows:
        raise ConfigError(f"没有一对放得进 cutoff={recipe.data.cutoff}。请调大 cutoff 或检查数据。")
    set_seed(recipe.training.seed)
    model = cast(PeftModel, _to_be_tuned(base, recipe, reporter))
    if LabelledLoss(model).head_is_trained():
        raise ConfigError("偏好训练（trl）不能调输出层。请从 lora.targets 里去掉它。")
    folder = run_folder(Path(recipe.output))
    fingerprint = _fingerprint(recipe, pairs.files, chat_format, base)
    with accelerator.main_process_first():
        again = restart and accelerator.is_main_process
        resume = open_run(folder, fingerprint, restart=again, note=reporter.note, listed=trainer_checkpoints)
    note_steps(recipe.training, len(train_rows), reporter.note)
    job = PairJob(train_rows, valid_rows, base.tokens.pad_id, _micro_tokens(recipe, base), folder, resume, stop)
    view = _Tracked(reporter, accelerator, recipe)
    done = prefer(model, base.tokens.tokenizer, job, recipe, accelerator, on_step=view.step, note=reporter.note)
    outcome = Outcome(done.finished, done.steps, done.history, None)
    if done.finished:
        manifest = {
            "recipe": recipe.model_dump(mode="json"),
            "data": pairs.files,
            "pairs": {"train": len(train_rows), "valid": len(valid_rows), "too_long": too_long + also},
            "learnt": learnt_keys(pair.messages for pair in pairs.train),
            "valid_ids": sorted(pair.id for pair in pairs.valid),
            "steps": done.steps,
            "seed": recipe.training.seed,
            "last": done.history[-1] if done.history else None,
        }
        write_result(Path(recipe.output), model, Papers(base, chat_format, done.history, manifest), accelerator)
        if accelerator.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
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
        load_initial(model, settle(adapter_folder(recipe.lora.init), reporter.note))
        reporter.note(f"从适配器 {recipe.lora.init} 的权重开始")
    return model


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
    check_launcher(accelerator.distributed_type)
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


def _micro_tokens(recipe: Recipe, base: Base) -> int:
    return recipe.training.micro_tokens or MICRO_TOKENS.get(base.device.type, MICRO_TOKENS["cuda"])


def _fingerprint(recipe: Recipe, files: dict[str, str], chat_format: ChatFormat, base: Base) -> dict[str, Any]:
    """All that a checkpoint must agree with to be gone on from."""
    return {
        "基座": [base.name, base.revision, str(base.dtype), recipe.base.quantization],
        "数据": files,
        "对话格式": chat_format.hash,
        "方法": [recipe.method, recipe.preference.model_dump(mode="json")],
        "LoRA": recipe.lora.model_dump(mode="json"),
        "数据设置": recipe.data.model_dump(mode="json"),
        "训练设置": recipe.training.model_dump(
            mode="json",
            exclude=MAY_CHANGE,
        ),
    }


def _manifest(recipe: Recipe, data: Prepared, outcome: Outcome) -> dict[str, Any]:
    valid = [h["valid_loss"] for h in outcome.history if "valid_loss" in h]
    return {
        "recipe": recipe.model_dump(mode="json"),
        "data": data.files,
        "train": data.train.account.model_dump(mode="json"),
        "valid": data.valid.account.model_dump(mode="json"),
        "learnt": data.learnt,
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

    def validating(self, done: int, rows: int) -> None:
        if self.accelerator.is_main_process:
            self.reporter.validating(done, rows)

    def evaluated(self, record: EvalRecord) -> None:
        if self.recipe.training.trackers:
            values = {"valid_loss": record.loss, **_named("valid_loss", record.by_part)}
            self.accelerator.log(values, step=record.step)
        if self.accelerator.is_main_process:
            self.reporter.evaluated(record)

    def saved(self, step: int) -> None:
        if self.accelerator.is_main_process:
            self.reporter.saved(step)
