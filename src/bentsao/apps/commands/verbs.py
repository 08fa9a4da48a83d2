"""How every command line application of the project looks: Chinese headings, and no defaults that say nothing."""

from __future__ import annotations

from typing import Any

from cyclopts import App, Parameter


def verb(name: str, purpose: str, *, version: str | None = None) -> App:
    """An application to put commands into. version: None for one that is part of another."""
    return App(
        name=name,
        help=purpose,
        version=version,
        version_flags=["--version"] if version else [],
        group_commands="命令",
        group_arguments="参数",
        group_parameters="选项",
        default_parameter=Parameter(negative_iterable=(), show_default=_worth_showing),
    )


def _worth_showing(default: Any) -> str | None:
    """A default as `--help` shows it; None for one that only says that nothing is given."""
    return None if default in (None, False, "", ()) else str(default)
