"""Two processes take the steps of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def losses(folder: Path, processes: int) -> dict[str, list[float]]:
    folder.mkdir()
    worker = [str(Path(__file__).with_name("distributed_worker.py")), str(folder)]
    launcher = ["-m", "accelerate.commands.launch", "--cpu", "--num_machines", "1", "--mixed_precision", "no"]
    launcher += ["--dynamo_backend", "no", "--main_process_port", "0", "--num_processes", str(processes)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, *launcher, *worker],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "losses.json").read_text(encoding="utf-8"))


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    one, two = losses(tmp_path / "one", 1), losses(tmp_path / "two", 2)
    assert len(one["train"]) == 12
    assert two["train"] == pytest.approx(one["train"], rel=1e-5)
    assert two["valid"] == pytest.approx(one["valid"], rel=1e-5)
    assert two["train_parts"] == pytest.approx(one["train_parts"], rel=1e-5)
    assert len(one["valid_parts"]) == 4 * len(one["valid"])
    assert two["valid_parts"] == pytest.approx(one["valid_parts"], rel=1e-5)
