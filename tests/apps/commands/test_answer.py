from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

import bentsao.inference.engines.opening
from bentsao.apps.commands.answer import answer
from bentsao.apps.commands.chat import chat
from bentsao.apps.commands.infer import infer
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.records import Answer
from bentsao.inference.notice import NOTICE
from bentsao.models import shipped
from tests.inference.grounded.bases import grounded_base
from tests.inference.grounded.reader import Reader, then
from tests.knowledge.bases import entity, put

Run = Callable[..., str]


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grounded_base(tmp_path_factory.mktemp("kb") / "small.kb")


@pytest.fixture
def run(kb: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command on the small knowledge base in an empty folder and returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(verb: str, *arguments: str, engine: Reader | None = None, lines: tuple[str, ...] = ()) -> str:
        if engine is not None:
            monkeypatch.setattr(ModelChoice, "open", lambda _: engine)
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
        app = App(name="bentsao", result_action="return_value")
        for command in (answer, infer, chat):
            app.command(command)
        named = () if "--bundle" in arguments or "--kb" in arguments else ("--kb", str(kb))
        app([verb, *arguments, *named], exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return call


def test_the_answer_stands_above_its_evidence_and_the_notice(run: Run) -> None:
    assert run("answer", "偏头痛吃什么药", engine=Reader()) == (
        "偏头痛的药物治疗是布洛芬[1]。偏头痛的药物治疗（预防发作）是氟桂利嗪[2]。\n"
        "依据：\n"
        "[1] 偏头痛·药物治疗：布洛芬 —— 甲 甲.jsonl:1\n"
        "[2] 偏头痛·药物治疗（预防发作）：氟桂利嗪 —— 甲 甲.jsonl:1\n"
        f"\n{NOTICE}\n"
    )


def test_what_was_taken_out_is_told(run: Run) -> None:
    engine = Reader(then("阑尾切除术也常用。"))
    said = run("answer", "胃溃疡做什么检查", engine=engine)
    assert "阑尾切除术" not in said
    assert "1 处没有依据，已经删去" in said
    marked = run("answer", "胃溃疡做什么检查", "--guard", "mark", engine=engine)
    assert "阑尾切除术也常用。（资料中没有这一点）" in marked
    assert "1 处没有依据，已经标出" in marked


def test_an_answer_that_is_cut_is_told(run: Run) -> None:
    said = run("answer", "偏头痛吃什么药", "--max-new-tokens", "10", engine=Reader())
    assert said.startswith("资料中记载：")
    assert "没有说完；以上是资料原文" in said
    assert "没有说完。" in run("answer", "偏头痛吃什么药", "--max-new-tokens", "10", "--guard", "off", engine=Reader())


def test_json_has_the_keys_that_programs_rely_on(run: Run) -> None:
    found = json.loads(run("answer", "偏头痛的检查和费用", "--path", "model", "--json", engine=Reader()))
    assert list(found) == [
        "answer", "entities", "attributes", "evidence", "abstained", "path", "ask_back", "removed", "gaps", "bundle",
        "alarm", "cautions",
    ]  # fmt: skip
    assert found["answer"] == "偏头痛的检查是头颅CT[1]。"
    assert (found["entities"], found["attributes"]) == (["偏头痛"], ["检查", "治疗费用"])
    assert found["evidence"][0]["number"] == 1
    assert found["evidence"][0]["fact"]["values"] == ["头颅CT"]
    assert found["gaps"] == [{"entity": "偏头痛", "attribute": "治疗费用"}]
    assert (found["abstained"], found["path"], found["bundle"]) == (False, "model", "")
    removed = json.loads(run("answer", "胃溃疡做什么检查", "--json", engine=Reader(then("阑尾切除术。"))))["removed"]
    assert removed[0]["text"] == "阑尾切除术。"
    assert removed[0]["reason"]
    back = json.loads(run("answer", "AD吃什么药", "--json", engine=Reader()))
    assert set(back["ask_back"]) == {"阿尔茨海默病", "特应性皮炎"}


def test_history_says_what_a_follow_up_is_about(run: Run) -> None:
    assert "头颅CT[1]" in run("answer", "那要做什么检查？", "--history", "偏头痛有什么症状", engine=Reader())


def test_without_a_model_facts_only(run: Run) -> None:
    said = run("answer", "偏头痛要做什么检查", "--no-model")
    assert said.startswith("资料中记载：偏头痛的检查：头颅CT[1]。")
    assert "由模型生成" not in said
    assert run("answer", "胃溃疡做什么检查", "--no-model", "--path", "bm25").startswith("资料中记载：胃溃疡的检查")
    with pytest.raises(ConfigError, match="--path model 要用模型"):
        run("answer", "胃溃疡", "--no-model", "--path", "model")


def test_the_caller_says_what_is_asked(run: Run) -> None:
    oracle = ("--entity", "芬必得", "--attribute", "副作用")
    assert "恶心[1]" in run("answer", "这药怎么样", *oracle, engine=Reader())
    assert json.loads(run("answer", "这药怎么样", *oracle, "--no-model", "--json"))["path"] == "oracle"
    for wrong, told in (
        (("--path", "oracle"), "--entity"),
        (("--attribute", "检查"), "--entity"),
        (("--path", "linker", *oracle), "只用于 --path oracle"),
        (("--entity", "蓝血病"), "没有“蓝血病”"),
        (("--entity", "芬必得", "--attribute", "传染性"), "没有属性“传染性”"),
    ):
        with pytest.raises(ConfigError, match=told):
            run("answer", "问", *wrong, "--no-model")


def test_what_cannot_be_asked_is_an_error(run: Run) -> None:
    with pytest.raises(ModelError, match="问题太长"):
        run("answer", "长" * 500, engine=Reader(context=300))


def test_nothing_on_the_terminal_is_rewritten(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "odd.kb", "甲", entity("怪病", ("检查", "查\x1b[2J\n[9] 假的"), kind="disease"))
    said = run("answer", "怪病做什么检查", "--kb", str(tmp_path / "odd.kb"), "--no-model")
    assert "\x1b" not in said
    assert "\n[9]" not in said


# ---- the adapter that ships with the project ------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The adapters that engines were opened with."""
    seen: list[Any] = []

    def open_engine(**arguments: Any) -> Reader:
        seen.append((arguments["adapter"], arguments["base"]))
        if arguments["adapter"] is None and arguments["base"] is None:
            raise ConfigError("没有指定模型。")
        return Reader()

    monkeypatch.setattr(bentsao.inference.engines.opening, "open_engine", open_engine)
    return seen


def test_without_a_model_named_the_shipped_adapter_answers(
    run: Run, opened: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path / "shipped")
    with pytest.raises(ConfigError, match="没有指定模型"):
        run("answer", "胃溃疡做什么检查")
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "adapter_config.json").write_text("{}", encoding="utf-8")
    run("answer", "胃溃疡做什么检查")
    run("chat", "--grounded")
    run("answer", "胃溃疡做什么检查", "--base", "b")
    run("answer", "胃溃疡做什么检查", "--adapter", "a")
    with pytest.raises(ConfigError, match="没有指定模型"):
        run("answer", "胃溃疡做什么检查", "--use_lora", "False")
    folder = tmp_path / "shipped"
    assert opened == [(None, None), (folder, None), (folder, None), (None, "b"), (Path("a"), None), (None, None)]


# ---- grounded infer and chat ----------------------------------------------------------------------------


def test_a_file_is_answered_from_facts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("偏头痛做什么检查\n蓝血病怎么治\n", encoding="utf-8")
    said = run("infer", "q.txt", "--grounded", "--out", "out.jsonl", engine=Reader())
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    answers = [Answer.model_validate_json(line) for line in lines]
    assert [answer.text[:14] for answer in answers] == ["偏头痛的检查是头颅CT[1]", "知识库没有收录“蓝血病”。没"]
    assert [item.fact.values for item in answers[0].evidence] == [("头颅CT",)]
    assert "[1] 偏头痛·检查：头颅CT —— 甲" in said
    engine = Reader()
    run("infer", "q.txt", "--grounded", "--out", "out.jsonl", engine=engine)
    assert not engine.prompts, "nothing is asked twice"
    with pytest.raises(ConfigError, match="knowledge_base"):
        put(tmp_path / "other.kb", "甲", entity("偏头痛", ("检查", "脑电图")))
        run("infer", "q.txt", "--grounded", "--out", "out.jsonl", "--kb", str(tmp_path / "other.kb"), engine=Reader())
    with pytest.raises(ConfigError, match="请加上 --grounded"):
        run("infer", "q.txt", "--path", "linker", engine=Reader())
    with pytest.raises(ConfigError, match="--path oracle"):
        run("infer", "q.txt", "--grounded", "--path", "oracle", engine=Reader())
    with pytest.raises(ConfigError, match="bentsao answer"):
        run("infer", "--question", "问", "--grounded", engine=Reader())


def test_a_conversation_from_facts(run: Run) -> None:
    lines = ("偏头痛有什么症状", "那要做什么检查？", "/facts", "AD吃什么药", "第二个", "/reset", "/facts", "/help")
    said = run("chat", "--grounded", engine=Reader(), lines=lines)
    turns = said.split("你：")
    assert turns[1].startswith("偏头痛有什么症状\n答：偏头痛的临床症状及体征是")
    assert "依据：\n[1] 偏头痛·临床症状及体征：搏动性头痛；恶心；畏光 —— 甲" in turns[1]
    assert turns[2].startswith("那要做什么检查？\n答：偏头痛的检查是头颅CT[1]。")
    assert turns[3] == "/facts\n[1] 偏头痛·检查：头颅CT —— 甲 甲.jsonl:1\n"
    assert "您是指“" in turns[4]
    assert "·药物治疗：" in turns[5]
    assert "没有依据可列" in turns[7]
    assert "/facts" in turns[8]
    assert said.startswith(NOTICE)
    with pytest.raises(ConfigError, match="--system"):
        run("chat", "--grounded", "--system", "你是医生", engine=Reader())


def test_an_alarm_stands_before_a_grounded_answer(run: Run) -> None:
    said = run("answer", "我爸突然胸痛，偏头痛要做什么检查", engine=Reader())
    assert said.startswith("【急症提示】")
    assert said.index("120") < said.index("头颅CT[1]")
    found = json.loads(run("answer", "那怎么办", "--history", "我爸突然胸痛", "--json", engine=Reader()))
    assert found["alarm"]["kinds"] == ["胸痛"]
    talked = run("chat", "--grounded", engine=Reader(), lines=("我爸突然胸痛",))
    assert "【急症提示】" in talked
