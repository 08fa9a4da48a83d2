"""Command lines as people write them, held against the real command line without running anything."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import cyclopts

from bentsao.apps.cli import build


def commands(
    app: cyclopts.App | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], cyclopts.App]]:
    """Every command that does something, with its words."""
    app = app or build()
    if path and app.default_command is not None:
        yield path, app
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], (*path, name))


def fault(line: str) -> str:
    """What the command line would say against `bentsao …`; "" where it is understood."""
    words = shlex.split(line, comments=True)
    assert words[0] == "bentsao", line
    try:
        build().parse_args(words[1:], exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        return str(error)
    return ""


def wrong_mention(line: str) -> str:
    """What is wrong where a text only names a command: it may lack arguments, but it and its flags must be there."""
    words = shlex.split(line, comments=True)[1:]
    said = fault(line)
    if said and "requires an argument" in said:
        *_, app = build().parse_commands(words)[1]
        known = {name for argument in app.assemble_argument_collection() for name in argument.names}
        said = " ".join(word for word in words if word.startswith("-") and word not in known)
    return said
