"""What the documentation tells people to type is understood by the command line, and the files it names are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.command_lines import fault
from tests.docs.fences import PAGES, ROOT, Command, commands, named, overlooked

COMMANDS = [command for page in PAGES for command in commands(page)]
SCRIPTS = [command for page in PAGES for command in commands(page, "python")]


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 140
    assert any(command.page == "README.md" for command in COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_understood(page: Path) -> None:
    wrong = {str(one): said for one in commands(page) if (said := fault(one.text))}
    assert not wrong, "\n".join(f"{command}\n  {said}" for command, said in wrong.items())


NO_COMMANDS = {"bentsao <verb>", "bentsao --ray"}
"""Said of several commands at once."""

OTHERS = re.compile(r"docker build |python benchmarks/tuning\.py |  --systems ")
"""Lines of other programs, to which bentsao is an argument."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_only_named_is_known(page: Path) -> None:
    ones = [one for one in named(page) if one.text not in NO_COMMANDS]
    wrong = {str(one): said for one in ones if (said := fault(one.text.replace("FORMAT", "hf"), whole=False))}
    assert not wrong, "\n".join(f"{command}\n  {said}" for command, said in wrong.items())


def test_nothing_is_overlooked() -> None:
    assert not [f"{page.name}: {line}" for page in PAGES for line in overlooked(page) if not OTHERS.match(line)]
    assert any(one.text.startswith("bentsao chat --grounded --kb") for one in COMMANDS), "behind a pipe"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    text = re.sub(r"^```python\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    named = re.findall(r"(?<![\w/.])((?:benchmarks|recipes|scripts|tests|src/bentsao)/[\w/.]*\w\.\w+)", text)
    missing = sorted({name for name in named if not (ROOT / name).exists()})
    assert not missing


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_scripts_have_the_flags_that_they_are_given(script: Command) -> None:
    found = re.match(r"python ((?:benchmarks|scripts)/\w+\.py)(.*)", script.text)
    if found is None:
        assert re.match(r"python (-m |- <<)", script.text), "a script that is not the project's"
        return
    tree = ast.parse((ROOT / found[1]).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names = {f"--{node.arg.replace('_', '-')}" for node in ast.walk(tree) if isinstance(node, ast.arg)}
    given = found[2].split(" -- ", maxsplit=1)[0]
    assert not set(re.findall(r"(?<=\s)--[\w-]+", given)) - texts - names
