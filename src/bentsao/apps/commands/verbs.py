"""How every command line application of the project looks: Chinese headings, and no defaults that say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import App, Group, Parameter
from rich.console import Console

from bentsao.apps.help_pages import HelpPage


class Line(App):
    """The whole command line, whose lists show what each command is for, and its own page all of its docstring."""

    def help_print(
        self,
        tokens: Annotated[str | Iterable[str] | None, Parameter(show=False)] = None,
        *,
        console: Annotated[Console | None, Parameter(parse=False)] = None,
    ) -> None:
        """Print the page of the command that the tokens lead to; a verb's commands stand in the order of the work."""
        asked = self.parse_commands(tokens)[1][-1]
        if asked is not self:  # the verbs themselves are loaded when they are called
            if asked.default_command is not None:
                asked.help = None  # what the list of verbs says of it gives way to its docstring
            for place, name in enumerate(name for name in asked if not name.startswith("-")):
                asked[name].sort_key = place
        super().help_print(tokens, console=console)


def verb(name: str, purpose: str | None, *, version: str | None = None, kind: type[App] = App) -> App:
    """An application to put commands into.

    purpose: None where a command of its own (`app.default`) says it. version: None for one that is part of another.
    kind: `Line` for the root.
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


def _worth_showing(default: Any) -> str | None:
    """A default as `--help` shows it; None for one that only says that nothing is given."""
    return None if default in (None, False, "", ()) else str(default)
