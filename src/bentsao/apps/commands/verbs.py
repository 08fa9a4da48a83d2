"""How every command line application of the project looks: Chinese headings, and no defaults that say nothing."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import App, Group, Parameter
from rich.console import Console

from bentsao.apps.help_pages import EXAMPLES, HelpPage, examples_of


class Line(App):
    """The whole command line: its lists show what each command is for, a command's own page all of its docstring.

    The page of a verb that only holds commands has the first example of each.
    """

    def help_print(
        self,
        tokens: Annotated[str | Iterable[str] | None, Parameter(show=False)] = None,
        *,
        console: Annotated[Console | None, Parameter(parse=False)] = None,
    ) -> None:
        """Print the page of the command that the tokens lead to; a verb's commands stand in the order of the work."""
        asked = self.parse_commands(tokens)[1][-1]
        if asked is not self:  # the verbs themselves are loaded when they are called
            below = [asked[name] for name in asked if not name.startswith("-")]
            for place, command in enumerate(below):
                command.sort_key = place
            # What the list of verbs says of a command gives way to its docstring.
            asked.help = None if asked.default_command else f"{_purpose(asked)}\n{EXAMPLES}\n{_first_examples(below)}"
        super().help_print(tokens, console=console)


def verb(name: str, purpose: str | None = None, *, version: str | None = None, kind: type[App] = App) -> App:
    """An application to put commands into.

    purpose: None for a verb, which `cli.COMMANDS` describes. version: None for one that is part of another. kind:
    `Line` for the root.
    """
    return kind(
        name=name,
        help=purpose,
        version=version,
        version_flags=["--version"] if version else [],
        group_commands=Group.create_default_commands("命令"),
        group_arguments=Group.create_default_arguments("参数"),
        group_parameters=Group.create_default_parameters("选项"),
        help_format="plaintext",
        help_formatter=HelpPage(),
        default_parameter=Parameter(negative_iterable=(), show_default=_worth_showing),
    )


def _purpose(app: App) -> str:
    return (app.help or "").partition(EXAMPLES)[0].rstrip()


def _first_examples(commands: Iterable[App]) -> str:
    found = [examples_of(inspect.getdoc(command.default_command)) for command in commands]
    return "\n".join(examples[0] for examples in found if examples)


def _worth_showing(default: Any) -> str | None:
    """A default as `--help` shows it; None for one that only says that nothing is given."""
    return None if default in (None, False, "", ()) else str(default)
