"""Several processes take the steps of one, also where one of them has no rows, or alone is asked to stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file


def losses(folder: Path, processes: int, *words: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    # What `accelerate launch` starts on several GPUs.
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    worker = [str(Path(__file__).with_name("distributed_worker.py")), str(folder), *words]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, *launcher, *worker],
        capture_output=True,
        text=True,
        timeout=700,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "losses.json").read_text(encoding="utf-8"))


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for what in ("train", "valid", "train_parts", "valid_parts", "norms"):
        assert other[what] == pytest.approx(one[what], rel=1e-4 if what == "norms" else 1e-5), what


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    one, two = losses(tmp_path / "one", 1, "lora"), losses(tmp_path / "two", 2, "lora")
    assert (one["processes"], two["processes"]) == (1, 2)
    assert len(one["train"]) == len(two["train"]) == 12
    assert len(one["train_parts"]) > len(one["train"])
    assert_same(one, two)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_shards_have_the_losses_of_one_process_and_resume_in_other_numbers(tmp_path: Path, method: str) -> None:
    one = losses(tmp_path / "one", 1, method)
    weights = load_file(tmp_path / "one" / "weights.safetensors")
    for before, after in ((2, 4), (2, 1), (1, 2)):
        folder = tmp_path / f"{before}-{after}"
        # What is not sharded writes and reads the other form of checkpoint.
        begun = losses(folder, before, method, *(["sharded"] if before > 1 else []), "begin")
        assert any((folder / "run").glob("step-*/shards/*.distcp")) == (before > 1)
        ended = losses(folder, after, method, *(["sharded"] if after > 1 else []), "end")
        assert ended["processes"] == after
        joined = {what: begun[what] + ended[what] for what in one if what != "processes"}
        assert_same(one, joined)
        torch.testing.assert_close(load_file(folder / "weights.safetensors"), weights, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_full_tuning_in_four_processes(tmp_path: Path) -> None:
    assert_same(losses(tmp_path / "one", 1, "full"), losses(tmp_path / "four", 4, "full"))
