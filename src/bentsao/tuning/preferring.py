"""Preference tuning (DPO, arXiv 2305.18290): an adapter learns to find the right answer likelier than the wrong one.

`trl`'s DPOTrainer does the work; this module gives it our token ids and takes the adapter from it. The reference is
the adapter that is begun from (`lora.init`), or the base where there is none. Needs the extra `prefer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from accelerate import Accelerator
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file

from bentsao.core.errors import ConfigError, MissingError
from bentsao.tuning.job import StepRecord, run_steps
from bentsao.tuning.pairs import PairRow
from bentsao.tuning.recipe import Recipe

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl.trainer.dpo_trainer import DPOTrainer

LOGGED = ("rewards/margins", "rewards/accuracies", "rewards/chosen", "rewards/rejected")
"""Of trl's figures: rewards are β · (log p − log p of the reference), accuracies how often the right is higher."""


@dataclass(frozen=True)
class Preferred:
    """How a run ended. history: a record a step and validation, with `LOGGED` by their last words."""

    finished: bool
    steps: int
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class PairJob:
    """What a run needs besides the model. pad_id: any id; micro_tokens: of one forward; folder: for checkpoints;
    resume: the one to go on from, None to begin.
    """

    train: Sequence[PairRow]
    valid: Sequence[PairRow]
    pad_id: int
    micro_tokens: int
    folder: Path
    resume: Path | None = None
    stop: Callable[[], bool] = lambda: False


@dataclass
class _Told:
    """What trl logs, as records."""

    on_step: Callable[[StepRecord], None]
    note: Callable[[str], None]
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    started: float = field(default_factory=time.perf_counter)
    tokens: float = 0


def check_installed() -> None:
    """Raises MissingError where trl is not there."""
    if find_spec("trl") is None:
        raise MissingError("偏好训练需要 trl。请运行：pip install 'bentsao[prefer]'")


def prefer(
    model: PeftModel,
    tokenizer: Any,
    job: PairJob,
    recipe: Recipe,
    accelerator: Accelerator,
    *,
    on_step: Callable[[StepRecord], None],
    note: Callable[[str], None],
) -> Preferred:
    """Tune the model's adapter on the pairs.

    Raises ConfigError where the rows of a step cannot be dealt out evenly.
    """
    from transformers.trainer_callback import PrinterCallback

    told = _Told(on_step, note)
    trainer = _trainer(model, tokenizer, job, recipe, accelerator)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_callback(told, job.stop))
    resume = job.resume
    if resume is not None:
        told.history = [_record(entry) for entry in _logged(resume)]
        note(f"从检查点 {resume.name} 接着训练")
        # transformers 5.20 reads the reference from a checkpoint that has one, and not the adapter beside it.
        set_peft_model_state_dict(model, load_file(resume / "adapter_model.safetensors"))
    elif job.valid:
        trainer.evaluate()
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    finished = trainer.state.global_step >= trainer.state.max_steps
    model.set_adapter("default")
    return Preferred(finished, trainer.state.global_step, told.history)


def trainer_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints, oldest first: the state is what a trainer writes last."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _trainer(model: PeftModel, tokenizer: Any, job: PairJob, recipe: Recipe, accelerator: Accelerator) -> DPOTrainer:
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

    class Rendered(DPOTrainer):
        """Takes rows that are rendered already."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    training = recipe.training
    whole = run_steps(len(job.train), training)
    every = training.evaluate_every or max(1, round(whole / 10))
    rows = _rows_at_once(job, training.batch_rows, accelerator.num_processes)
    config = DPOConfig(
        output_dir=str(job.folder),
        beta=recipe.preference.beta,
        max_steps=whole,
        per_device_train_batch_size=rows,
        per_device_eval_batch_size=rows,
        gradient_accumulation_steps=training.batch_rows // (rows * accelerator.num_processes),
        gradient_checkpointing=training.gradient_checkpointing,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=round(training.warmup * whole),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        seed=training.seed,
        logging_steps=1,
        eval_strategy="steps" if job.valid else "no",
        eval_steps=every,
        save_steps=training.save_every,
        save_total_limit=2,
        report_to=list(training.trackers) or "none",
        run_name=training.run_name or None,
        max_length=None,
        bf16=False,
        use_cpu=accelerator.device.type == "cpu",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    return Rendered(
        model=cast(Any, model),
        args=config,
        train_dataset=Dataset.from_list([_columns(row) for row in job.train]),
        eval_dataset=Dataset.from_list([_columns(row) for row in job.valid]) if job.valid else None,
        processing_class=tokenizer,
        data_collator=DataCollatorForPreference(pad_token_id=job.pad_id),
    )


def _columns(row: PairRow) -> dict[str, list[int]]:
    return {f"{name}_ids": list(ids) for name, ids in asdict(row).items()}


def _rows_at_once(job: PairJob, batch_rows: int, processes: int) -> int:
    """Pairs of one forward (each is two sequences): the most that fit and divide the step evenly."""
    if batch_rows % processes:
        raise ConfigError(f"training.batch_rows={batch_rows} 分不匀给 {processes} 个进程。请改成它的倍数。")
    each = batch_rows // processes
    longest = max(len(row.prompt) + max(len(row.chosen), len(row.rejected)) for row in (*job.train, *job.valid))
    fitting = max(1, job.micro_tokens // (2 * longest))
    return max(rows for rows in range(1, each + 1) if each % rows == 0 and rows <= fitting)


def _logged(checkpoint: Path) -> list[dict[str, Any]]:
    from bentsao.core.files import read_json

    return read_json(checkpoint / "trainer_state.json")["log_history"]


def _record(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A record of `losses.json` from what trl logs."""
    valid = "eval_loss" in entry
    figures = {"valid_loss": entry["eval_loss"]} if valid else {"loss": entry["loss"]} if "loss" in entry else {}
    prefix = "eval_" if valid else ""
    figures |= {name.partition("/")[2]: entry[prefix + name] for name in LOGGED if prefix + name in entry}
    return {"step": entry.get("step", 0), **{name: float(value) for name, value in figures.items()}}


def _callback(told: _Told, stop: Callable[[], bool]) -> TrainerCallback:
    from transformers import TrainerCallback

    class Telling(TrainerCallback):
        """Passes on what is logged, and stops after a step where asked to."""

        def on_log(self, *given: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            state = given[1]
            if not logs or not ("loss" in logs or "eval_loss" in logs):
                return
            record = _record({**logs, "step": state.global_step})
            told.history.append(record)
            figures = f"奖励差 {record.get('margins', 0):.4f}，选对 {record.get('accuracies', 0):.1%}"
            if "valid_loss" in record:
                told.note(f"第 {state.global_step} 步  验证损失 {record['valid_loss']:.4f}，{figures}")
                return
            now, tokens = time.perf_counter(), float(logs.get("num_tokens", 0))
            told.on_step(
                StepRecord(
                    step=state.global_step,
                    steps=state.max_steps,
                    epoch=float(logs.get("epoch", 0)),
                    loss=record["loss"],
                    learning_rate=float(logs.get("learning_rate", 0)),
                    grad_norm=float(logs.get("grad_norm", 0)),
                    tokens=max(0, int(tokens - told.tokens)),
                    learnt=0,
                    seconds=now - told.started,
                    by_part={},
                )
            )
            told.started, told.tokens = now, tokens

        def on_step_end(self, *given: Any, **_: Any) -> None:
            if stop():
                control = given[2]
                control.should_save = control.should_training_stop = True

    return Telling()
