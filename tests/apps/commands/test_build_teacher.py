"""The teacher's part of the command line: flags, estimate, a run, and what it prints."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import cyclopts
import pytest
from rich.console import Console

from bentsao.apps.commands.build_teacher import NO_FLAGS, TeacherFlags, teach_dialogue, teach_qa
from bentsao.construction.teacher.dialogues import DialoguePlan
from bentsao.construction.teacher.qa import QAPlan
from bentsao.core.errors import ConfigError
from bentsao.knowledge.sample import sample_kb
from tests.models.remote.server import serving

PLAN = QAPlan(names=("偏头痛",))


def parsed(*words: str) -> TeacherFlags:
    """The flags as the command line reads them."""
    found: list[TeacherFlags] = []
    app = cyclopts.App()

    @app.default
    def command(*, flags: Annotated[TeacherFlags, cyclopts.Parameter(name="*")] = NO_FLAGS) -> None:
        found.append(flags)

    app(list(words), result_action="return_value")
    return found[0]


def console() -> Console:
    return Console(file=io.StringIO(), width=1000)


def text(printed: Console) -> str:
    assert isinstance(printed.file, io.StringIO)
    return printed.file.getvalue()


def test_a_dry_run_sends_and_writes_nothing(tmp_path: Path) -> None:
    printed = console()
    with serving() as server:
        flags = parsed(
            "--api-base", server.url, "--teacher-model", "m", "--dry-run", "--price-in", "1", "--price-out", "2"
        )
        assert teach_qa(sample_kb(), tmp_path / "qa.jsonl", flags, PLAN, printed) is None
        assert not server.came
    assert "2 次调用" in text(printed)
    assert "花费约" in text(printed)
    assert not list(tmp_path.iterdir())


def test_a_run_says_what_it_came_to_and_goes_on(tmp_path: Path) -> None:
    printed = console()
    with serving() as server:
        flags = parsed("--api-base", server.url, "--teacher-model", "m", "--max-tokens-budget", "100")
        stopped = teach_qa(sample_kb(), tmp_path / "qa.jsonl", flags, PLAN, printed)
        assert stopped
        assert stopped.rows == []
        assert "还有 2 项没有做：预算到了" in text(printed)
        flags = parsed("--api-base", server.url, "--teacher-model", "m")
        written = teach_qa(sample_kb(), tmp_path / "qa.jsonl", flags, PLAN, printed)
        dialogues = teach_dialogue(sample_kb(), tmp_path / "d.jsonl", flags, DialoguePlan(passages=3), printed)
    assert written
    assert len(written.rows) == 8
    assert dialogues
    assert len(dialogues.rows) == 3
    assert "得到 8 条数据" in text(printed)
    assert (tmp_path / "qa.jsonl.calls.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "--teacher-model"),
        (("--teacher-model", "m", "--extra", "[1]"), "--extra"),
        (("--teacher-model", "m", "--extra", '{"n": 2, "top_p": 1}'), "不能另设 n"),
        (("--teacher-model", "m", "--concurrency", "0"), "concurrency"),
        (("--teacher-model", "m", "--rpm", "0"), "requests_per_minute"),
        (("--teacher-model", "m", "--max-money", "1"), "--price-in"),
        (("--teacher-model", "m", "--api-base", "localhost"), "--api-base"),
    ],
)
def test_flags_that_cannot_be_are_told(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=named):
        teach_qa(sample_kb(), tmp_path / "qa.jsonl", parsed(*words), PLAN, console())
