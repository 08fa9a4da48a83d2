"""TOML, on every Python that the project runs on."""

from __future__ import annotations

import re
import sys
from typing import Any

from bentsao.core.errors import GIVES_UP, DataError, Fault, gave_up

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The values of a TOML text. file: what it is called in errors. Raises DataError naming the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = int(found[1]) if found else None
        written = text.split("\n")[line - 1] if line else ""
        raise DataError([Fault(file, line, "TOML", written, f"不是合法的 TOML：{error}。")]) from None
    except GIVES_UP as error:
        raise DataError([Fault(file, None, "TOML", text[:40], gave_up(error))]) from None
