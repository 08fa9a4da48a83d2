"""Preference tuning: what is preferred to what, that the margin grows, and that a killed run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError, DataError
from bentsao.core.formats import FORMATS
from bentsao.core.records import Message
from bentsao.core.rendering import fit_prompt
from bentsao.tuning.pairs import Pair, gather_pairs, opposed, pair_rows
from bentsao.tuning.preferring import trainer_checkpoints
from bentsao.tuning.recipe import DataPart, load_recipe
from bentsao.tuning.run import tune
from tests.doubles import END_ID, CharTokens
from tests.models.adapted import load_adapted
from tests.tuning.test_run import Notes, settings

pytest.importorskip("trl")
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "cache"))


def polarity(path: Path, count: int = 20) -> Path:
    """Rows as `bentsao build polarity` writes them."""
    rows: list[dict[str, Any]] = []
    for n in range(count):
        sides = (("true", "吃药", "是的，可以吃药。"), ("false", "发热", "不对，怎么办是吃药，发热不在其中。"))
        for side, value, answer in sides:
            asked = {"question": f"{n}病{value}吗？", "value": value, "entities": [f"{n}病"]}
            rows.append(
                {
                    "id": f"polarity-{n}#{side}",
                    "group": f"{n}病",
                    "messages": [
                        {"role": "user", "content": asked["question"]},
                        {"role": "assistant", "content": answer},
                    ],
                    "made": {"form": f"premise_{side}", "writer": "composer", "asked": asked},
                }
            )
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def test_the_answer_to_avoid_is_the_others_with_the_values_exchanged(tmp_path: Path) -> None:
    true, false = read_conversations(polarity(tmp_path / "p.jsonl", 1)).conversations
    said = {pair.id: (pair.prompt[0].content, pair.chosen, pair.rejected) for pair in opposed(true, false)}
    assert said == {
        "polarity-0#true": ("0病吃药吗？", "是的，可以吃药。", "不对，怎么办是发热，吃药不在其中。"),
        "polarity-0#false": ("0病发热吗？", "不对，怎么办是吃药，发热不在其中。", "是的，可以发热。"),
    }
    assert true.made is not None
    assert true.made.asked is not None
    within = true.made.model_copy(update={"asked": true.made.asked.model_copy(update={"value": "发"})})
    assert opposed(true.model_copy(update={"made": within}), false) == []


def test_groups_are_held_out_whole_and_what_is_alone_is_told(tmp_path: Path) -> None:
    path = polarity(tmp_path / "p.jsonl")
    with path.open("a", encoding="utf-8") as file:
        file.write(
            '\n{"id": "x", "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}'
        )
    pairs = gather_pairs(DataPart(files=(str(path),), validation=0.2), 0)
    assert (len(pairs.train), len(pairs.valid)) == (32, 8)
    assert not {pair.group for pair in pairs.train} & {pair.group for pair in pairs.valid}
    assert any("1 条不成对" in note for note in pairs.notes)
    own = tmp_path / "own.jsonl"
    own.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n', encoding="utf-8")
    assert gather_pairs(DataPart(files=(str(own),)), 0).train[0].rejected == "c"
    own.write_text('{"prompt": "a", "chosen": "b", "rejected": "b"}\n{"chosen": "b"}\n', encoding="utf-8")
    with pytest.raises(DataError) as error:
        gather_pairs(DataPart(files=(str(own),)), 0)
    assert len(error.value.faults) == 2


def test_pairs_are_limited_before_they_are_split_and_none_is_learnt_and_validated_on(tmp_path: Path) -> None:
    path = str(polarity(tmp_path / "p.jsonl"))
    pairs = gather_pairs(DataPart(files=(path,), validation=0.5, limit=10), 0)
    assert len(pairs.train) + len(pairs.valid) == 10
    assert 4 <= len(pairs.valid) <= 6
    again = gather_pairs(DataPart(files=(path,), validation_file=path, limit=30), 0)
    assert (len(again.train), len(again.valid)) == (30, 10)
    assert any("30 对验证的问题在训练中原样出现" in note for note in again.notes)
    with pytest.raises(ConfigError, match="validation=500"):
        gather_pairs(DataPart(files=(path,), validation=500), 0)


def test_pairs_are_rendered_as_inference_asks() -> None:
    prompt = (
        Message(role="user", content="甲"),
        Message(role="assistant", content="乙"),
        Message(role="user", content="丙"),
    )
    tokens, plain = CharTokens(), FORMATS["plain"]
    (row,), left_out = pair_rows([Pair("1", "g", prompt, "好的", "不")], plain, tokens, 200)
    assert left_out == 0
    assert tokens.decode(row.chosen) == "好的"
    assert row.chosen == (*tokens.encode("好的"), END_ID)
    assert row.rejected == (*tokens.encode("不"), END_ID)
    assert list(row.prompt) == list(fit_prompt(prompt, plain, tokens, 1000)[0])
    assert pair_rows([Pair("1", "g", prompt, "好" * 200, "不")], plain, tokens, 100) == ([], 1)


def preference(tmp_path: Path, **more: Any) -> dict[str, Any]:
    flags = {"method": "dpo", "data.files": [str(polarity(tmp_path / "p.jsonl"))], "training.batch_rows": 8}
    flags |= {"training.learning_rate": 2e-3, "lora.dropout": 0.0, "output": str(tmp_path / "preferred")}
    return settings(tmp_path, **flags, **more)


def test_the_margin_grows_from_the_adapter_that_is_the_reference(tmp_path: Path) -> None:
    tune(load_recipe(None, settings(tmp_path, **{"lora.dropout": 0.0})), Notes())
    notes = Notes()
    tune(load_recipe(None, preference(tmp_path, **{"lora.init": str(tmp_path / "adapter")})), notes)
    folder = tmp_path / "preferred"
    history = json.loads((folder / "losses.json").read_text(encoding="utf-8"))
    valid = [record for record in history if "valid_loss" in record]
    # Before the first step the model is the reference.
    assert valid[0]["margins"] == pytest.approx(0, abs=1e-6)
    assert valid[0]["valid_loss"] == pytest.approx(0.6931, abs=1e-3)
    assert valid[-1]["margins"] > 0.05
    assert valid[-1]["accuracies"] > 0.9
    assert any("警告：偏好训练的学习率" in note for note in notes.notes)
    assert sorted(p.name for p in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "bentsao.json",
        "chat_format.json",
        "losses.json",
        "losses.svg",
    ]
    manifest = json.loads((folder / "bentsao.json").read_text(encoding="utf-8"))
    assert len(manifest["learnt"]) == manifest["pairs"]["train"]
    # What trl says has grown has grown in our engines' model too, over the adapter begun from.
    pairs = gather_pairs(DataPart(files=(str(tmp_path / "p.jsonl"),)), 0)
    margins: list[float] = []
    for adapter in ("adapter", "preferred"):
        base, info = load_adapted(tmp_path / adapter, device="cpu")
        assert info.chat_format is not None
        rows, _ = pair_rows(pairs.train, info.chat_format, base.tokens, 512)
        margins.append(
            sum(likelihood(base.model, r.prompt, r.chosen) - likelihood(base.model, r.prompt, r.rejected) for r in rows)
        )
    assert margins[1] > margins[0] + 0.5 * len(rows)


@torch.no_grad()
def likelihood(model: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> float:
    logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    return float(logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum())


@pytest.mark.parametrize(("limit", "steps"), [(2, 2), (40, 5)])
def test_steps_end_a_run_before_its_epochs_do_and_never_after(tmp_path: Path, limit: int, steps: int) -> None:
    more, notes = {"training.epochs": 1, "training.steps": limit, "data.validation": 0}, Notes()
    assert tune(load_recipe(None, preference(tmp_path, **more)), notes).steps == steps
    assert any("训练 5 步就结束" in note for note in notes.notes) == (limit > steps)


def test_a_stopped_run_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    whole, first, second = Notes(), Notes(), Notes()
    tune(load_recipe(None, preference(tmp_path, **{"training.save_every": 2})), whole)
    recipe = load_recipe(
        None, {**preference(tmp_path, **{"training.save_every": 2}), "output": str(tmp_path / "broken")}
    )
    outcome = tune(recipe, first, stop=lambda: len(first.steps) >= 3)
    assert not outcome.finished
    assert not (tmp_path / "broken").exists()
    assert tune(recipe, second).finished
    assert any("从检查点" in note for note in second.notes)
    losses = [s.loss for s in (*first.steps, *second.steps)]
    assert losses == pytest.approx([s.loss for s in whole.steps], rel=1e-4)
    with pytest.raises(ConfigError, match="--restart"):
        tune(recipe, Notes())


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(tmp_path: Path, file: str) -> None:
    recipe = load_recipe(None, preference(tmp_path, **{"training.save_every": 2}))
    first, second = Notes(), Notes()
    tune(recipe, first, stop=lambda: len(first.steps) >= 3)
    before, last = trainer_checkpoints(tmp_path / "preferred.run")
    (last / file).write_bytes((last / file).read_bytes()[: (last / file).stat().st_size // 2])
    assert tune(recipe, second).finished
    assert any(f"{last.name} 坏了" in note and file in note for note in second.notes)
    again = second.steps[0]
    assert f"checkpoint-{again.step - 1}" == before.name
    assert again.loss == pytest.approx(first.steps[again.step - 1].loss, rel=1e-4)


def test_what_trl_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="不能调输出层"):
        tune(load_recipe(None, preference(tmp_path, **{"lora.targets": ("q_proj", "lm_head")})), Notes())
    more = {"training.lowest_layer": 1, "data.names": "x.txt", "training.part_weights": {"answer": 2}}
    with pytest.raises(ConfigError, match=r"data.names、training.part_weights、training.lowest_layer"):
        tune(load_recipe(None, preference(tmp_path, **more)), Notes())
