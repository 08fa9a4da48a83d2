from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from tests.command_lines import commands, fault

HELP = {" ".join(path): inspect.getdoc(app.default_command) or "" for path, app in commands()}


def test_the_walk_finds_the_commands() -> None:
    assert {"finetune", "kb import", "build qa", "evaluate", "evaluate judge", "bundle make", "demo"} <= HELP.keys()
    assert len(HELP) > 40


@pytest.mark.parametrize("command", HELP)
def test_every_command_says_what_it_does_and_gives_an_example_that_parses(command: str) -> None:
    first, *_ = HELP[command].split("\n")
    assert re.search("[\u4e00-\u9fff]", first), "a line in Chinese says what it does"
    _, heading, examples = HELP[command].partition("\n例：\n\n")
    assert heading, "no 例："
    lines = [line.strip() for line in examples.split("\n") if line.strip()]
    assert any(line.startswith(f"bentsao {command}") for line in lines)
    for line in lines:
        assert line.startswith("bentsao ")
        assert fault(line) == ""


def test_a_wrong_flag_is_a_fault() -> None:
    assert "--no-such" in fault("bentsao kb show 偏头痛 --no-such")
    assert fault("bentsao kb no-such-command")
    assert fault("bentsao kb show")


@pytest.mark.parametrize("width", [80, 120])
def test_the_help_page_fits_and_speaks_chinese(width: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bentsao.apps.cli", "kb", "import", "--help"],
        env={"COLUMNS": str(width), "PATH": "", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    for word in ("参数", "选项", "例：", "bentsao kb import disease.csv drug.json --kb my.kb --licence 仅供测试"):
        assert word in done.stdout
    for word in ("Parameters", "Arguments", "--empty-", '[default: ""]', "[default: False]"):
        assert word not in done.stdout
