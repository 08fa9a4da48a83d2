"""The errors that users see. Every message names the value at fault and the way out."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass


class BentsaoError(Exception):
    """Root of all errors that are the user's to solve; the command line prints them without a traceback."""


_OS_REASONS = {
    errno.EACCES: "没有权限",
    errno.EPERM: "没有权限",
    errno.EROFS: "文件系统只读",
    errno.ENOSPC: "磁盘已满",
    errno.EDQUOT: "磁盘配额已用完",
    errno.ENOENT: "没有这个文件或目录",
    errno.ENOTDIR: "路径中有一段是文件，不是目录",
    errno.EISDIR: "是一个目录，不是文件",
    errno.EEXIST: "已经存在",
    errno.ENAMETOOLONG: "名字太长",
    errno.EADDRINUSE: "已被占用",
    errno.EADDRNOTAVAIL: "不是这台机器的地址",
}


def os_reason(error: OSError) -> str:
    """Why the system refused, in words; the system's own where there are none here."""
    return _OS_REASONS.get(error.errno or 0) or error.strerror or str(error)


def short(error: BaseException) -> str:
    """What another library's error says, in one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:200] + "……"


GIVES_UP = (RecursionError, ValueError)
"""What a parser of JSON or TOML raises for text of good syntax that it cannot read; catch its syntax error first."""


def gave_up(error: RecursionError | ValueError) -> str:
    """Why a parser gave up: `[[[[…`, or an integer of thousands of digits."""
    return "读不了：嵌套太深。" if isinstance(error, RecursionError) else "读不了：数字太长。"


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
