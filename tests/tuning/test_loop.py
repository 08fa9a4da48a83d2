"""The loop: it learns, does not depend on how rows are cut, and resumes to the very same losses."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel

from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.grounding import PARTS
from bentsao.core.rendering import IGNORE, Row
from bentsao.tuning.checkpoints import Pace, checkpoints, open_run
from bentsao.tuning.job import EvalRecord, Job, StepRecord
from bentsao.tuning.loop import learning_rate_shape, train
from bentsao.tuning.lora import add_lora, find_targets
from bentsao.tuning.objective import LabelledLoss
from bentsao.tuning.recipe import LoraPart, TrainingPart
from tests.doubles import KINDS, Kind, tiny_model


@dataclass
class Log:
    """Collects what a run tells; raises at a step if asked to, as a killed process would stop there."""

    die_after: int | None = None
    steps: list[StepRecord] = field(default_factory=list[StepRecord])
    evals: list[EvalRecord] = field(default_factory=list[EvalRecord])

    def step(self, record: StepRecord) -> None:
        self.steps.append(record)
        if record.step == self.die_after:
            raise KeyboardInterrupt

    def validating(self, done: int, rows: int) -> None:
        pass

    def evaluated(self, record: EvalRecord) -> None:
        self.evals.append(record)

    def saved(self, step: int) -> None:
        pass


def rows(count: int, seed: int = 0) -> list[Row]:
    generator = torch.Generator().manual_seed(seed)
    out: list[Row] = []
    for _ in range(count):
        size = int(torch.randint(4, 20, (1,), generator=generator))
        ids = torch.randint(5, 60, (size,), generator=generator).tolist()
        out.append(Row(tuple(ids), (IGNORE, *[7 + i % 2 for i in ids[1:]])))  # can be learnt
    return out


def in_parts(some: list[Row]) -> list[Row]:
    """The rows with the first half of each counted for one part and the second for another, by turns."""
    names = list(PARTS)
    return [
        replace(row, parts=((names[n % 4], len(row.ids) // 2), (names[(n + 1) % 4], len(row.ids))))
        for n, row in enumerate(some)
    ]


def model(dropout: float = 0.0, kind: Kind = "llama") -> PeftModel:
    torch.manual_seed(0)
    part = LoraPart(rank=4, alpha=8, dropout=dropout)
    return add_lora(tiny_model(kind, vocab_size=64), part, quantised=False, checkpointing=False)


def job(tmp_path: Path, *, micro: int = 64, stop: Callable[[], bool] = lambda: False, **training: object) -> Job:
    settings = {"epochs": 3, "batch_rows": 8, "learning_rate": 1e-2, "save_every": 3, "evaluate_every": 4, **training}
    data = rows(26)
    return Job(
        train=data,
        train_ids=[f"row-{n}" for n in range(len(data))],
        valid=rows(6, seed=9),
        training=TrainingPart.model_validate(settings),
        pad_id=0,
        micro_tokens=micro,
        folder=tmp_path / "run",
        stop=stop,
    )


def run(a_job: Job, log: Log, dropout: float = 0.0) -> PeftModel:
    a_model = model(dropout)
    train(a_model, LabelledLoss(a_model), a_job, Accelerator(cpu=True), log)
    return a_model


def test_the_loss_falls_and_the_best_adapter_is_kept(tmp_path: Path) -> None:
    log = Log()
    a_job = job(tmp_path, epochs=25, learning_rate=3e-2)
    run(a_job, log)
    # The frozen random head bounds what two layers can reach; the start is ln 64 = 4.16.
    assert log.steps[-1].loss < log.steps[0].loss - 0.3
    assert log.evals[-1].loss <= min(e.loss for e in log.evals) + 1e-6
    assert len(log.steps) == a_job.steps == 25 * math.ceil(26 / 8)
    assert sum(s.learnt for s in log.steps[:4]) == sum(r.learnt for r in a_job.train)


def test_the_gradient_does_not_depend_on_micro_batches(tmp_path: Path) -> None:
    one, many = Log(), Log()
    for log, name, micro in ((one, "a", 10_000), (many, "b", 1)):
        a_job = job(tmp_path / name, micro=micro, part_weights=WEIGHTS)
        run(replace(a_job, train=in_parts(rows(26))), log)
    for a, b in zip(one.steps, many.steps, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-4)
        assert a.by_part == pytest.approx(b.by_part, rel=1e-4)


WEIGHTS = {"instruction": 0.5, "entity": 2.0, "attribute": 0.0, "answer": 1.0}


def test_weights_of_1_change_nothing_and_the_losses_are_shown_by_part(tmp_path: Path) -> None:
    plain, parted = Log(), Log()
    one, two = job(tmp_path / "a"), job(tmp_path / "b")
    expected = run(one, plain)
    got = run(replace(two, train=in_parts(rows(26)), valid=in_parts(rows(6, seed=9))), parted)
    assert [s.loss for s in parted.steps] == [s.loss for s in plain.steps]
    assert [e.loss for e in parted.evals] == [e.loss for e in plain.evals]
    for a, b in zip(expected.parameters(), got.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(s.by_part == {} for s in plain.steps)
    learnt = Counter[str]()
    for row in in_parts(rows(6, seed=9)):
        learnt.update(row.learnt_by_part())
    for record in parted.evals:
        assert record.by_part.keys() == PARTS.keys()
        mean = sum(record.by_part[part] * learnt[part] for part in PARTS) / learnt.total()
        assert mean == pytest.approx(record.loss, rel=1e-6)


def test_a_weighted_step_is_that_of_the_plain_weighted_mean(tmp_path: Path) -> None:
    data = in_parts(rows(26))
    log, a_model, plain = Log(), model(), model()
    a_job = replace(job(tmp_path, steps=1, batch_rows=26, part_weights=WEIGHTS), train=data, valid=[])
    train(a_model, LabelledLoss(a_model), a_job, Accelerator(cpu=True), log)

    losses: dict[str, list[torch.Tensor]] = {part: [] for part in PARTS}
    for row in data:
        logits = plain(input_ids=torch.tensor([row.ids])).logits[0]
        for part, start, end in row.spans():
            for at in range(start, end):
                if row.targets[at] != IGNORE:
                    losses[part].append(torch.nn.functional.cross_entropy(logits[at], torch.tensor(row.targets[at])))
    sums = {part: torch.stack(found).sum() for part, found in losses.items()}
    weighed = sum(WEIGHTS[part] * len(found) for part, found in losses.items())
    mean = torch.stack([WEIGHTS[part] * total for part, total in sums.items()]).sum() / weighed
    mean.backward()
    gradients = [p.grad.flatten() for p in plain.parameters() if p.grad is not None]
    (step,) = log.steps
    assert step.loss == pytest.approx(mean.item(), rel=1e-5)
    assert step.grad_norm == pytest.approx(float(torch.cat(gradients).norm()), rel=1e-4)
    wanted = {part: total.item() / len(losses[part]) for part, total in sums.items()}
    assert step.by_part == pytest.approx(wanted, rel=1e-5)


def test_a_step_without_any_weight_teaches_nothing(tmp_path: Path) -> None:
    weightless = [replace(row, parts=(("attribute", len(row.ids)),)) for row in rows(8)]
    log, a_model = Log(), model()
    before = [p.detach().clone() for p in a_model.parameters()]
    a_job = replace(job(tmp_path, epochs=1, part_weights=WEIGHTS), train=weightless, valid=[])
    train(a_model, LabelledLoss(a_model), a_job, Accelerator(cpu=True), log)
    assert [(s.loss, s.grad_norm) for s in log.steps] == [(0.0, 0.0)]
    assert all(torch.equal(a, b) for a, b in zip(before, a_model.parameters(), strict=True))


@pytest.mark.parametrize("die_after", [1, 4, 7, 11])
def test_a_killed_run_resumes_to_the_same_losses(tmp_path: Path, die_after: int) -> None:
    whole, first, second = Log(), Log(die_after), Log()
    expected = run(job(tmp_path / "whole"), whole, dropout=0.2)
    broken = job(tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        run(broken, first, dropout=0.2)
    found = checkpoints(broken.folder)
    resumed = replace(broken, resume=found[-1] if found else None)
    torch.manual_seed(0)
    got = run(resumed, second, dropout=0.2)
    start = die_after // 3 * 3
    assert [s.step for s in second.steps] == list(range(start + 1, 13))
    assert [s.loss for s in second.steps] == [s.loss for s in whole.steps[start:]]
    assert second.evals[-1] == whole.evals[-1]
    for a, b in zip(expected.parameters(), got.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_is_written_by_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, log = Log(), Log(die_after=6)
    start = time.monotonic()
    monkeypatch.setattr("bentsao.tuning.checkpoints.monotonic", lambda: start + 12 * len(log.steps))
    seldom = job(tmp_path, save_every=1000, save_seconds=30)
    with pytest.raises(KeyboardInterrupt):
        run(seldom, log, dropout=0.2)
    assert [path.name for path in checkpoints(seldom.folder)] == ["step-0000003"]
    expected = run(job(tmp_path / "whole"), whole, dropout=0.2)
    torch.manual_seed(0)
    got = run(replace(seldom, resume=checkpoints(seldom.folder)[-1]), Log(), dropout=0.2)
    for a, b in zip(expected.parameters(), got.parameters(), strict=True):
        assert torch.equal(a, b)


def test_checkpoints_that_take_long_are_written_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bentsao.tuning.checkpoints.monotonic", lambda: now[0])
    pace = Pace(30, last=0)
    now[0] = 31
    assert pace.due()
    with pace.writing():
        now[0] = 41
    now[0] = 41 + 199
    assert not pace.due()
    now[0] = 41 + 200
    assert pace.due()


def test_a_run_can_be_stopped_between_steps(tmp_path: Path) -> None:
    log = Log()
    run(job(tmp_path, stop=lambda: len(log.steps) == 2), log)
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["step-0000002"]


@pytest.mark.parametrize("file", ["tensors.safetensors", "schedule.pt", "state.json"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_is_used(tmp_path: Path, file: str) -> None:
    broken, notes = job(tmp_path), list[str]()
    with pytest.raises(KeyboardInterrupt):
        run(broken, Log(die_after=7))
    first, last = checkpoints(broken.folder)
    _cut(last / file)
    assert open_run(broken.folder, {}, restart=False, note=notes.append) == first
    assert [note.partition("（")[0] for note in notes] == ["检查点 step-0000006 坏了"]
    assert checkpoints(broken.folder) == [first]
    _cut(first / file)
    with pytest.raises(ModelError, match=r"检查点都坏了.*--restart"):
        open_run(broken.folder, {}, restart=False)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_another_recipe_does_not_resume_a_foreign_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert open_run(folder, {"数据": "a", "基座": "b"}, restart=False) is None
    with pytest.raises(ConfigError, match=r"数据与现在不同.*--restart"):
        open_run(folder, {"数据": "x", "基座": "b"}, restart=False)
    assert open_run(folder, {"数据": "x", "基座": "b"}, restart=True) is None


def test_a_loss_that_is_not_finite_names_its_rows(tmp_path: Path) -> None:
    a_model = model()
    embedding = cast(torch.nn.Embedding, cast(Any, a_model.get_base_model()).get_input_embeddings())
    embedding.weight.data[7] = math.nan
    a_job = job(tmp_path)
    guilty = {a_job.train_ids[n] for n, row in enumerate(a_job.train) if 7 in row.ids}
    clean = replace(a_job, valid=[])
    with pytest.raises(ModelError, match="row-") as error:
        train(a_model, LabelledLoss(a_model), clean, Accelerator(cpu=True), Log())
    named = {name for name in a_job.train_ids if f"{name}、" in str(error.value) or f"{name}。" in str(error.value)}
    assert named
    assert named <= guilty


def test_warm_up_and_decay() -> None:
    linear = learning_rate_shape(TrainingPart(warmup=0.2, schedule="linear"), 10)
    assert [round(linear(s), 3) for s in range(11)] == [0.333, 0.667, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]
    cosine = learning_rate_shape(TrainingPart(warmup=0, schedule="cosine"), 4)
    assert [round(cosine(s), 3) for s in range(5)] == [1, 0.854, 0.5, 0.146, 0]
    assert learning_rate_shape(TrainingPart(warmup=0, schedule="constant"), 4)(3) == 1


TARGETS: dict[Kind, tuple[set[str], list[str]]] = {
    "llama": ({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, ["q_proj", "v_proj"]),
    "gemma3": ({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, ["q_proj", "v_proj"]),
    "qwen3": ({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, ["q_proj", "v_proj"]),
    "glm": ({"q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"}, ["q_proj", "v_proj"]),
    "bloom": ({"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}, ["query_key_value"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_found_in_every_architecture(kind: Kind) -> None:
    everything, attention = TARGETS[kind]
    a_model = tiny_model(kind)
    assert set(find_targets(a_model, "all-linear")) == everything
    assert find_targets(a_model, "attention") == attention
    with pytest.raises(ConfigError, match="没有名为 qqq 的线性层"):
        find_targets(a_model, ("qqq",))


def test_names_are_those_of_the_model_as_peft_reads_them() -> None:
    a_model = tiny_model()
    assert find_targets(a_model, ("lm_head", "self_attn.q_proj")) == ["lm_head", "self_attn.q_proj"]
    assert find_targets(a_model, "model.layers.1.mlp.up_proj") == ["model.layers.1.mlp.up_proj"]
    with pytest.raises(ConfigError, match=r"没有名为 mlp\.q_proj 的"):
        find_targets(a_model, ("mlp.q_proj",))


def test_an_output_head_goes_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    a_model = tiny_model()
    head = cast(Any, a_model).lm_head
    del a_model.lm_head
    a_model.add_module("output_layer", head)
    monkeypatch.setattr(a_model, "get_output_embeddings", lambda: head)
    assert find_targets(a_model, ("q_proj", "output_layer")) == ["q_proj", "output_layer"]
    assert "output_layer" not in find_targets(a_model, "all-linear")
    with pytest.raises(ConfigError, match=r"没有名为 lm_head 的.*output_layer"):
        find_targets(a_model, ("q_proj", "lm_head"))


def test_the_originals_targets_on_bloom_say_what_there_is() -> None:
    with pytest.raises(ConfigError, match="query_key_value"):
        find_targets(tiny_model("bloom"), ("q_proj", "v_proj"))
