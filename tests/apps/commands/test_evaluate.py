"""`bentsao evaluate` from the command line, with an engine that says what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from bentsao.apps.commands.evaluate import app as evaluate_app
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file
from bentsao.evaluation.safety import read_cases
from tests.construction.materials import small_kb
from tests.evaluation.models import SayingEngine
from tests.inference.grounded.adapters import adapter_folder
from tests.models.remote.server import Act, completion, serving

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `bentsao evaluate` with these arguments and returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def call(*arguments: str, engine: SayingEngine | None = None) -> str:
        if engine is not None:
            monkeypatch.setattr(ModelChoice, "open", lambda _: engine)
        app = App(name="bentsao", result_action="return_value")
        app.command(evaluate_app)
        app(["evaluate", *arguments], exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return call


def data(path: Path, question: str = "哪个对") -> str:
    rows = [{"question": f"{question}{n}", "options": ["一", "二", "三"], "answer": "ABC"[n % 3]} for n in range(6)]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def test_scores_report_and_terminal(run: Run, tmp_path: Path) -> None:
    engine = SayingEngine(lambda _: "答案是A")
    out = run(
        "choice", "--base", "some/base", "--data", data(tmp_path / "c.jsonl"), "--out", "out", "--shuffles", "2",
        engine=engine,
    )  # fmt: skip
    assert "33.3%" in out
    assert "换序一致" in out
    stored = json.loads(Path("out/scores.json").read_text(encoding="utf-8"))
    (scores,) = stored["scores"]
    assert (scores["system"], scores["items"]) == ("base", 6)
    assert scores["figures"]["letter_consistent"]["value"] == 0
    assert "33.3%" in Path("out/report.md").read_text(encoding="utf-8")
    asked = engine.asked
    same = ("choice", "--base", "some/base", "--data", "c.jsonl", "--out", "out", "--shuffles", "2")
    out = run(*same, "--rescore", "--json")
    assert json.loads(out)["scores"][0]["figures"] == scores["figures"]
    assert engine.asked == asked


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_shows_what_was_said_and_runs_none_of_it(run: Run, tmp_path: Path) -> None:
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    run(
        "choice", "--base", "some/base", "--data", data(tmp_path / "c.jsonl", evil), "--out", "out",
        engine=SayingEngine(lambda _: f"A {evil}"),
    )  # fmt: skip
    text = Path("out/report.html").read_text(encoding="utf-8")
    page = Tags()
    page.feed(text)
    assert [tag for tag, _ in page.seen].count("script") == 1
    assert not [tag for tag, _ in page.seen if tag in ("img", "link", "iframe")]
    assert not [name for _, attrs in page.seen for name in attrs if name.startswith("on") or name in ("src", "href")]
    items = [attrs for _, attrs in page.seen if attrs.get("class") == "item"]
    assert len(items) == 6
    assert {attrs["data-state"] for attrs in items} == {"对", "错"}
    assert "&lt;script&gt;alert(1)" in text


def adapter(path: Path, trained_on: Path | None = None) -> str:
    """A folder that names what it was tuned from, and on which rows."""
    folder = adapter_folder(path)
    told = {str(trained_on): sha256_file(trained_on)} if trained_on else {}
    (folder / "bentsao.json").write_text(json.dumps({"base": {"name": "some/base"}, "data": told}), "utf-8")
    return str(folder)


def test_several_adapters_side_by_side(run: Run, tmp_path: Path) -> None:
    items = data(tmp_path / "c.jsonl")
    rows = [{"question": f"第{n}味药怎么煎煮才好", "answer": "先煎。"} for n in range(3)]
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"question": "哪个对3", "answer": "甲。"}), "utf-8")
    one, other = adapter(tmp_path / "x" / "adapter"), adapter(tmp_path / "y" / "adapter", tmp_path / "b.jsonl")
    same = ("choice", "--adapter", one, "--data", items, "--shuffles", "0", "--with-base", "--out", "out", "--json")
    engine = SayingEngine(lambda _: "A")
    with pytest.raises(ConfigError, match="另起一个名字"):
        run(*same, "--also", other, engine=engine)
    with pytest.raises(ConfigError, match="是谁的"):
        run(*same, "--also", f"又={other}", "--trained-on", "a.jsonl", engine=engine)
    out = json.loads(run(*same, "--also", f"又={other}", "--trained-on", "adapter=a.jsonl", engine=engine))
    assert [score["system"] for score in out["scores"]] == ["base", "adapter", "又"]
    assert engine.asked == 3 * 6, "the base of both is measured once"
    assert [sum(score["contaminated"].values()) for score in out["scores"]] == [0, 0, 1]
    assert out["tuned"] == ["adapter", "又"]
    whole = [(gap["first"], gap["second"], gap["difference"]["n"]) for gap in out["gaps"] if gap["measure"] == "letter"]
    assert whole == [("adapter", "base", 6), ("又", "base", 5), ("又", "adapter", 5)]
    text = Path("out/report.md").read_text(encoding="utf-8")
    assert "又 − base" in text
    assert "没有测 adapter、又" in text, "no question outside medicine says what was forgotten"
    assert Path("out/report.html").read_text(encoding="utf-8").count("<svg") == 1


def test_a_limit_for_each_task(run: Run, tmp_path: Path) -> None:
    items = data(tmp_path / "c.jsonl")
    arguments = ("choice", "safety", "--base", "b", "--data", f"choice={items}", "--shuffles", "0", "--json")
    limits = ("--limit", "choice=2", "4", "--out", "out")
    out = json.loads(run(*arguments, *limits, engine=SayingEngine(lambda _: "A")))
    assert {score["task"]: score["items"] for score in out["scores"]} == {"choice": 2, "safety": 4}
    with pytest.raises(ConfigError, match="不测任务 open"):
        run(*arguments, "--limit", "open=3", "--out", "other")


def test_safety_asks_the_half_that_is_kept_for_testing(run: Run) -> None:
    out = json.loads(run("safety", "--base", "b", "--out", "out", "--json", engine=SayingEngine(lambda _: "")))
    (score,) = out["scores"]
    assert (score["items"], score["figures"]["safe"]["value"]) == (len(read_cases(split="test")), 0)
    assert "给出文件" in run("tasks").split("safety：")[1]


def test_tasks_written_from_a_knowledge_base(run: Run, tmp_path: Path) -> None:
    kb = str(small_kb(tmp_path))

    def measured(*more: str) -> dict[str, Any]:
        out = run(
            "polarity", "indications", "dialogue", "--base", "some/base", "--kb", kb, "--count", "6", "--limit", "6",
            "--json", *more,
            engine=SayingEngine(lambda _: ""),
        )  # fmt: skip
        return {one["task"]: one for one in json.loads(out)["scores"]}

    alone = measured("--plain", "--out", "alone")
    assert all(0 < one["items"] <= 6 for one in alone.values())
    worth = (("polarity", "both"), ("indications", "recall"), ("dialogue", "resolved"))
    assert [alone[task]["figures"][figure]["value"] for task, figure in worth] == [0, 0, 0]
    # What the model leaves unsaid is quoted from the knowledge base.
    grounded = measured("--out", "grounded")
    assert grounded["indications"]["figures"]["recall"]["value"] == 1
    assert Path("grounded/base/indications/grounded.jsonl").is_file()


def test_a_model_behind_an_api(run: Run, tmp_path: Path) -> None:
    def script(body: dict[str, Any], _: int) -> Act:
        return Act(body=completion("B"))

    with serving(script) as stub:
        out = run(
            "choice", "--api-base", stub.url, "--model", "外面/模型", "--key-env", "NO_SUCH_KEY",
            "--data", data(tmp_path / "c.jsonl"), "--shuffles", "0", "--out", "out", "--json",
        )  # fmt: skip
    (scores,) = json.loads(out)["scores"]
    assert scores["system"] == "模型"
    assert scores["figures"]["letter"]["value"] == pytest.approx(1 / 3)
    assert "likelihood" not in scores["figures"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chess", "--base", "b"), "chess"),
        (("choice", "--base", "b"), "--data"),
        (("choice", "open", "--base", "b", "--data", "c.jsonl"), "哪一个"),
        (
            ("choice", "--base", "b", "--api-base", "http://127.0.0.1:1/v1", "--model", "m"),
            "--api-base",
        ),
        (("choice", "--base", "b", "--with-base", "--data", "c.jsonl"), "--with-base"),
        (("choice", "--base", "b", "--data", "c.jsonl", "--min-coverage", "2"), "--min-coverage"),
        (("choice", "--base", "b", "--data", "c.jsonl", "--limit", "0"), "--limit"),
        (("choice", "--base", "b", "--data", "c.jsonl", "--limit", "choice=x"), "--limit"),
        (("choice", "--base", "b", "--data", "c.jsonl", "--also", "a"), "--also"),
        (("choice", "--base", "b", "--data", "c.jsonl", "--rescore", "--restart"), "--rescore"),
        (("choice", "--rpm", "3", "--data", "c.jsonl"), "--api-base"),
    ],
)
def test_what_cannot_be_is_said(run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    data(tmp_path / "c.jsonl")
    with pytest.raises(ConfigError, match=said):
        run(*arguments, "--out", "out")


def test_the_tasks_are_listed(run: Run) -> None:
    assert "choice：选择题" in run("tasks")
