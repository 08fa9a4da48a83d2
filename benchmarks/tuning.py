"""Tuning speed: the original's recipe on today's Trainer and PEFT against BenTsao's loop, in turn on one machine.

    python benchmarks/tuning.py --data llama_data.json --pairs 3

Both tune the embedded base (or --base) on the same rows with the same LoRA (q_proj and v_proj, rank 8, alpha 16,
dropout 0.05), cut-off, batch, learning rate and precision (float32 on a CPU), each in a process of its own, by turns.
Counted are the tokens of the rows, padding left out, so that faster means sooner done. Loading, tokenising and
validating are not timed; memory is the peak of the whole process, loading included. The validation loss after the last
step is computed by one and the same plain code in both. Ratios are medians over the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

LORA = {"rank": 8, "alpha": 16, "dropout": 0.05}
VALID = 64
SEED = 42
RATE = 3e-4


def rows_of(path: Path, count: int) -> list[dict[str, str]]:
    """The first rows of the original's file, alpaca form, as JSON lines."""
    lines = path.read_text(encoding="utf-8").splitlines()[:count]
    return [json.loads(line) for line in lines]


def original(args: argparse.Namespace, base: str) -> dict[str, Any]:
    """The original's recipe: Trainer, truncation at the cut-off, left padding to the longest of a random batch.

    Written after SCIR-HI/Huatuo-Llama-Med-Chinese's finetune.py for today's transformers and PEFT: same settings, no
    8-bit weights (they need CUDA), float32 instead of fp16 on a CPU.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from bentsao.core.formats import FORMATS
    from bentsao.core.records import Message

    set_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.padding_side = "left"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)

    def encode(row: dict[str, str]) -> dict[str, list[int]]:
        message = Message(role="user", content=row["instruction"], input=row["input"])
        prompt = "".join(FORMATS["med_template"].question(message, first=True))
        ids = tokenizer(prompt + row["output"], truncation=True, max_length=args.cutoff)["input_ids"]
        if ids[-1] != tokenizer.eos_token_id and len(ids) < args.cutoff:
            ids.append(tokenizer.eos_token_id)
        known = len(tokenizer(prompt, truncation=True, max_length=args.cutoff)["input_ids"])
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * known + ids[known:]}

    rows = [encode(row) for row in rows_of(args.data, args.rows + VALID)]
    train, valid = rows[VALID:], rows[:VALID]
    config = LoraConfig(
        r=LORA["rank"],  # pyright: ignore[reportArgumentType]
        lora_alpha=LORA["alpha"],  # pyright: ignore[reportArgumentType]
        lora_dropout=LORA["dropout"],
        target_modules=["q_proj", "v_proj"],
        bias="none",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, config)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            train_dataset=train,  # pyright: ignore[reportArgumentType]
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=args.micro,
                gradient_accumulation_steps=args.batch // args.micro,
                num_train_epochs=1,
                warmup_steps=0,
                learning_rate=RATE,
                optim="adamw_torch",
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                use_cpu=not torch.cuda.is_available(),
                disable_tqdm=True,
                seed=SEED,
            ),
            data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8, return_tensors="pt", padding=True),
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    memory = peak()
    return {
        "seconds": seconds,
        "tokens": sum(len(row["input_ids"]) for row in train),
        "memory": memory,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "valid": plain_loss(model, [(row["input_ids"], row["labels"]) for row in valid]),
    }


def bentsao(args: argparse.Namespace, base: str) -> dict[str, Any]:
    """Our loop with the same settings."""
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    from bentsao.core.formats import FORMATS
    from bentsao.core.records import Conversation, Message
    from bentsao.models.loading import load_base
    from bentsao.tuning.job import Job
    from bentsao.tuning.loop import train
    from bentsao.tuning.lora import add_lora
    from bentsao.tuning.objective import LabelledLoss
    from bentsao.tuning.recipe import LoraPart, TrainingPart
    from bentsao.tuning.rows import make_rows
    from bentsao.tuning.run import MICRO_TOKENS

    set_seed(SEED)
    accelerator = Accelerator()
    loaded = load_base(base, report=lambda _: None)
    conversations = [
        Conversation(
            id=str(number),
            group=str(number),
            messages=(
                Message(role="user", content=row["instruction"], input=row["input"]),
                Message(role="assistant", content=row["output"]),
            ),
        )
        for number, row in enumerate(rows_of(args.data, args.rows + VALID))
    ]
    rows = make_rows(conversations, FORMATS["med_template"], loaded.tokens, cutoff=args.cutoff, cut_answers=True).rows
    model = add_lora(
        loaded.model,
        LoraPart.model_validate({**LORA, "targets": args.targets}),
        quantised=False,
        checkpointing=False,
    )
    steps: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            train=rows[VALID:],
            train_ids=[str(n) for n in range(len(rows) - VALID)],
            valid=[],
            training=TrainingPart(
                epochs=1, batch_rows=args.batch, learning_rate=RATE, warmup=0, save_every=10**9, seed=SEED
            ),
            pad_id=loaded.tokens.pad_id,
            micro_tokens=args.micro_tokens or MICRO_TOKENS.get(loaded.device.type, MICRO_TOKENS["cuda"]),
            folder=Path(folder) / "run",
        )
        started = time.perf_counter()
        train(model, LabelledLoss(model), job, accelerator, Collect(steps))
        seconds = time.perf_counter() - started
    memory = peak()
    # The end token is a target of ours that is not in the ids; it stands in the original's labels.
    valid = [([*row.ids, loaded.tokens.end_id], [-100, *row.targets]) for row in rows[:VALID]]
    return {
        "seconds": seconds,
        "tokens": sum(record.tokens for record in steps) + len(rows) - VALID,
        "memory": memory,
        "losses": [record.loss for record in steps],
        "valid": plain_loss(model, valid),
    }


class Collect:
    """A reporter that keeps the steps."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps

    def step(self, record: Any) -> None:
        """Keeps it."""
        self.steps.append(record)

    def evaluated(self, record: Any) -> None:
        """There is no validation in the timed part."""

    def saved(self, step: int) -> None:
        """One checkpoint is written at the end; the original's run saves none."""


