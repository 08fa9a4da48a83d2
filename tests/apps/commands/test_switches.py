from __future__ import annotations

from typing import Annotated

import pytest
from cyclopts import App, Parameter

from bentsao.apps.commands.switches import VALUE_OR_NONE, Switch, is_on


@pytest.mark.parametrize(
    ("said", "on"),
    [
        ([], None),
        (["--on"], True),
        (["--on", "True"], True),
        (["--on", "false"], False),
        (["--on=0"], False),
        (["--on", "--rows", "3"], True),
        (["--rows", "3", "--on", "1"], True),
    ],
)
def test_a_value_or_none(said: list[str], on: bool | None) -> None:
    app = App(result_action="return_value")

    @app.default
    def command(  # pyright: ignore[reportUnusedFunction]
        *, on: Annotated[Switch | None, VALUE_OR_NONE, Parameter(name="--on")] = None, rows: int = 0
    ) -> tuple[bool, bool, int]:
        return is_on(on, default=False), is_on(on, default=True), rows

    low, high, rows = app(said, exit_on_error=False, print_error=False)
    assert (low, high) == ((False, True) if on is None else (on, on))
    assert rows == (3 if "--rows" in said else 0)
