"""How `--help` and errors in a command line look: in Chinese, broken as Chinese is, examples that can be copied."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import cyclopts
from cyclopts.help import AsteriskRenderer, ColumnSpec, DefaultFormatter, HelpEntry, NameRenderer
from pydantic import ValidationError
from rich.cells import cell_len
from rich.text import Text

from bentsao.apps.terminal import printable
from bentsao.core.complaints import complaints

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

EXAMPLES = "\n例：\n"
"""What stands in a docstring before its examples."""

_PIECES = re.compile(r"[!-~]+|\s+|.", re.DOTALL)
_NEVER_FIRST = frozenset("，。；：、！？）》」』”’…％,.;:!?)")
_NEVER_LAST = frozenset("（《「『“‘[(")


class HelpPage(DefaultFormatter):
    """A help page: what it is used like, what it is for, examples, and the flags in their groups."""

    def __init__(self) -> None:
        super().__init__(column_specs=_columns)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:  # noqa: ARG002
        """One line, two for what has commands and can be called itself; what is written large stands for one's own."""
        if usage:
            words = str(usage).strip().replace("[OPTIONS]", "[选项]").replace("[ARGS]", "[参数]")
            path, command, own = words.partition(" COMMAND")
            lines = [f"{path}{own}"] if own or not command else []
            lines += [f"{path} 命令"] if command else []
            console.print(Text("用法：" + "\n      ".join(lines), style="bold"))
            console.print()

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:  # noqa: ARG002
        """The docstring: its text broken into lines anew, its examples as they stand."""
        page = str(getattr(description, "primary_renderable", ""))
        if not page:
            return
        said = page.partition(EXAMPLES)[0]
        for paragraph in re.split(r"\n\s*\n", said.strip()):
            for line in paragraph.split("\n"):
                console.print(Prose(Text(line.strip())))
            console.print()
        if examples := examples_of(page):
            console.print("例：")
            for example in examples:
                text = "\n".join(f"  {line}" for line in copyable(example, console.width - 2))
                console.print(Text(text, style="green"), soft_wrap=True)
            console.print()


def examples_of(docstring: str | None) -> list[str]:
    """The commands that stand as examples in a docstring."""
    lines = (docstring or "").partition(EXAMPLES)[2].split("\n")
    return [line.strip() for line in lines if line.strip()]


class Prose:
    """Text in lines that break between Chinese characters, not only at blanks."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.text.divide(breaks(self.text.plain, options.max_width)):
            line.rstrip()
            line.no_wrap = True
            yield line


def breaks(text: str, width: int) -> list[int]:
    """Where lines of at most `width` cells end (offsets): no closing sign begins a line, and no opening one ends it."""
    ends, cells, start = [0], 0, 0
    for unit in _units(text, width):
        size = cell_len(unit.rstrip())
        if cells and cells + size > width:
            ends.append(start)
            cells = 0
        start += len(unit)
        cells += cell_len(unit)
    return ends[1:]


def _units(text: str, width: int) -> Iterator[str]:
    """The smallest pieces that may stand on a line of their own."""
    unit = ""
    for piece in _PIECES.findall(text):
        joined = piece.isspace() or piece[0] in _NEVER_FIRST or unit[-1:] in _NEVER_LAST
        if unit and not joined:
            yield unit
            unit = ""
        unit += piece
        while cell_len(unit.rstrip()) > width:  # a word longer than a line is cut
            fits = sum(1 for cells in accumulate(map(cell_len, unit)) if cells <= width)
            yield unit[: max(fits, 1)]
            unit = unit[max(fits, 1) :]
    if unit:
        yield unit


def copyable(command: str, width: int) -> list[str]:
    r"""The lines of a command, broken before a flag with a `\`, so that what is copied still runs."""
    lines: list[str] = []
    for part in re.split(r" (?=-)", command):
        if lines and cell_len(lines[-1]) + 1 + cell_len(part) + 2 <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}" if lines else part)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _columns(
    console: Console,
    options: ConsoleOptions,  # noqa: ARG001
    entries: list[HelpEntry],
) -> tuple[ColumnSpec, ...]:
    width = int(console.width * 0.35)
    names = ColumnSpec(renderer=NameRenderer(max_width=width), style="cyan", max_width=width)
    required = ColumnSpec(renderer=AsteriskRenderer(), style="red", width=1)
    described = (names, ColumnSpec(renderer=_described))
    return (required, *described) if any(entry.required for entry in entries) else described


def _described(entry: HelpEntry) -> Prose:
    said = entry.description
    text = Text(str(getattr(said, "primary_renderable", said) or "").rstrip())
    if entry.choices:
        text.append(f" [可选：{' '.join(entry.choices)}]", "dim")
    if entry.default is not None:
        text.append(f" [缺省：{entry.default}]", "dim")
    if entry.required:
        text.append(" [必填]", "red")
    return Prose(text)


_MEANT: Mapping[type, str] = {int: "整数", float: "数", bool: "True 或 False"}


def error_line(error: cyclopts.CycloptsError) -> Prose:
    """What is wrong with a command line, and the way out."""
    path = " ".join(("bentsao", *(error.command_chain or ())))
    return Prose(Text.assemble(("错误：", "bold red"), f"{printable(_said(error))}用法见 {path} --help。"))


def _said(error: cyclopts.CycloptsError) -> str:
    if isinstance(error, cyclopts.UnknownCommandError):
        known = [name for name in error.app or () if not name.startswith("-")]
        return f"没有 {(error.unused_tokens or ['?'])[0]} 这个命令，可用的有 {'、'.join(known)}。"
    if isinstance(error, cyclopts.UnknownOptionError):
        given = error.token.keyword or error.token.value
        known = [name for argument in error.argument_collection for name in argument.names]
        near = difflib.get_close_matches(given, known, n=1, cutoff=0.75)
        return f"没有 {given} 这个选项{f'，是不是 {near[0]}' if near else ''}。"
    if isinstance(error, cyclopts.MissingArgumentError) and error.keyword:
        return f"{error.keyword} 后面要写一个值。"
    if isinstance(error, cyclopts.MissingArgumentError):
        return f"缺少 {error.argument.name if error.argument else ''}。"
    if isinstance(error.__cause__, ValidationError):
        wrong = complaints(error.__cause__)
        return "".join(f"--{field.replace('_', '-')} 的值 {value!r} 不对：{what}" for field, value, what in wrong)
    if isinstance(error, cyclopts.CoercionError) and error.token is not None:
        name = error.token.keyword or (error.argument.name.lstrip("-").upper() if error.argument else "")
        choices = getattr(error.target_type, "__args__", ())
        meant = _MEANT.get(error.target_type) if error.target_type else None  # pyright: ignore[reportArgumentType]
        way_out = f"应是{meant}" if meant else f"可选 {'、'.join(map(str, choices))}" if choices else "读不懂"
        return f"{name} 的值 {error.token.value!r} 不对：{way_out}。"
    if isinstance(error, cyclopts.UnusedCliTokensError):
        return f"多出了 {' '.join(error.unused_tokens or ())}。带空格的话要加引号。"
    if isinstance(error, cyclopts.RepeatArgumentError):
        return f"{error.token.keyword} 给了两次。"
    return f"{error} "
