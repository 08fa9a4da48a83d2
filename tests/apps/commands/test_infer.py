from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from rich.console import Console

import bentsao.inference.engines.opening
from bentsao.apps.commands.infer import infer
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.apps.training_view import TrainingView
from bentsao.core.errors import ConfigError
from bentsao.core.records import Answer
from bentsao.inference.notice import NOTICE
from bentsao.tuning.recipe import load_recipe
from bentsao.tuning.run import tune
from tests.doubles import tiny_base_folder
from tests.inference.stand_in import StandInEngine

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `bentsao infer` with these arguments in an empty folder and returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, engine: StandInEngine | None = None, width: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        if engine is not None:
            monkeypatch.setattr(ModelChoice, "open", lambda _: engine)
        app = App(name="bentsao", result_action="return_value")
        app.command(infer)
        app(["infer", *arguments], exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return call


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """The original's rows, one of them too long to be asked."""
    values = [
        {"instruction": "头痛怎么办", "input": "", "output": "多休息"},
        {"instruction": "感冒", "input": "", "output": "多喝水"},
        {"instruction": "长" * 300, "input": "", "output": "无"},
    ]
    path = tmp_path / "rows.json"
    path.write_text("\n".join(json.dumps(value, ensure_ascii=False) for value in values), encoding="utf-8")
    return path


def answers(path: Path) -> list[Answer]:
    return [Answer.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("width", [60, 140])
def test_a_file_is_answered_shown_and_written(run: Run, rows: Path, width: int) -> None:
    said = run(str(rows), "--adapter", "a", "--out", "out.jsonl", engine=StandInEngine(), width=width)
    assert [(a.id, a.text, a.reference, a.finish) for a in answers(Path("out.jsonl"))] == [
        ("rows:1", "办么怎痛头", "多休息", "end"),
        ("rows:2", "冒感", "多喝水", "end"),
        ("rows:3", "", "无", "error"),
    ]
    lines = [line for line in said.splitlines() if "冒感" in line]
    assert len(lines) == 1
    assert ("多喝水" in lines[0]) == (width == 140), "in columns, or one below another"
    assert "共 3 个：自己结束 2，到达长度上限 0，出错 1" in said
    assert "问题太长" in said
    assert said.count("长") >= 300, "long text is folded, not cut"
    assert NOTICE in said


def test_the_projects_own_examples_are_asked_without_a_file(run: Run) -> None:
    engine = StandInEngine()
    run("--base", "some/tiny-base", engine=engine)
    assert len(answers(Path("runs/infer/examples-tiny-base.jsonl"))) == sum(engine.asked.values()) >= 10


def test_one_question_is_streamed_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    said = run("--question", "头痛怎么办", "--base", "b", "--max_new_tokens", "4", engine=StandInEngine())
    assert said.startswith(" 办么怎\n")
    assert NOTICE in said
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="--question"):
        run("x.json", "--question", "头痛", engine=StandInEngine())


def test_control_c_keeps_what_was_answered(run: Run, rows: Path) -> None:
    arguments = (str(rows), "--base", "b", "--out", "out.jsonl", "--batch-rows", "1")
    with pytest.raises(SystemExit) as caught:
        run(*arguments, engine=StandInEngine(dies_after=1))
    assert caught.value.code == 130
    engine = StandInEngine()
    run(*arguments, engine=engine)
    assert list(engine.asked) == ["问：感冒\n答："]
    run(*arguments, "--restart", engine=engine)
    assert sum(engine.asked.values()) == 3


def test_only_the_first_answers_are_shown(run: Run, rows: Path) -> None:
    said = run(str(rows), "--base", "b", "--show", "1", engine=StandInEngine())
    assert "办么怎痛头" in said
    assert "冒感" not in said


def test_answers_are_text_and_no_markup(run: Run, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("]der/[错[bold]\x1b[2J\n", encoding="utf-8")
    said = run("q.txt", "--base", "b", engine=StandInEngine())
    assert "]dlob[错[/red]" in said
    assert "\x1b[2J" not in said


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `open_engine` was called with."""
    seen: dict[str, Any] = {}

    def open_engine(**arguments: Any) -> StandInEngine:
        seen.update(arguments)
        return StandInEngine()

    monkeypatch.setattr(bentsao.inference.engines.opening, "open_engine", open_engine)
    return seen


ORIGINAL = ("--base_model", "b", "--lora_weights", "w", "--prompt_template", "med_template")


def test_the_originals_flags_are_accepted_as_they_were_spelt(run: Run, rows: Path, opened: dict[str, Any]) -> None:
    run(*ORIGINAL, "--use_lora", "True", "--instruct_dir", str(rows), "--load_8bit", "False")
    assert (opened["base"], opened["adapter"], opened["chat_format"]) == ("b", Path("w"), "med_template")
    assert opened["quantization"] is None
    assert Path("runs/infer/rows-w.jsonl").exists()
    run(*ORIGINAL, "--use_lora", "False", "--instruct_dir", str(rows), "--load_8bit")
    assert opened["adapter"] is None
    assert opened["quantization"] == "8bit"
    assert Path("runs/infer/rows-b.jsonl").exists()


def test_what_cannot_be_is_refused_before_a_model_is_loaded(run: Run, rows: Path, opened: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        run(str(rows), "--base", "b", "--top_p", "0.9")
    with pytest.raises(ConfigError, match="batch-rows"):
        run(str(rows), "--base", "b", "--batch-rows", "0")
    with pytest.raises(ConfigError, match="4bit"):
        run(str(rows), "--base", "b", "--load_8bit", "--quantization", "4bit")
    assert not opened


def test_the_base_answers_beside_its_adapter(run: Run, rows: Path, tmp_path: Path) -> None:
    base = tiny_base_folder(tmp_path / "base", "qwen3")
    config = {"data.files": [str(rows)], "data.validation": 0, "training.steps": 1, "output": "adapter"}
    recipe = load_recipe(None, {"base.name": str(base), "base.device": "cpu", "data.cutoff": 512, **config})
    tune(recipe, TrainingView(Console(quiet=True)))
    said = run(str(rows), "--adapter", "adapter", "--out", "out.jsonl", "--with-base", "--max-new-tokens", "4")
    assert "基座回答" in said
    assert [a.id for a in answers(Path("out-base.jsonl"))] == [a.id for a in answers(Path("out.jsonl"))]
    made = [json.loads(Path(f"{name}.jsonl.manifest.json").read_text("utf-8")) for name in ("out", "out-base")]
    assert made[0] != made[1], "two different models answered"
    with pytest.raises(ConfigError, match="--with-base"):
        run(str(rows), "--base", "a", "--with-base")


def test_an_alarm_is_a_field_of_the_answer_and_stands_before_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("我爸突然胸痛\n头痛怎么办\n我不想活了" + "长" * 300, encoding="utf-8")
    said = run("--input", "q.txt", "--out", "a.jsonl", "--text", "a.txt", engine=StandInEngine())
    found = answers(tmp_path / "a.jsonl")
    assert [answer.alarm and answer.alarm.kinds for answer in found] == [("胸痛",), None, ("自杀自伤",)]
    assert found[0].text == "痛胸然突爸我"
    assert "请立即拨打 120" in said
    text = (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert text.index("【急症提示】") < text.index("答：痛胸然突爸我") < text.index("12356") < text.index("答：出错")
    one = run("--question", "我爸突然胸痛", engine=StandInEngine())
    assert one.startswith("【急症提示】")
