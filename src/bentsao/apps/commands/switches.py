"""Flags as the original's scripts write them: `--use_lora True`, `--load_8bit False`, or with no value at all."""

from __future__ import annotations

from typing import Literal

from cyclopts import Parameter

Switch = tuple[Literal["True", "False", "true", "false", "1", "0"], ...]
"""What stands behind the flag: one word, or none."""

VALUE_OR_NONE = Parameter(consume_multiple=(0, 1), negative=())
"""How such a flag is read; cyclopts 4, the last for Python 3.10, knows no other way."""


def is_on(switch: Switch | None, *, default: bool) -> bool:
    """What a switch says; None was not given, and is the default."""
    if switch is None:
        return default
    return switch[-1] in {"True", "true", "1"} if switch else True
