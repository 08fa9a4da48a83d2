"""A whole run on a tiny base: what is written, that plain PEFT opens it, and that kill -9 loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from bentsao.core.errors import ConfigError
from bentsao.core.grounding import PARTS
from bentsao.core.splits import row_key
from bentsao.models.adapters import read_adapter
from bentsao.tuning.adapter import loss_picture
from bentsao.tuning.checks import check_device, training_dtype
from bentsao.tuning.data import gather
from bentsao.tuning.job import EvalRecord, StepRecord
from bentsao.tuning.recipe import load_recipe
from bentsao.tuning.rows import Account
from bentsao.tuning.run import tune
from tests.doubles import TEMPLATE, tiny_base_folder
from tests.models.adapted import load_adapted


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[StepRecord] = []
        self.accounts: list[Account] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def tokenising(self, done: int, rows: int) -> None:
        pass

    def prepared(self, train: Account, valid: Account) -> None:
        self.accounts = [train, valid]

    def step(self, record: StepRecord) -> None:
        self.steps.append(record)

    def validating(self, done: int, rows: int) -> None:
        pass

    def evaluated(self, record: EvalRecord) -> None:
        pass

    def saved(self, step: int) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "cache"))


def settings(tmp_path: Path, **more: Any) -> dict[str, Any]:
    data = tmp_path / "data.jsonl"
    rows = [{"instruction": f"{n}病怎么办？", "output": "吃药休息。"} for n in range(30)]
    data.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    base = tmp_path / "base"
    if not base.is_dir():
        tiny_base_folder(base, "qwen3", chat_template=TEMPLATE)
    return {
        "base.name": str(base),
        "base.device": "cpu",
        "data.files": [str(data)],
        "data.validation": 0.2,
        "lora.dropout": 0.1,
        "training.batch_rows": 4,
        "training.epochs": 2,
        "training.save_every": 2,
        "training.learning_rate": 1e-2,
        "output": str(tmp_path / "adapter"),
        **more,
    }


def test_the_adapter_folder_is_pefts_and_knows_where_it_came_from(tmp_path: Path) -> None:
    notes = Notes()
    recipe = load_recipe(None, settings(tmp_path))
    outcome = tune(recipe, notes)
    folder = tmp_path / "adapter"
    assert sorted(p.name for p in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "bentsao.json",
        "chat_format.json",
        "losses.json",
        "losses.svg",
    ]
    info = read_adapter(folder)
    assert info.manifest is not None
    assert info.manifest["recipe"] == recipe.model_dump(mode="json")
    assert info.manifest["steps"] == outcome.steps == 12
    learnt = gather(recipe.data, recipe.training.seed).train
    assert info.manifest["learnt"] == sorted(row_key(one.messages) for one in learnt)
    assert info.chat_format is not None
    assert info.chat_format.base_template == TEMPLATE
    assert info.manifest["losses"]["valid_after"] < info.manifest["losses"]["valid_before"]
    assert not (tmp_path / "adapter.run").exists()

    ids = torch.tensor([[2, 3, 270, 271, 272, 280]])
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    untuned = plain(ids).logits
    theirs = PeftModel.from_pretrained(plain, str(folder)).eval()(ids).logits
    ours, _ = load_adapted(folder, device="cpu")
    assert torch.equal(cast(Any, ours.model)(ids).logits, theirs)
    assert not torch.allclose(untuned, theirs)


def test_the_second_start_reads_the_cache_and_refuses_foreign_folders(tmp_path: Path) -> None:
    first, second = Notes(), Notes()
    tune(load_recipe(None, settings(tmp_path)), first)
    with pytest.raises(ConfigError, match="--restart"):
        tune(load_recipe(None, settings(tmp_path)), second)
    tune(load_recipe(None, settings(tmp_path)), second, restart=True)
    assert [s.loss for s in second.steps] == [s.loss for s in first.steps]
    assert not any("缓存" in note for note in first.notes)
    assert any("缓存" in note for note in second.notes)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.docx").touch()
    with pytest.raises(ConfigError, match="不是适配器"):
        tune(load_recipe(None, settings(tmp_path, output=str(precious))), Notes())


def test_a_run_can_begin_from_another_adapter(tmp_path: Path) -> None:
    first, second = Notes(), Notes()
    tune(load_recipe(None, settings(tmp_path)), first)
    onwards = settings(tmp_path, **{"lora.init": str(tmp_path / "adapter"), "output": str(tmp_path / "next")})
    tune(load_recipe(None, onwards), second)
    assert second.steps[0].loss < first.steps[0].loss
    (tmp_path / "adapter").rename(tmp_path / "old")
    weights = load_file(tmp_path / "old" / "adapter_model.safetensors")
    torch.save(weights, tmp_path / "old" / "adapter_model.bin")  # PEFT 0.3's form
    (tmp_path / "old" / "adapter_model.safetensors").unlink()
    third = Notes()
    tune(load_recipe(None, {**onwards, "lora.init": str(tmp_path / "old"), "output": str(tmp_path / "third")}), third)
    assert third.steps[0].loss == second.steps[0].loss
    onwards["lora.init"] = str(tmp_path / "next")
    with pytest.raises(ConfigError, match="形状不同"):
        tune(load_recipe(None, {**onwards, "lora.rank": 2, "output": str(tmp_path / "other")}), Notes())


def grounded(tmp_path: Path) -> str:
    """Knowledge-tuning's rows and plain ones in one file."""
    said = [("问的是什么？", "{n}病", "entity"), ("问的是哪些方面？", "治疗", "attribute"), ("资料", "吃药", "answer")]
    rows = [
        {"messages": [m for ask, reply, part in said for m in turn(f"{n}{ask}", reply.format(n=n), part)]}
        for n in range(20)
    ]
    rows += [{"messages": turn(f"{n}病怎么办？", "吃药。", "")} for n in range(10)]
    path = tmp_path / "grounded.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def turn(ask: str, reply: str, part: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": ask}, {"role": "assistant", "content": reply, "part": part}]


