"""What benchmarks/tuning.py sets side by side: each system tunes the same rows with the same LoRA, in its own way.

A system is a function of the settings, the base's folder, and the folder to write the adapter to. It returns how long
tuning took (loading, tokenising, our looking for shortcuts before the first step, and validating left out), the tokens
of the rows (padding left out), and the losses it told with the rows seen by then.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

LORA = {"rank": 8, "alpha": 16, "dropout": 0.05}
SEED = 42
RATE = 3e-4


def conversations_of(args: argparse.Namespace) -> list[Any]:
    """The first rows of the original's files, of dialogues the last turn: `valid` for validation, then `rows`."""
    from bentsao.core.conversations import read_conversations

    wanted = args.valid + args.rows
    found = [
        conversation.model_copy(update={"messages": conversation.messages[-2:]})
        for conversation in read_conversations(args.data).conversations[:wanted]
    ]
    if len(found) < wanted:
        sys.exit(f"{args.data} has {len(found)} rows, {wanted} are wanted")
    return found


def rows_of(args: argparse.Namespace) -> list[dict[str, str]]:
    """The same as text. prompt: in the original's format. completion: the answer, without an end token."""
    from bentsao.core.formats import FORMATS

    chat_format = FORMATS["med_template"]
    return [
        {"prompt": "".join(chat_format.question(question, first=True)), "completion": answer.content}
        for question, answer in (conversation.messages for conversation in conversations_of(args))
    ]


def encoded(tokenizer: Any, row: dict[str, str], cutoff: int) -> dict[str, list[int]]:
    """As the original encodes: cut at the cut-off, an end token where it fits, no labels on the prompt."""
    ids = tokenizer(row["prompt"] + row["completion"], truncation=True, max_length=cutoff)["input_ids"]
    if ids[-1] != tokenizer.eos_token_id and len(ids) < cutoff:
        ids.append(tokenizer.eos_token_id)
    known = len(tokenizer(row["prompt"], truncation=True, max_length=cutoff)["input_ids"])
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * known + ids[known:]}


def lora_config() -> Any:
    """PEFT's settings, the original's."""
    from peft import LoraConfig

    return LoraConfig(
        r=LORA["rank"],  # pyright: ignore[reportArgumentType]
        lora_alpha=LORA["alpha"],  # pyright: ignore[reportArgumentType]
        lora_dropout=LORA["dropout"],
        target_modules=["q_proj", "v_proj"],
        bias="none",
        task_type="CAUSAL_LM",
    )


def trainer_settings(args: argparse.Namespace, folder: str) -> dict[str, Any]:
    """What transformers' and TRL's trainers are told alike."""
    import torch

    return {
        "output_dir": folder,
        "per_device_train_batch_size": args.micro,
        "gradient_accumulation_steps": args.batch // args.micro,
        "num_train_epochs": 1,
        "warmup_steps": 0,
        "learning_rate": RATE,
        "optim": "adamw_torch",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "bf16": args.precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
        "seed": SEED,
    }


def curve(log: list[dict[str, Any]], batch: int) -> list[tuple[int, float]]:
    """(rows seen, loss) from a trainer's log."""
    return [(entry["step"] * batch, float(entry["loss"])) for entry in log if "loss" in entry]


def original(args: argparse.Namespace, base: str, out: Path) -> dict[str, Any]:
    """The original's recipe: Trainer, truncation at the cut-off, left padding to the longest of a random batch.

    Written after SCIR-HI/Huatuo-Llama-Med-Chinese's finetune.py for today's transformers and PEFT: same settings, no
    8-bit weights (they need CUDA); its fp16 is bfloat16 here, or float32.
    """
    import torch
    from peft import get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.padding_side = "left"
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), lora_config())
    train = [encoded(tokenizer, row, args.cutoff) for row in rows_of(args)[args.valid :]]
    trainer = Trainer(
        model=model,
        train_dataset=train,  # pyright: ignore[reportArgumentType]
        args=TrainingArguments(**trainer_settings(args, str(out))),
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8, return_tensors="pt", padding=True),
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    model.save_pretrained(str(out))
    tokens = sum(len(row["input_ids"]) for row in train)
    return {"seconds": seconds, "tokens": tokens, "curve": curve(trainer.state.log_history, args.batch)}


