"""What the documentation tells people to type does what it says: every command that needs no model is run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from bentsao.apps.cli import build
from tests.docs.fences import PAGES, ROOT, Command, commands
from tests.docs.folder import fill

TUTORIAL = "tests/docs/test_tutorial.py"
ELSEWHERE = {
    "--help": "tests/apps/commands/test_help.py",
    "--version": "tests/test_packaging.py",
    "adapters inspect DIR_OR_ID --base": "tests/apps/commands/test_adapters.py",
    "answer": TUTORIAL,
    "bases check": "tests/apps/commands/test_bases.py",
    "bases convert": "tests/apps/commands/test_bases.py",
    "bases fetch": "tests/models/test_embedded.py",
    "build all --kb $SHARED/my.kb --ray": "tests/apps/cluster/test_ray.py",
    "bundle diff": "tests/apps/commands/test_bundle.py",
    "chat": TUTORIAL,
    "demo": "tests/apps/experiments",
    "evaluate choice": "tests/apps/commands/test_evaluate.py",
    "evaluate collect": "tests/apps/commands/test_evaluate_commands.py",
    "evaluate compare 基座=base.jsonl 微调=tuned.jsonl --judged": "tests/apps/commands/test_evaluate_commands.py",
    "evaluate judge": "tests/apps/commands/test_evaluate_commands.py",
    "evaluate knowledge": TUTORIAL,
    "evaluate open": "tests/apps/commands/test_evaluate.py",
    "evaluate polarity": "tests/apps/commands/test_evaluate.py",
    "evaluate safety": "tests/apps/commands/test_evaluate.py",
    "experiment": "tests/apps/experiments",
    "export": TUTORIAL,
    "finetune": TUTORIAL,
    "infer": "tests/apps/commands/test_infer.py",
    "serve": TUTORIAL,
}
"""Commands that need a model, an endpoint, a cluster or people, by how they begin → where the like of them is run.

The longest beginning counts. Everything that is not here is run in this file."""

NEEDS_NONE = re.compile(r"answer .*--no-model|evaluate judge .*--dry-run")
"""Those of them that need none after all."""

SMALLER = {"build qa": 40, "build dialogue": 20, "build grounded": 40, "build polarity": 20, "build choice": 20}
"""Rows that are made where the page makes thousands."""


def elsewhere(text: str) -> str:
    """Where a command is run if it is not run here, else ""."""
    said = text.removeprefix("bentsao ")
    if NEEDS_NONE.match(said):
        return ""
    begins = [start for start in ELSEWHERE if f"{said} ".startswith(f"{start} ")]
    return ELSEWHERE[max(begins, key=len)] if begins else ""


def run_here(page: Path) -> list[Command]:
    """A page's commands that are run, each once, in its order."""
    return list({one.text: one for one in commands(page) if not elsewhere(one.text)}.values())


NOT_AGAIN = {"README_EN.md", "tutorial.md", "tutorial_en.md"}
"""The English page has the commands of the Chinese one (test_readmes.py), and the tutorial has a test of its own."""

RUNS = {page.name: run_here(page) for page in PAGES if page.name not in NOT_AGAIN and run_here(page)}


def test_what_is_not_run_here_is_run_elsewhere() -> None:
    assert not [where for where in ELSEWHERE.values() if not (ROOT / where).exists()]
    written = [one.text.removeprefix("bentsao ") for page in PAGES for one in commands(page)]
    assert not [start for start in ELSEWHERE if not any(f"{said} ".startswith(f"{start} ") for said in written)]
    walked = {one.text.split()[1] for one in commands(ROOT / "docs" / "tutorial.md")}
    assert {start.split()[0] for start, where in ELSEWHERE.items() if where == TUTORIAL} <= walked


def test_enough_is_run_here() -> None:
    assert sum(map(len, RUNS.values())) > 35
    verbs = {one.text.split()[1] for each in RUNS.values() for one in each}
    assert {"kb", "build", "bases", "doctor", "evaluate", "answer", "adapters", "bundle"} <= verbs


@pytest.fixture
def folder(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a page's commands are run, with the knowledge bases that some take as given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    fill(tmp_path, page)
    run("bentsao kb import disease.csv --kb my.kb")
    run("bentsao kb import 科室的表.csv --kb new.kb --columns 名称=病种,症状=主诉,药物治疗=首选用药")
    for name in ("old.kb", "real.kb", "KB"):
        shutil.copy("my.kb", name)
    return tmp_path


def run(line: str) -> None:
    """One command, in this process; whatever it raises or exits with is the test's fault."""
    words = shlex.split(line)[1:]
    assert build()(words, result_action="return_value") in (None, 0), line


def smaller(line: str) -> str:
    """With few rows."""
    for start, rows in SMALLER.items():
        if line.startswith(f"bentsao {start} "):
            return re.sub(r" --rows \d+", "", line) + f" --rows {rows}"
    return line


@pytest.mark.parametrize("page", RUNS)
def test_the_commands_of_a_page_run_and_say_something(
    page: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for one in RUNS[page]:
        try:
            run(smaller(one.text))
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{one}\n{error!r}") from error
        assert "".join(capsys.readouterr()).strip(), f"{one} prints nothing"
        made = re.search(r"--out (\S+)", one.text)
        assert made is None or "--dry-run" in one.text or (folder / made[1]).exists(), f"{one} writes nothing"
