"""How much memory merging an adapter takes: a synthetic LLaMA in shards, merged here, the peak against shard and model.

python benchmarks/merging.py --hidden 2048 --layers 8      (about 3 GB on the disk, beside the folder --work names)
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import save_file

from bentsao.models.exporting.merged import merged_tensors, write_weights
from bentsao.models.exporting.stored import write_safetensors


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--hidden", type=int, default=2048)
    arguments.add_argument("--layers", type=int, default=8)
    arguments.add_argument("--rank", type=int, default=16)
    arguments.add_argument("--shard-mb", type=int, default=500)
    arguments.add_argument("--work", type=Path, default=None)
    arguments.add_argument("--measure", type=Path, default=None, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        measure(given.measure, given.shard_mb * 10**6)
        return
    work = Path(tempfile.mkdtemp(dir=given.work))
    try:
        size = make(work, given.hidden, given.layers, given.rank)
        command = [sys.executable, __file__, "--measure", str(work), "--shard-mb", str(given.shard_mb)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(f"model {size / 1e9:.2f} GB in bfloat16, shards of {given.shard_mb} MB")
        print(f"largest weight {found['largest'] / 1e6:.0f} MB ({2 * found['largest'] / 1e6:.0f} MB in float32)")
        print(f"before {found['before'] / 1e6:.0f} MB, peak {found['peak'] / 1e6:.0f} MB of the process's own")
        print(f"peak with the pages of files that are open: {found['rss'] / 1e6:.0f} MB")
        print(f"merged in {found['seconds']:.1f} s")
    finally:
        shutil.rmtree(work)


def make(work: Path, hidden: int, layers: int, rank: int) -> int:
    """A base of random weights, written weight by weight, and an adapter on all its linear layers."""
    inner, words = hidden * 4, 32_000
    base, adapter = work / "base", work / "adapter"
    base.mkdir()
    adapter.mkdir()
    config: dict[str, Any] = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    config |= {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers, "vocab_size": words}
    config |= {"num_attention_heads": hidden // 128, "num_key_value_heads": hidden // 128}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    linear = {f"self_attn.{name}_proj": (hidden, hidden) for name in "qkvo"}
    linear |= {"mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner)}
    ends = {"model.embed_tokens": (words, hidden), "lm_head": (words, hidden)}
    norms = {"model.norm": (hidden,)}
    for layer in range(layers):
        ends |= {f"model.layers.{layer}.{name}": shape for name, shape in linear.items()}
        norms |= {f"model.layers.{layer}.{name}_layernorm": (hidden,) for name in ("input", "post_attention")}
    shapes = {f"{name}.weight": (torch.bfloat16, shape) for name, shape in {**ends, **norms}.items()}
    write_safetensors(base / "model.safetensors", shapes, lambda name: torch.randn(shapes[name][1]).to(torch.bfloat16))
    LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=[name.split(".")[-1] for name in linear]).save_pretrained(
        str(adapter)
    )
    weights: dict[str, torch.Tensor] = {}
    for name, (rows, columns) in ends.items():
        if ".layers." in name:
            weights[f"base_model.model.{name}.lora_A.weight"] = torch.randn(rank, columns) * 0.01
            weights[f"base_model.model.{name}.lora_B.weight"] = torch.randn(rows, rank) * 0.01
    save_file(weights, adapter / "adapter_model.safetensors")
    return (base / "model.safetensors").stat().st_size


def measure(work: Path, shard_bytes: int) -> None:
    """In a process of its own: the memory that is its own, without the pages of files, which the system takes back."""
    from bentsao.models.adapters import read_adapter
    from bentsao.models.fetching import Located

    (work / "out").mkdir()
    info = read_adapter(work / "adapter")
    before, started = own_memory(), time.perf_counter()
    peak, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], own_memory())

    watching = threading.Thread(target=watch)
    watching.start()
    merged = merged_tensors(Located("synthetic", work / "base", None, None), info)
    largest = max(torch.Size(shape).numel() * 2 for shape in merged.tensors.shapes.values())
    write_weights(work / "out", merged, lambda _: None, shard_bytes)
    done.set()
    watching.join()
    seconds = time.perf_counter() - started
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"before": before, "peak": peak[0], "rss": whole, "largest": largest, "seconds": seconds}))


def own_memory() -> int:
    """Bytes of this process that are no file's (Linux's RssAnon)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
