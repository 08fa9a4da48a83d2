from __future__ import annotations

import inspect
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from bentsao.apps.cli import COMMANDS, build
from bentsao.apps.help_pages import breaks, copyable
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


def page(command: str, width: int) -> str:
    """What `--help` prints on a terminal of that width."""
    console = Console(file=io.StringIO(), width=width)
    build().help_print(command.split(), console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", HELP)
def test_the_page_shows_the_examples_as_they_can_be_copied(command: str, width: int) -> None:
    shown = page(command, width)
    assert max(cell_len(line) for line in shown.split("\n")) <= width
    copied = re.sub(r"\s*\\\n\s*", " ", shown)
    for line in HELP[command].partition("\n例：\n")[2].split("\n"):
        assert line.strip() in copied
    for english in ("Usage", "Display", "Parameters", "Commands", "default:", "choices:", "required", "OPTIONS"):
        assert english not in shown


@pytest.mark.parametrize("verb", ["", *(name for name in COMMANDS if build()[name].default_command is None)])
def test_the_page_of_a_verb_that_only_holds_commands_has_examples_of_them(verb: str) -> None:
    shown = page(verb, 120)
    assert shown == page(verb, 120), "as often as it is asked for"
    examples = re.findall(r"^  (bentsao .*)$", shown.partition("\n例：\n")[2].partition("╭")[0], flags=re.MULTILINE)
    assert len(examples) >= 2
    assert all(example.startswith(f"bentsao {verb}") and fault(example) == "" for example in examples)


def test_a_verb_that_can_be_called_itself_is_used_in_two_ways() -> None:
    assert page("evaluate", 80).split("\n\n")[0].strip().split("\n") == [
        "用法：bentsao evaluate --out PATH [选项] TASKS",
        "      bentsao evaluate 命令",
    ]
    assert page("kb", 80).strip().split("\n")[0] == "用法：bentsao kb 命令"


def test_the_lists_say_what_each_command_is_for_in_the_order_of_the_work() -> None:
    listed = re.findall(r"│ (\w[\w-]*) +(\S.*\S) +│", page("", 120))
    assert listed == [(name, purpose) for name, (_, purpose) in COMMANDS.items()]
    below = re.findall(r"│ (\w[\w-]*) +(\S+)", page("evaluate", 80).partition("命令 ─")[2].partition("参数 ─")[0])
    assert [name for name, _ in below] == ["judge", "sheet", "collect", "compare", "tasks"]
    assert "打分" in below[0][1]


@given(st.text(alphabet="一二（），。 ab-\t", max_size=60), st.integers(4, 30))
def test_text_is_broken_at_the_width_and_nothing_is_lost(text: str, width: int) -> None:
    lines = Text(text).divide(breaks(text, width))
    assert "".join(line.plain for line in lines) == text
    assert all(cell_len(line.plain.strip()) <= width for line in lines)


def test_a_line_begins_with_no_closing_sign_and_ends_with_no_opening_one() -> None:
    lines = [line.plain for line in Text("甲乙丙丁，戊己（庚辛）").divide(breaks("甲乙丙丁，戊己（庚辛）", 8))]
    assert lines == ["甲乙丙", "丁，戊己", "（庚辛）"]


def test_a_long_example_is_broken_before_a_flag() -> None:
    assert copyable("bentsao kb import a.csv --kb my.kb --licence 甲", 30) == [
        "bentsao kb import a.csv \\",
        "    --kb my.kb --licence 甲",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shw", "没有 shw 这个命令"),
        ("kb shw", "可用的有 import、remove"),
        ("kb show", "缺少 ENTITY。用法见 bentsao kb show --help"),
        ("kb show 甲 乙", "多出了 乙"),
        ("finetune --lmit 3", "是不是 --limit"),
        ("finetune --limit x", "--limit 的值 'x' 不对：应是整数"),
        ("infer --engine y", "可选 auto、transformers"),
        ("kb show 甲 --kb a --kb b", "--kb 给了两次"),
        ("infer --engine", "--engine 后面要写一个值"),
        ("evaluate knowledge", "缺少 --out"),
        ("infer --top-k x", "--top-k 的值 'x' 不对：应是整数。用法"),
        ("answer 甲 --repetition-penalty abc", "--repetition-penalty 的值 'abc' 不对：应是数字。用法"),
        ("infer --nosuch", "没有 --nosuch 这个选项。用法"),
        ("export hff --out x", "FORM 的值 'hff' 不对：可选 hf"),
    ],
)
def test_a_wrong_command_line_is_answered_in_chinese(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build()(line.split())
    assert said in re.sub(r"\s+", " ", capsys.readouterr().err.replace("\n", ""))
