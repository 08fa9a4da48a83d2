"""Two processes take the steps of one, also where one of them has no rows, or alone is asked to stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def losses(folder: Path, processes: int) -> dict[str, Any]:
    folder.mkdir()
    # What `accelerate launch` starts on several GPUs; on a CPU it would start one process, whatever it is asked for.
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    worker = [str(Path(__file__).with_name("distributed_worker.py")), str(folder)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, *launcher, *worker],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "losses.json").read_text(encoding="utf-8"))


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    one, two = losses(tmp_path / "one", 1), losses(tmp_path / "two", 2)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert len(one["train"]) == len(two["train"]) == 12
    assert two["train"] == pytest.approx(one["train"], rel=1e-5)
    assert two["valid"] == pytest.approx(one["valid"], rel=1e-5)
    assert len(one["train_parts"]) > len(one["train"])
    assert two["train_parts"] == pytest.approx(one["train_parts"], rel=1e-5)
    assert two["valid_parts"] == pytest.approx(one["valid_parts"], rel=1e-5)