def plain_loss(model: Any, rows: list[tuple[list[int], list[int]]]) -> float:
    """Mean loss per label by the model's own forward, a row at a time; targets at their own places, not shifted."""
    import torch

    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for ids, labels in rows:
            logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, :-1].float().cpu()
            wanted = torch.tensor(labels[1:])
            total += torch.nn.functional.cross_entropy(logits, wanted, ignore_index=-100, reduction="sum").item()
            count += int((wanted != -100).sum())
    return total / count


def peak() -> int:
    """Peak resident memory of this process, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


WORKERS = {"original": original, "bentsao": bentsao}


def run_worker(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """One measured run in a process of its own."""
    command = [sys.executable, __file__, "--worker", name]
    for key in ("data", "rows", "batch", "micro", "cutoff", "targets", "base", "micro_tokens"):
        command += [f"--{key.replace('_', '-')}", str(getattr(args, key))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return json.loads(done.stdout.decode().strip().splitlines()[-1])


def main() -> None:
    """Run the pairs and print a table and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("BENTSAO_SHARED_DATA", "../shared/data")) / "llama_data.json"
    )
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--rows", type=int, default=96, help="rows tuned on")
    parser.add_argument("--batch", type=int, default=32, help="rows an optimizer step")
    parser.add_argument("--micro", type=int, default=8, help="the original's rows a forward (its default)")
    parser.add_argument("--micro-tokens", type=int, default=0, help="our tokens a forward; 0: the default")
    parser.add_argument("--cutoff", type=int, default=256)
    parser.add_argument("--targets", default="attention", help="ours only, to see what all-linear costs")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--worker", choices=sorted(WORKERS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.data.is_file():
        sys.exit(f"{args.data} is not there; give --data FILE (the original's llama_data.json)")
    from bentsao.models.embedded import embedded_base

    if args.worker:
        folder = str(embedded_base(lambda _: None)) if args.base == "embedded" else args.base
        print(json.dumps(WORKERS[args.worker](args, folder)))
        return
    if args.base == "embedded":
        embedded_base(lambda line: print(line, file=sys.stderr))
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in WORKERS}
    for pair in range(args.pairs):
        for name in sorted(WORKERS, reverse=pair % 2 == 0):
            result = run_worker(name, args)
            results[name].append(result)
            speed = result["tokens"] / result["seconds"]
            print(
                f"{pair + 1}. {name:9} {speed:7.1f} tokens/s  {args.rows / result['seconds']:5.2f} rows/s  "
                f"{result['memory'] / 2**30:5.2f} GiB  loss {result['losses'][0]:.3f} → {result['losses'][-1]:.3f}  "
                f"valid {result['valid']:.4f}",
                flush=True,
            )
    pairs = list(zip(results["original"], results["bentsao"], strict=True))
    print(f"speed, ours / the original's: {median(o['seconds'] / b['seconds'] for o, b in pairs):.2f}")
    print(f"memory, ours / the original's: {median(b['memory'] / o['memory'] for o, b in pairs):.2f}")
    print(f"validation loss, ours − the original's: {median(b['valid'] - o['valid'] for o, b in pairs):+.4f}")


if __name__ == "__main__":
    main()
