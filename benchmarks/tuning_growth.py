"""How the cost of tuning grows: with the rows of the data, with their length, with the vocabulary.

    python benchmarks/tuning_growth.py

A random model of LLaMA's architecture (8 layers, hidden 384), LoRA on all linear layers, random rows of which half is
learnt. CPU seconds of one thread for an epoch, medians over rounds in turn; as many tokens in every case but where the
rows grow. Rows of more than one length would hide what length costs: here all are of one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from accelerate import Accelerator
from transformers import LlamaConfig, LlamaForCausalLM

from bentsao.core.rendering import IGNORE, Row
from bentsao.tuning.job import Job
from bentsao.tuning.loop import train
from bentsao.tuning.lora import add_lora
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.recipe import LoraPart, TrainingPart


@dataclass(frozen=True)
class Case:
    """So many rows of so many tokens, over a vocabulary of so many words, by a way of the head."""

    rows: int = 64
    length: int = 128
    vocabulary: int = 32_000
    head: str = "full"


CASES = {
    "rows": [Case(rows=rows) for rows in (32, 64, 128, 256)],
    "length": [Case(rows=8192 // length, length=length) for length in (32, 64, 128, 256, 512, 1024)],
    "vocabulary": [Case(vocabulary=words) for words in (8_000, 32_000, 64_000, 128_000, 256_000)],
    "vocabulary, trimmed": [Case(vocabulary=words, head="trimmed") for words in (32_000, 256_000)],
}


class Quiet:
    """A reporter that keeps nothing."""

    def step(self, record: Any) -> None:
        """Nothing."""

    def validating(self, done: int, rows: int) -> None:
        """Nothing."""

    def evaluated(self, record: Any) -> None:
        """Nothing."""

    def saved(self, step: int) -> None:
        """Nothing."""


def random_rows(case: Case) -> Iterator[Row]:
    """Of the first 8,000 words, so that a trimmed vocabulary is one."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(case.rows):
        ids = torch.randint(5, 8000, (case.length,), generator=generator).tolist()
        half = case.length // 2
        yield Row(ids=tuple(ids), targets=(*[IGNORE] * half, *ids[half + 1 :], 2))


def seconds(case: Case, folder: Path) -> float:
    """CPU seconds of an epoch."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=case.vocabulary,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=6,
        tie_word_embeddings=True,
    )
    model = add_lora(LlamaForCausalLM(config), LoraPart(), quantised=False, checkpointing=False)
    rows = list(random_rows(case))
    training = TrainingPart.model_validate({"epochs": 1, "batch_rows": case.rows, "save_every": 10**9})
    job = Job(rows, [str(n) for n in range(len(rows))], [], training, 0, 1024, folder / "run")
    objective = LabelledLoss(model)
    if case.head == "trimmed":
        objective.trim(torch.arange(8000))
    started = time.process_time()
    train(model, objective, job, Accelerator(cpu=True), Quiet())
    return time.process_time() - started


def main() -> None:
    """A table for each thing that grows: seconds, and seconds for each of the first case's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[Case, list[float]] = {case: [] for cases in CASES.values() for case in cases}
    for _ in range(args.rounds):
        for case, times in found.items():
            with tempfile.TemporaryDirectory() as folder:
                times.append(seconds(case, Path(folder)))
    for name, cases in CASES.items():
        first = median(found[cases[0]])
        print(name)
        for case in cases:
            took = median(found[case])
            print(
                f"  {case.rows:4} rows × {case.length:4} tokens, {case.vocabulary:7,} words: "
                f"{took:6.2f} s, {took / first:5.2f} times the first"
            )


if __name__ == "__main__":
    main()
