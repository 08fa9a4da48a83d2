from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclopts import App

from bentsao.apps.commands import bundle as command
from bentsao.apps.commands.answer import answer
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.core.errors import ConfigError
from bentsao.models import shipped
from tests.inference.grounded.adapters import adapter_folder
from tests.inference.grounded.bases import grounded_base
from tests.inference.grounded.reader import Reader
from tests.knowledge.bases import entity, put

Run = Callable[..., str]


@pytest.fixture
def opened() -> list[Path | None]:
    """The adapters that were opened."""
    return []


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, opened: list[Path | None]
) -> Run:
    """Runs `bentsao bundle` or `bentsao answer` beside an adapter and a knowledge base; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "nowhere")
    adapter_folder(tmp_path / "adapter")
    grounded_base(tmp_path / "my.kb")

    def open_engine(choice: ModelChoice) -> Reader:
        opened.append(choice.adapter)
        return Reader()

    monkeypatch.setattr(ModelChoice, "open", open_engine)

    def call(*arguments: str) -> str:
        app = App(name="bentsao", result_action="return_value")
        app.command(answer)
        app.command(command.app)
        app(arguments, exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return call


def make(run: Run, out: str, *more: str) -> str:
    return run("bundle", "make", "--adapter", "adapter", "--kb", "my.kb", "--out", out, *more)


def test_make_and_show(run: Run) -> None:
    said = make(run, "b", "--guard", "mark")
    assert said == run("bundle", "show", "b")
    shown = json.loads(run("bundle", "show", "b", "--json"))
    assert shown["hash"] in said
    assert "some/base@abc" in said
    assert "guard=mark" in said
    assert (shown["base"], shown["policy"]["guard"]) == ("some/base", "mark")
    with pytest.raises(ConfigError, match="已经存在"):
        make(run, "b")
    with pytest.raises(ConfigError, match="没有指定适配器"):
        run("bundle", "make", "--kb", "my.kb", "--out", "c")
    with pytest.raises(ConfigError, match="oracle"):
        make(run, "c", "--path", "oracle")


def test_answers_name_the_bundle(run: Run, opened: list[Path | None], tmp_path: Path) -> None:
    make(run, "b")
    found = json.loads(run("answer", "偏头痛做什么检查", "--bundle", "b", "--json"))
    assert found["answer"] == "偏头痛的检查是头颅CT[1]。"
    assert found["bundle"] == json.loads(run("bundle", "show", "b", "--json"))["hash"]
    assert opened == [Path("b/adapter")]
    assert f"（由包 {found['bundle'][:16]} 回答。）" in run("answer", "偏头痛做什么检查", "--bundle", "b")
    for more in (("--kb", "my.kb"), ("--path", "linker"), ("--adapter", "a"), ("--no-model",), ("--use_lora", "0")):
        with pytest.raises(ConfigError, match="不能与"):
            run("answer", "问", "--bundle", "b", *more)
    with pytest.raises(ConfigError, match="--path oracle"):
        run("answer", "问", "--bundle", "b", "--entity", "偏头痛")
    policy = tmp_path / "b" / "policy.json"
    policy.write_text(policy.read_text("utf-8").replace("remove", "off"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"policy.json（被改动）"):
        run("answer", "偏头痛做什么检查", "--bundle", "b")


def test_diff_shows_what_changed_and_opens_one_model_once(run: Run, opened: list[Path | None], tmp_path: Path) -> None:
    make(run, "old")
    put(tmp_path / "my.kb", "丙", entity("偏头痛", ("检查", "脑电图")))
    make(run, "new")
    (tmp_path / "q.txt").write_text("偏头痛做什么检查\n胃溃疡做什么检查\n", encoding="utf-8")
    said = run("bundle", "diff", "old", "new", "--questions", "q.txt")
    assert "2 个问题中有 1 个的回答或依据不同" in said
    assert "偏头痛的检查：脑电图" in said
    assert len(opened) == 1, "both have the same adapter"
    found = json.loads(run("bundle", "diff", "old", "new", "--questions", "q.txt", "--json"))
    (change,) = found["changes"]
    assert change["facts"] == {"gone": [], "new": ["偏头痛的检查：脑电图"]}
    assert change["before"]["bundle"] == found["before"]
    assert "脑电图" in change["after"]["answer"]
    assert not json.loads(run("bundle", "diff", "new", "new", "--questions", "q.txt", "--json"))["changes"]
    with pytest.raises(ConfigError, match="--adapter"):
        run("bundle", "diff", "old", "new", "--questions", "q.txt", "--adapter", "a")


def test_diff_of_two_adapters_opens_both(run: Run, opened: list[Path | None], tmp_path: Path) -> None:
    make(run, "old")
    shutil.rmtree(tmp_path / "adapter")
    adapter_folder(tmp_path / "adapter", weight=1)
    make(run, "new")
    (tmp_path / "q.txt").write_text("偏头痛做什么检查\n", encoding="utf-8")
    run("bundle", "diff", "old", "new", "--questions", "q.txt")
    assert opened == [Path("old/adapter"), Path("new/adapter")]
