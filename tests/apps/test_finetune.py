"""The command line of `finetune`: the original's flags as they were spelt, and what errors look like."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bentsao.apps.cli import COMMANDS, build
from bentsao.apps.commands.finetune import NO_FLAGS, NO_OVERRIDES
from bentsao.core.errors import ConfigError
from bentsao.core.grounding import PARTS
from bentsao.tuning.checks import refuse_float16
from bentsao.tuning.recipe import RECIPES, Recipe, find_recipe, load_recipe
from tests.doubles import TEMPLATE, tiny_base_folder

ORIGINAL = [
    *("--base_model", "decapoda-research/llama-7b-hf", "--data_path", "./data/llama_data.json"),
    *("--output_dir", "./lora-llama-med-e1", "--batch_size", "128", "--micro_batch_size", "8", "--num_epochs", "10"),
    *("--learning_rate", "3e-4", "--cutoff_len", "256", "--val_set_size", "500", "--lora_r", "8", "--lora_alpha", "16"),
    *("--lora_dropout", "0.05", "--lora_target_modules", "['q_proj', 'v_proj']", "--train_on_inputs", "False"),
    *("--group_by_length", "False", "--resume_from_checkpoint", "./old", "--prompt_template_name", "med_template"),
    *("--wandb_project", "llama_med", "--wandb_run_name", "e1", "--wandb_watch", "", "--wandb_log_model", ""),
]


def resolved(*tokens: str) -> tuple[Recipe, list[str]]:
    _, bound, _ = build().parse_args(["finetune", *tokens], exit_on_error=False, print_error=False)
    notes: list[str] = []
    overrides = bound.arguments.get("overrides", NO_OVERRIDES)
    original = bound.arguments.get("original", NO_FLAGS)
    return load_recipe(None, {**original.values(256, notes.append), **overrides.values()}), notes


def test_every_flag_of_the_original_arrives() -> None:
    recipe, notes = resolved(*ORIGINAL)
    assert recipe.base.name == "decapoda-research/llama-7b-hf"
    assert recipe.output == "./lora-llama-med-e1"
    data, lora, training = recipe.data, recipe.lora, recipe.training
    assert (data.files, data.cutoff, data.validation) == (("./data/llama_data.json",), 256, 500)
    assert (data.format, data.learn_prompt) == ("med_template", False)
    assert (lora.rank, lora.alpha, lora.dropout, lora.targets) == (8, 16, 0.05, ("q_proj", "v_proj"))
    assert lora.init == "./old"
    assert (training.batch_rows, training.micro_tokens, training.epochs) == (128, 8 * 256, 10)
    assert (training.learning_rate, training.trackers, training.run_name) == (3e-4, ("wandb",), "e1")
    assert training.project == "llama_med"
    assert notes == []


def test_what_is_not_taken_over_is_said() -> None:
    _, notes = resolved("--group_by_length", "True", "--wandb_watch", "all")
    assert len(notes) == 2


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("q_proj,v_proj", ("q_proj", "v_proj")),
        ("[q_proj, v_proj]", ("q_proj", "v_proj")),
        ("query_key_value", "query_key_value"),
        ("all-linear", "all-linear"),
    ],
)
def test_target_modules_in_every_spelling(text: str, wanted: object) -> None:
    assert resolved("--lora_target_modules", text)[0].lora.targets == wanted


def test_anything_in_the_recipe_can_be_set() -> None:
    recipe, _ = resolved("--set", "training.warmup=0.2", "--set", "training.schedule=cosine", "--set", "data.mix=[]")
    assert (recipe.training.warmup, recipe.training.schedule) == (0.2, "cosine")
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        resolved("--set", "training.warmup")
    with pytest.raises(ConfigError, match=r"没有这个字段.*是不是 training\.warmup"):
        resolved("--set", "training.wramup=0.2")
    with pytest.raises(ConfigError, match=r"没有这个字段.*可用：output、method、base、data"):
        resolved("--set", "xyz=1")


def test_the_originals_recipe_file_is_the_original_to_the_letter() -> None:
    path = RECIPES / "original.toml"
    recipe = load_recipe(path, {})
    data, lora, training = recipe.data, recipe.lora, recipe.training
    assert (data.cutoff, data.validation, data.format, data.too_long) == (256, 500, "med_template", "cut")
    assert (lora.rank, lora.alpha, lora.dropout, lora.targets) == (8, 16, 0.05, ("q_proj", "v_proj"))
    assert (training.epochs, training.batch_rows, training.learning_rate, training.warmup) == (10, 128, 3e-4, 0.1)
    assert (training.schedule, training.evaluate_every, training.save_every) == ("linear", 32, 32)
    # What is different is said, and is something that can be trained.
    assert "merge_dialogues" in path.read_text(encoding="utf-8").split("output =")[0]
    assert data.merge_dialogues
    refuse_float16(recipe.base.dtype)


def run(*tokens: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bentsao.apps.cli", *tokens], capture_output=True, text=True, timeout=120, check=False
    )


def test_errors_are_told_without_a_traceback(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"instruction": "问", "output": ""}\n{"instruction": "问"}\n', encoding="utf-8")
    base = tiny_base_folder(tmp_path / "base", chat_template=TEMPLATE)
    done = run("finetune", "--base", str(base), "--data", str(bad), "-o", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "2 处错误" in done.stderr
    assert "bad.jsonl:1" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rows", ["0", "1"])
def test_the_preview_trains_nothing(tmp_path: Path, rows: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"question": "头痛怎么办？", "answer": "休息。"}, ensure_ascii=False), encoding="utf-8")
    base = tiny_base_folder(tmp_path / "base", chat_template=TEMPLATE)
    done = run("finetune", "--base", str(base), "--data", str(data), "--preview", rows, "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "学到的 token" in done.stdout
    assert ("<start_of_turn>user⏎" in done.stdout) == (rows == "1")
    assert ("休息。⟨<end_of_turn>⟩" in done.stdout) == (rows == "1")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        build()([name, "--help"])
    assert f"bentsao {name}" in capsys.readouterr().out


def test_the_default_recipe_file_says_what_is_the_default() -> None:
    assert load_recipe(RECIPES / "default.toml", {}) == Recipe()


@pytest.mark.parametrize("name", ["default", "default.toml", "recipes/default.toml"])
def test_the_packages_recipes_go_by_name_unless_a_file_of_that_name_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe(Path(name)) == RECIPES / "default.toml"
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.touch()
    assert find_recipe(Path(name)) == Path(name)


def test_a_recipe_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"defualt.*自带配方的名字：default、full、knowledge"):
        find_recipe(Path("defualt"))
    with pytest.raises(ConfigError):
        find_recipe(tmp_path / "default.toml")


def test_the_recipe_of_knowledge_tuning_names_every_part() -> None:
    path = RECIPES / "knowledge.toml"
    recipe = load_recipe(path, {"data.files": ["grounded.jsonl"], "data.mix": ["instructions.jsonl:0.2"]})
    weights = path.read_text(encoding="utf-8").split("[training.part_weights]")[1]
    assert all(f"\n{part} = " in weights for part in PARTS)
    assert all(recipe.training.part_weights.values())
    assert recipe.data.too_long == "refuse"