def trl(args: argparse.Namespace, base: str, out: Path, *, packing: bool = False) -> dict[str, Any]:
    """TRL's SFTTrainer: loss on answers only, its chunked loss, rows of like length together; or packed rows.

    Packed rows see each other here: TRL keeps them apart only with FlashAttention, which no CPU has.
    """
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig, SFTTrainer

    set_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = rows_of(args)[args.valid :]
    more: dict[str, Any] = {"packing": True, "padding_free": False} if packing else {}
    if not packing:
        more["train_sampling_strategy"] = "group_by_length"
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        peft_config=lora_config(),
        args=SFTConfig(
            **trainer_settings(args, str(out)),
            max_length=args.cutoff,
            completion_only_loss=True,
            gradient_checkpointing=False,
            **more,
        ),
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    trainer.model.save_pretrained(str(out))  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
    tokens = sum(len(encoded(tokenizer, row, args.cutoff)["input_ids"]) for row in rows)
    seen = args.batch * args.rows / len(trainer.train_dataset)  # pyright: ignore[reportArgumentType]
    return {"seconds": seconds, "tokens": tokens, "curve": curve(trainer.state.log_history, seen)}  # pyright: ignore[reportArgumentType]


def trl_packed(args: argparse.Namespace, base: str, out: Path) -> dict[str, Any]:
    """TRL's SFTTrainer with packing."""
    return trl(args, base, out, packing=True)


