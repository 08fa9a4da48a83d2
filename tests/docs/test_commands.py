"""What the documentation tells people to type is understood by the command line, and the files it names are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from tests.command_lines import fault, wrong_mention
from tests.docs.fences import PAGES, ROOT, Command, commands, lines, named, overlooked

COMMANDS = [command for page in PAGES for command in commands(page)]
SCRIPTS = [command for page in PAGES for command in [*commands(page, "python"), *named(page, "python")]]

NO_COMMANDS = {
    "bentsao --ray": "“`bentsao … --ray`”: several commands have it, the page says which",
    "bentsao <verb>": "stands for every verb",
}
"""What the text names and cannot be read as a command, and why."""

NAMES_SOMETHING_ELSE = {"python benchmarks/tuning.py": "`bentsao` is one of the systems that it compares"}
"""Lines in which the program's name is no call of it, by how they begin, and why."""


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 140
    assert {"README.md", "README_EN.md", "deploy.md", "scaling.md"} <= {command.page for command in COMMANDS}
    assert sum(len(named(page)) for page in PAGES) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_understood(page: Path) -> None:
    wrong = {str(one): said for one in commands(page) if (said := fault(one.text))}
    assert not wrong, "\n".join(f"{command}\n  {said}" for command, said in wrong.items())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_in_a_fence_is_overlooked(page: Path) -> None:
    assert [str(line) for line in overlooked(page) if not line.text.startswith(tuple(NAMES_SOMETHING_ELSE))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_the_text_names_are_there_with_their_flags(page: Path) -> None:
    wrong = {str(one): said for one in named(page) if one.text not in NO_COMMANDS and (said := wrong_mention(one.text))}
    assert not wrong, "\n".join(f"{command}\n  {said}" for command, said in wrong.items())


def test_what_is_let_through_is_still_named() -> None:
    assert set(NO_COMMANDS) <= {one.text for page in PAGES for one in named(page)}
    for start in NAMES_SOMETHING_ELSE:
        assert any(line.text.startswith(start) for page in PAGES for line in overlooked(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    text = re.sub(r"^```python\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    places = re.findall(
        r"(?<![\w/.-])((?:benchmarks|docs|examples|scripts|tests|src/bentsao)/(?:[\w./-]*\w/?)?)(?![\w*])", text
    )
    missing = sorted({place for place in places if not (ROOT / place).exists()})
    assert not missing


def test_targets_of_make_are_there() -> None:
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        for line in [line for _, line in lines(page)] + [one.text for one in named(page, "make")]:
            if found := re.match(r"make((?: [a-z][\w-]*)+)", line):
                assert set(found[1].split()) <= targets, f"{page.name}: {line}"


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_scripts_have_the_flags_that_they_are_given(script: Command) -> None:
    found = re.match(r"python ((?:benchmarks|scripts)/\w+\.py)(.*)", script.text)
    if found is None:
        assert re.match(r"python (?:-m |- <<)", script.text), "a script that is not the project's"
        return
    flags, choices = arguments(ROOT / found[1])
    given = found[2].split(" -- ", maxsplit=1)[0].split()
    assert not {word for word in given if word.startswith("--")} - flags
    if choices:
        assert given[0] in choices


def arguments(script: Path) -> tuple[set[str], list[str]]:
    """The flags of a script, and what its first word may be where it says so: its calls of `add_argument`."""
    flags: set[str] = set()
    choices: list[str] = []
    for call in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
            names: list[Any] = [ast.literal_eval(name) for name in call.args]
            flags.update(names)
            if not names[0].startswith("-"):
                choices += next((ast.literal_eval(word.value) for word in call.keywords if word.arg == "choices"), [])
    return flags, choices
