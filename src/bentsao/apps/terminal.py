"""Text of other people's (data, models, names of files) as it may stand on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.markup import escape

_CONTROLS: Mapping[int, str] = {
    code: "\ufffd" for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\n\t"
}


def printable(text: str) -> str:
    """The text without control characters, which could rewrite what stands on a terminal."""
    return text.translate(_CONTROLS)


def plain_markup(text: str) -> str:
    """The same for where rich reads markup: its brackets stand for themselves."""
    return escape(printable(text))