def llamafactory(args: argparse.Namespace, base: str, out: Path) -> dict[str, Any]:
    """LLaMA-Factory's own command line, in the environment of `--llamafactory PYTHON`; its time is its own report's."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = rows_of(args)[args.valid :]
    out.mkdir(parents=True, exist_ok=True)
    start = tokenizer.decode(tokenizer("")["input_ids"])  # its empty template puts no start token
    data = [{"instruction": start + row["prompt"], "input": "", "output": row["completion"]} for row in rows]
    (out / "rows.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    (out / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}), encoding="utf-8")
    settings = trainer_settings(args, str(out / "run")) | {
        "model_name_or_path": base,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": LORA["rank"],
        "lora_alpha": LORA["alpha"],
        "lora_dropout": LORA["dropout"],
        "lora_target": "q_proj,v_proj",
        "template": "empty",
        "dataset": "rows",
        "dataset_dir": str(out),
        "cutoff_len": args.cutoff,
        "lr_scheduler_type": "linear",
        "disable_gradient_checkpointing": True,
        "train_sampling_strategy": "group_by_length",
        "overwrite_cache": True,
        "plot_loss": False,
    }
    settings.pop("save_strategy")
    (out / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1"}
    command = [args.llamafactory, "-m", "llamafactory.cli", "train", str(out / "settings.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"LLaMA-Factory ended with {done.returncode}:\n{done.stderr[-3000:]}")
    told = json.loads((out / "run" / "train_results.json").read_text(encoding="utf-8"))
    log = [json.loads(line) for line in (out / "run" / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()]
    seen = [{"step": entry["current_steps"], **entry} for entry in log]
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (out / "run" / name).rename(out / name)
    tokens = sum(len(encoded(tokenizer, row, args.cutoff)["input_ids"]) for row in rows)
    return {"seconds": told["train_runtime"], "tokens": tokens, "curve": curve(seen, args.batch)}


def bentsao(args: argparse.Namespace, base: str, out: Path, **training: Any) -> dict[str, Any]:
    """Our loop with the same settings, and those of `training` besides. With several epochs, the time of a mean one."""
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    from bentsao.core.formats import FORMATS
    from bentsao.models.loading import load_base
    from bentsao.tuning.frozen import keep
    from bentsao.tuning.job import Job
    from bentsao.tuning.loop import train
    from bentsao.tuning.lora import add_lora
    from bentsao.tuning.objective import LabelledLoss
    from bentsao.tuning.recipe import LoraPart, TrainingPart
    from bentsao.tuning.rows import make_rows
    from bentsao.tuning.run import MICRO_TOKENS
    from bentsao.tuning.shortcuts import take_shortcuts

    set_seed(SEED)
    accelerator = Accelerator()
    loaded = load_base(base, dtype=args.precision, report=lambda _: None)
    learnt = conversations_of(args)[args.valid :]
    rows = make_rows(learnt, FORMATS["med_template"], loaded.tokens, cutoff=args.cutoff, cut_answers=True).rows
    part = LoraPart.model_validate({**LORA, "targets": args.targets})
    settings = TrainingPart.model_validate(
        {"epochs": 1, "batch_rows": args.batch, "learning_rate": RATE, "warmup": 0, "save_every": 10**9, "seed": SEED}
        | training
    )
    model = add_lora(loaded.model, part, quantised=False, checkpointing=False, lowest=settings.lowest_layer)
    steps: list[Any] = []
    objective = LabelledLoss(model)
    job = Job(
        train=rows,
        train_ids=[str(n) for n in range(len(rows))],
        valid=[],
        training=settings,
        pad_id=loaded.tokens.pad_id,
        micro_tokens=args.micro_tokens or MICRO_TOKENS.get(loaded.device.type, MICRO_TOKENS["cuda"]),
        folder=out / "run",
    )
    started = time.perf_counter()
    if settings.keep_activations:
        job = replace(job, kept=keep(objective, job, accelerator, note))
    seconds = time.perf_counter() - started
    take_shortcuts(objective, job, accelerator, note)
    started = time.perf_counter()
    train(model, objective, job, accelerator, Collect(steps))
    seconds += time.perf_counter() - started
    model.save_pretrained(str(out))
    return {
        "seconds": seconds / settings.epochs,
        # An end token is a target, not in the ids.
        "tokens": sum(record.tokens for record in steps) / settings.epochs + len(rows),
        "curve": [(record.step * args.batch, record.loss) for record in steps],
    }


def screened(args: argparse.Namespace, base: str, out: Path) -> dict[str, Any]:
    """Ours, with `training.head = "screened"`."""
    return bentsao(args, base, out, head="screened")


def trimmed(args: argparse.Namespace, base: str, out: Path) -> dict[str, Any]:
    """Ours, with `training.head = "trimmed"`."""
    return bentsao(args, base, out, head="trimmed")


def upper(args: argparse.Namespace, base: str, out: Path) -> dict[str, Any]:
    """Ours over ten epochs, trimmed, tuning the upper third of the layers from what the others made, kept on disk."""
    return bentsao(args, base, out, head="trimmed", epochs=10, lowest_layer=12, keep_activations=True)


def note(line: str) -> None:
    """What our tuning tells, beside the figures."""
    print(line, file=sys.stderr)


class Collect:
    """A reporter that keeps the steps."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps

    def step(self, record: Any) -> None:
        """Keeps it."""
        self.steps.append(record)

    def validating(self, done: int, rows: int) -> None:
        """Nothing."""

    def evaluated(self, record: Any) -> None:
        """There is no validation in the timed part."""

    def saved(self, step: int) -> None:
        """One checkpoint is written at the end; the others save none."""


SYSTEMS = {
    "original": original,
    "trl": trl,
    "trl_packed": trl_packed,
    "llamafactory": llamafactory,
    "bentsao": bentsao,
    "screened": screened,
    "trimmed": trimmed,
    "upper": upper,
}