def test_losses_are_kept_by_part(tmp_path: Path) -> None:
    notes = Notes()
    more = {"data.files": [grounded(tmp_path)], "training.part_weights": {"answer": 2.0}, "data.validation": 0.4}
    tune(load_recipe(None, settings(tmp_path, **more)), notes)
    assert notes.accounts[0].learnt_by_part.keys() == PARTS.keys()
    history = json.loads((tmp_path / "adapter" / "losses.json").read_text(encoding="utf-8"))
    valid = [record["by_part"] for record in history if "valid_loss" in record]
    assert valid
    assert all(by_part.keys() == PARTS.keys() for by_part in valid)
    assert all(record["by_part"] for record in history)
    picture = (tmp_path / "adapter" / "losses.svg").read_text(encoding="utf-8")
    assert all(label in picture for label in PARTS.values())
    assert "各部分为验证损失" in picture
    unparted = {h["step"]: {k: v for k, v in h.items() if k != "by_part"} for h in history}
    assert not any(label in loss_picture(list(unparted.values())) for label in PARTS.values())


def test_a_run_that_is_begun_again_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    recipe = load_recipe(None, settings(tmp_path, **{"training.steps": 50, "training.save_every": 100}))

    class Dies(Notes):
        def step(self, record: StepRecord) -> None:
            raise KeyboardInterrupt

    first, second = Dies(), Notes()
    with pytest.raises(KeyboardInterrupt):
        tune(recipe, first)
    tune(recipe, second)
    assert not any("没有检查点" in note for note in first.notes)
    assert any("adapter.run 里没有检查点" in note and "从头开始" in note for note in second.notes)
    assert any("steps=50 多于 2 轮的 12 步" in note for note in second.notes)


def test_weights_that_leave_nothing_to_learn_are_refused(tmp_path: Path) -> None:
    more = {"training.part_weights": {"instruction": 0.0}}
    with pytest.raises(ConfigError, match=r"只有 instruction 部分.*part_weights"):
        tune(load_recipe(None, settings(tmp_path, **more)), Notes())


def test_float16_is_not_trained_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"float16.*bfloat16.*float32"):
        tune(load_recipe(None, settings(tmp_path, **{"base.dtype": "float16"})), Notes())
    assert not (tmp_path / "adapter.run").exists()
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")  # what `accelerate launch --mixed_precision fp16` sets
    with pytest.raises(ConfigError, match="float16"):
        tune(load_recipe(None, settings(tmp_path)), Notes())


@pytest.mark.parametrize(
    ("wanted", "has_bfloat16", "dtype"),
    [(None, True, "bfloat16"), (None, False, "float32"), ("float32", True, "float32"), ("bfloat16", True, "bfloat16")],
)
def test_the_precision_is_one_that_can_be_trained_in(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, has_bfloat16: bool, dtype: str
) -> None:
    monkeypatch.setattr("bentsao.models.machine._has_bfloat16", lambda _: has_bfloat16)
    assert training_dtype(wanted, torch.device("cuda")) == dtype
    assert training_dtype(None, torch.device("cpu")) == "float32"


def test_a_device_that_accelerate_did_not_give_is_refused() -> None:
    for wanted in (None, "cuda", "cuda:0"):
        check_device(wanted, torch.device("cuda"))
    check_device("cuda:1", torch.device("cuda", 1))  # the second process of a launch
    check_device("cpu", torch.device("cpu"))
    for wanted, given in (("cuda:1", "cuda"), ("cuda:0", "cuda:1"), ("mps", "cpu"), ("cuda", "cpu")):
        with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES"):
            check_device(wanted, torch.device(given))


def command(tmp_path: Path, output: str) -> list[str]:
    flags = {**settings(tmp_path), "output": str(tmp_path / output), "training.epochs": 20, "training.save_every": 3}
    sets = [part for key, value in flags.items() for part in ("--set", f"{key}={value!r}")]
    return [sys.executable, "-m", "bentsao.apps.cli", "finetune", *sets]


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "losses.json").read_text(encoding="utf-8"))
    return [record["loss"] for record in history if "loss" in record]


def test_kill_9_at_any_moment_changes_no_loss(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(tmp_path, "whole"), check=True, env=environment, stdout=subprocess.DEVNULL, timeout=120)
    run = tmp_path / "broken.run"
    for kill_at in (9, 60):
        with subprocess.Popen(command(tmp_path, "broken"), env=environment, stdout=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 100
            while process.poll() is None and time.monotonic() < deadline:
                steps = [int(p.name[5:]) for p in run.glob("step-???????")]
                if steps and max(steps) >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.01)
        assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "broken").exists()
    done = subprocess.run(
        command(tmp_path, "broken"), check=True, env=environment, capture_output=True, text=True, timeout=120
    )
    assert "从检查点" in done.stdout
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    weights = "adapter_model.safetensors"
    assert (tmp_path / "broken" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
