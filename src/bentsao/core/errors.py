"""The errors that users see. Every message names the value at fault and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BentsaoError(Exception):
    """Root of all errors that are the user's to solve; the command line prints them without a traceback."""


class ConfigError(BentsaoError):
    """A recipe, flag or format file asks for something that cannot be."""


class MissingError(BentsaoError):
    """Something needed is not installed, not downloaded or not in the folder given."""


class ModelError(BentsaoError):
    """A base model or adapter does not fit what is asked of it."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong at one place of an input file.

    `line` counts from 1 and is None where the file as a whole is at fault; `item` counts the items of a JSON array
    from 1 and is None elsewhere; `value` is the offending value as read, shortened for printing only.
    """

    file: str
    line: int | None
    field: str
    value: object
    reason: str
    item: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        place += "" if self.item is None else f"（第 {self.item} 项）"
        shown = repr(self.value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        return f"{place}  字段 {self.field}  值 {shown}  {self.reason}"


class DataError(BentsaoError):
    """All faults found in the input files, not only the first."""

    SHOWN = 20

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        lines = [f"输入数据有 {len(self.faults)} 处错误："]
        lines += [f"  {fault}" for fault in self.faults[: self.SHOWN]]
        if len(self.faults) > self.SHOWN:
            lines.append(f"  …… 其余 {len(self.faults) - self.SHOWN} 处从略")
        super().__init__("\n".join(lines))
