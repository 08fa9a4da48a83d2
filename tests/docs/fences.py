"""The commands that the documentation tells people to type: those in its fences, and those named within its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README_EN.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
SHELL = re.compile(r"|bash|sh|console")
_MAY_HOLD_COMMANDS = re.compile(r"(?!python|text).*")
"""Python has tests of its own (test_extend.py, test_other_fences.py), and `text` is what is printed."""
_NEXT = re.compile(r"&&|;(?=\s)|\s\|\s")
"""What stands between two commands in a line."""
_ENDS = re.compile(r"\s(?:&&|\|\||\||>|>>|2>|;|&|#)(?:\s|$)")
"""Where a command ends in its line: at the shell's own signs and at a comment."""
_LAUNCHED = re.compile(r"^(?:ExecStart=\S+/|[^#]*\s-m (?=bentsao\.apps\.cli\s))bentsao(?:\.apps\.cli)?(?=\s)")
"""The program under another's care: a service's, or `torchrun … -m bentsao.apps.cli`."""
_NAMED = re.compile(r"(?<![\w/.=-])bentsao(?:\.apps\.cli)?\"?,? +(?=[\"\w<…-])")
PLACEHOLDERS = {"N": "1", "FORMAT": "hf"}
"""What is said for words that stand for a value of some kind; others in capitals are names, taken as they are."""


@dataclass(frozen=True)
class Command:
    """A command as it stands in a page."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.text}"


def fences(page: Path, language: re.Pattern[str] = SHELL) -> Iterator[tuple[int, str]]:
    """The fences of a page in a language, each with the number of its first line."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        if language.fullmatch(found[1]):
            yield text.count("\n", 0, found.start()) + 2, found[2]


def lines(page: Path) -> Iterator[tuple[int, str]]:
    r"""The lines of all fences that may hold commands, each with its number; what a `\` continues is one line."""
    for first, text in fences(page, _MAY_HOLD_COMMANDS):
        whole, started = "", 0
        for number, line in enumerate(text.split("\n"), start=first):
            started = started if whole else number
            whole += line
            if whole.endswith("\\"):
                whole = whole[:-1]
                continue
            yield started, whole
            whole = ""


def commands(page: Path, program: str = "bentsao") -> list[Command]:
    """The commands of one program; what is written as `a|b`, `[--flag]` and `…` is said as it is meant."""
    return [Command(page.name, number, said) for number, line in lines(page) for said in _said(line, program)]


def named(page: Path, program: str = "bentsao") -> list[Command]:
    """The commands that the text names outside the fences, in backquotes."""
    text = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), page.read_text(encoding="utf-8"))
    return [
        Command(page.name, text.count("\n", 0, span.start()) + 1, said)
        for span in _SPAN.finditer(text)
        for said in _said(span[1], program)
    ]


def overlooked(page: Path) -> list[Command]:
    """The lines of fences in which the program stands more often than commands were read from them."""
    return [
        Command(page.name, number, line)
        for number, line in lines(page)
        if len(_NAMED.findall(re.sub(r"(?:^|\s)#.*", "", line))) > len(list(_said(line, "bentsao")))
    ]


def _said(line: str, program: str) -> Iterator[str]:
    between = list(_NEXT.finditer(_without_quotes(line)))
    starts, ends = [0, *(found.end() for found in between)], [*(found.start() for found in between), None]
    for start, end in zip(starts, ends, strict=True):
        text = line[start:end].strip().removeprefix("$ ")
        if text.startswith("CMD ["):
            text = " ".join(json.loads(text.removeprefix("CMD ")))
        text = re.sub(r"^(?:\w+=\S+ )+", "", _LAUNCHED.sub("bentsao", text))
        if not text.startswith(f"{program} "):
            continue
        if sign := _ENDS.search(_without_quotes(text)):
            text = text[: sign.start()]
        yield from _alternatives(text.strip())


def _without_quotes(text: str) -> str:
    """The same with quoted pieces blanked out, so that places stay."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: "x" * len(quoted[0]), text)


def _alternatives(text: str) -> Iterator[str]:
    """`[--flag X]` with its brackets off, `a|b` both ways; `…` left out, or as a value where a flag wants one."""
    words: list[list[str]] = []
    for word in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", text):
        plain = str(word if word[0] in "'\"" else word.strip("[]"))
        if plain in ("…", "..."):
            if words[-1][0].startswith("-"):
                words.append([plain])
            continue
        either = plain.split("|") if re.fullmatch(r"[\w-]+(?:\|[\w-]+)+", plain) else [plain]
        words.append([PLACEHOLDERS.get(one, one) for one in either])
    for chosen in product(*words):
        yield " ".join(chosen)
