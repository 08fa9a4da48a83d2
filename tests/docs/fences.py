"""The commands that stand in the code fences of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README_EN.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SHELL = {"", "bash", "sh", "console"}
_ENDS = re.compile(r"\s(?:&&|\|\||\||>|>>|2>|;|&|#)(?:\s|$)")
"""Where a command ends in its line: at the shell's own signs and at a comment."""


@dataclass(frozen=True)
class Command:
    """A command as it stands in a page."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.text}"


def fences(page: Path) -> Iterator[tuple[int, str]]:
    """The shell fences of a page, each with the number of its first line."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        if found[1] in _SHELL:
            yield text.count("\n", 0, found.start()) + 2, found[2]


def commands(page: Path, program: str = "bentsao") -> list[Command]:
    """The commands of one program; what is written as `a|b`, `[--flag]` and `…` is said as it is meant."""
    found: list[Command] = []
    for first, text in fences(page):
        whole, started = "", 0
        for number, line in enumerate(text.split("\n"), start=first):
            started = started if whole else number
            whole += line
            if whole.endswith("\\"):
                whole = whole[:-1]
                continue
            found.extend(Command(page.name, started, said) for said in _said(whole, program))
            whole = ""
    return found


def _said(line: str, program: str) -> Iterator[str]:
    for part in re.split(r"&&|;(?=\s)", line):
        text = part.strip().removeprefix("$ ")
        text = re.sub(r"^(?:\w+=\S+ )+", "", text)
        if not text.startswith(f"{program} "):
            continue
        if end := _ENDS.search(_without_quotes(text)):
            text = text[: end.start()]
        yield from _alternatives(text.strip())


def _without_quotes(text: str) -> str:
    """The same with quoted pieces blanked out, so that places stay."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: "x" * len(quoted[0]), text)


def _alternatives(text: str) -> Iterator[str]:
    """`[--flag X]` with its brackets off, `…` left out, `a|b` both ways, and N as a number."""
    words: list[Sequence[str]] = []
    for word in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", text):
        plain = word if word[0] in "'\"" else word.strip("[]")
        if plain in ("…", "..."):
            continue
        plain = "1" if plain == "N" else plain
        words.append(plain.split("|") if re.fullmatch(r"[\w-]+(?:\|[\w-]+)+", plain) else [plain])
    for chosen in product(*words):
        yield " ".join(chosen)
