"""Where a tuning step's time goes: layers forward, head with its loss, layers backward; and how near the peak that is.

    python benchmarks/tuning_profile.py --data llama_data.json
    python benchmarks/tuning_profile.py --data llama_data.json --precision bfloat16

One micro-batch of 16 rows on the embedded base, LoRA on q_proj and v_proj; every way is timed by turns, medians. The
peak is what a square matrix product reaches here in the same precision; the share of it counts the products that the
full way needs (2 operations a weight and token forward, 2 backward, the same for the head at every label), done or
saved.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bentsao.core.formats import FORMATS
from bentsao.core.rendering import IGNORE
from bentsao.models.loading import load_base
from bentsao.tuning.batches import MicroBatch, stack
from bentsao.tuning.lora import add_lora
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.recipe import LoraPart
from bentsao.tuning.rows import make_rows
from tuning_systems import LORA, conversations_of

PHASES = ("layers forward", "head and loss", "layers backward")


def phases(objective: LabelledLoss, batch: MicroBatch) -> list[float]:
    """Seconds of each phase."""
    times = [time.perf_counter()]
    hidden = objective.hidden(batch.ids, batch.mask)
    times.append(time.perf_counter())
    cut = hidden.detach().requires_grad_()
    objective.loss(cut, batch.targets, batch.parts).total.backward()
    times.append(time.perf_counter())
    hidden.backward(cut.grad)
    times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


def peak(precision: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    a, b = torch.randn(1024, 2048).to(precision), torch.randn(2048, 2048).to(precision)
    seconds: list[float] = []
    for _ in range(10):
        started = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - started)
    return 2 * 1024 * 2048 * 2048 / min(seconds)


def main() -> None:
    """A table: the seconds of each phase by way of the head, and the share of the peak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("BENTSAO_SHARED_DATA", "../shared/data")) / "llama_data.json"
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.valid = 0
    base = load_base("embedded", dtype=args.precision, report=lambda _: None)
    rows = make_rows(conversations_of(args), FORMATS["med_template"], base.tokens, cutoff=1024).rows
    batch = stack(range(args.rows), rows, base.tokens.pad_id, base.device)
    model = add_lora(base.model, LoraPart(**LORA, targets="attention"), quantised=False, checkpointing=False)  # pyright: ignore[reportArgumentType]
    objectives: dict[str, LabelledLoss] = {}
    with torch.no_grad():
        plain = LabelledLoss(model)
        learnt = batch.targets != IGNORE
        words = plain.likely_words(plain.hidden(batch.ids, batch.mask)[learnt], batch.targets[learnt])
    for way in ("full", "full, prefix shared", "screened", "trimmed"):
        objectives[way] = LabelledLoss(model).train()
        objectives[way].shares_prefix = way != "full"
    objectives["screened"].screen()
    objectives["trimmed"].trim(words)
    found: dict[str, list[list[float]]] = {way: [] for way in objectives}
    phases(plain, batch)
    for _ in range(args.rounds):
        for way, objective in objectives.items():
            found[way].append(phases(objective, batch))
    tokens, labels = int(batch.mask.sum()), int(learnt.sum())
    head: Any = plain.head_module.weight
    inner = sum(p.numel() for p in base.model.parameters()) - head.numel()
    needed = 4 * inner * tokens + 4 * head.numel() * labels
    most = peak(head.dtype)
    print(f"{tokens} tokens, {labels} labels, {len(words)} words kept when trimmed; peak {most / 1e9:.0f} GFLOP/s")
    for way, runs in found.items():
        parts = [median(run[phase] for run in runs) for phase in range(len(PHASES))]
        whole = sum(parts)
        told = (f"{name} {part:.2f} s ({part / whole:.0%})" for name, part in zip(PHASES, parts, strict=True))
        speed = f"{tokens / whole:6.1f} tokens/s, {needed / whole / most:4.0%} of the peak"
        print(f"{way:20} {whole:6.2f} s, {speed}: {', '.join(told)}")


if __name__ == "__main__":
    main()
