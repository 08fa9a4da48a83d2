"""Tuning speed side by side: the original's recipe, TRL, LLaMA-Factory and BenTsao, by turns on one machine.

    python benchmarks/tuning.py --data llama_data.json --systems original bentsao --rounds 3
    python benchmarks/tuning.py --data llama_data.json --systems original trl trl_packed bentsao screened trimmed
    python benchmarks/tuning.py --data liver_cancer.json --base random --precision bfloat16 --curves curves.svg

All tune the same base on the same rows with the same LoRA (q_proj and v_proj, rank 8, alpha 16, dropout 0.05), cut-off,
rows a step, learning rate and precision, each in a process of its own (see tuning_systems.py). Faster means sooner done
with the same rows. Loading, tokenising, looking for shortcuts before the first step (`trimmed` reads 32 rows for it)
and validating are not timed; memory is the peak of the whole process, loading included. The validation loss after the
last step is computed by one and the same plain code in float32 for all. `--base random` is a random model of Qwen3's
architecture and about the embedded base's size. Ratios are medians over the rounds, each to the first system of its
round. LLaMA-Factory wants other versions of its libraries than ours: give the Python of an environment that has it with
--llamafactory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tuning_systems import SYSTEMS, conversations_of

DATA = Path(os.environ.get("BENTSAO_SHARED_DATA", "../shared/data")) / "llama_data.json"


def random_base(folder: Path, embedded: str) -> Path:
    """A random model of Qwen3's architecture with the embedded base's tokenizer, about as large as it."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(embedded)
    config = Qwen3Config(
        vocab_size=262144,
        hidden_size=640,
        intermediate_size=2048,
        num_hidden_layers=18,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=128,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def validation_loss(args: argparse.Namespace, base: str, adapter: Path) -> float:
    """Mean loss per label of the held-out rows under the base with the adapter, a row at a time, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tuning_systems import encoded, rows_of

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter))
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows_of(args)[: args.valid]:
            one = encoded(tokenizer, row, args.cutoff)
            logits = model(input_ids=torch.tensor([one["input_ids"]])).logits[0, :-1].float()
            wanted = torch.tensor(one["labels"][1:])
            total += torch.nn.functional.cross_entropy(logits, wanted, ignore_index=-100, reduction="sum").item()
            count += int((wanted != -100).sum())
    return total / count


def worker(args: argparse.Namespace, base: str, out: Path) -> None:
    """One measured run in this process; the last line says what came out."""
    result = SYSTEMS[args.worker](args, base, out)
    who = resource.RUSAGE_CHILDREN if args.worker == "llamafactory" else resource.RUSAGE_SELF
    print(json.dumps({**result, "memory": resource.getrusage(who).ru_maxrss * 1024}))


def measured(name: str, args: argparse.Namespace, base: str, out: Path) -> dict[str, Any]:
    """One measured run in a process of its own, and the loss of what it made."""
    command = [sys.executable, __file__, "--worker", name, "--folder", str(out), "--base", base]
    for key in ("data", "rows", "valid", "batch", "micro", "cutoff", "targets", "micro_tokens", "precision"):
        command += [f"--{key.replace('_', '-')}", str(getattr(args, key))]
    command += ["--llamafactory", args.llamafactory] if args.llamafactory else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    result = json.loads(done.stdout.decode().strip().splitlines()[-1])
    return {**result, "valid": validation_loss(args, base, out)}


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the original's llama_data.json or liver_cancer.json")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["original", "bentsao"])
    parser.add_argument("--base", default="embedded", help="embedded, random, or a folder")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rows", type=int, default=64, help="rows tuned on")
    parser.add_argument("--valid", type=int, default=32, help="rows validated on")
    parser.add_argument("--batch", type=int, default=16, help="rows an optimizer step")
    parser.add_argument("--micro", type=int, default=8, help="the others' rows a forward (the original's default)")
    parser.add_argument("--micro-tokens", type=int, default=0, help="our tokens a forward; 0: the default")
    parser.add_argument("--cutoff", type=int, default=256)
    parser.add_argument("--targets", default="attention", help="ours only, to see what all-linear costs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--llamafactory", help="the Python of an environment with LLaMA-Factory")
    parser.add_argument("--curves", type=Path, help="a picture of the losses of the first round")
    parser.add_argument("--worker", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.data.is_file():
        sys.exit(f"{args.data} is not there; give --data FILE (the original's llama_data.json)")
    if "llamafactory" in args.systems and not args.llamafactory:
        sys.exit("--systems llamafactory needs --llamafactory PYTHON")
    conversations_of(args)
    return args


def rounds(args: argparse.Namespace, base: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Every system once a round, in turning order; a line each."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in args.systems}
    for number in range(args.rounds):
        for name in args.systems if number % 2 == 0 else reversed(args.systems):
            result = measured(name, args, base, folder / f"{name}-{number}")
            results[name].append(result)
            print(
                f"{number + 1}. {name:12} {result['tokens'] / result['seconds']:7.1f} tokens/s "
                f"{args.rows / result['seconds']:6.2f} rows/s {result['memory'] / 2**30:6.2f} GiB  "
                f"loss {result['curve'][0][1]:.3f} → {result['curve'][-1][1]:.3f}  valid {result['valid']:.4f}",
                flush=True,
            )
    return results


def main() -> None:
    """Run the rounds; print the lines, and the medians of the ratios."""
    args = arguments()
    if args.worker:
        worker(args, args.base, args.folder)
        return
    from bentsao.core.charts import Line, line_chart
    from bentsao.models.embedded import embedded_base

    embedded = str(embedded_base(lambda line: print(line, file=sys.stderr)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bases = {"embedded": lambda: embedded, "random": lambda: str(random_base(folder / "base", embedded))}
        results = rounds(args, bases.get(args.base, lambda: args.base)(), folder)
    first = results[args.systems[0]]
    for name in args.systems[1:]:
        pairs = list(zip(first, results[name], strict=True))
        print(
            f"{name} / {args.systems[0]}: speed {median(a['seconds'] / b['seconds'] for a, b in pairs):.2f}, "
            f"memory {median(b['memory'] / a['memory'] for a, b in pairs):.2f}, "
            f"validation loss {median(b['valid'] - a['valid'] for a, b in pairs):+.4f}"
        )
    if args.curves:
        lines = [Line(name, runs[0]["curve"], dots=True) for name, runs in results.items()]
        args.curves.write_text(line_chart("训练损失", "看过的行数", "每个标签的损失", lines), encoding="utf-8")


if __name__ == "__main__":
    main()
