"""Writes the table of files into each room's page in docs/, from the modules' own first lines.

    python scripts/room_files.py            # rewrites the tables
    python scripts/room_files.py --check    # exit status 1 where one is out of date

A page has its table between `<!-- files -->` and `<!-- /files -->`.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "knowledge", "models", "construction", "tuning", "inference", "evaluation", "apps")
MARKS = re.compile(r"<!-- files -->.*?<!-- /files -->", re.DOTALL)


def table(room: str) -> str:
    """A row for each module and package of a room, packages before what is in them."""
    folder = ROOT / "src" / "bentsao" / room
    rows = ["| file | what it is |", "|---|---|"]
    for path in sorted(folder.rglob("*.py"), key=lambda path: (path.parent, path.name != "__init__.py", path.name)):
        told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        name = path.relative_to(folder).as_posix()
        shown = name.removesuffix("__init__.py") or "(the room)"
        if first := " ".join(told.split("\n\n")[0].split()):
            rows.append(f"| `{shown}` | {first.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def updated(room: str) -> tuple[Path, str, str]:
    """A room's page: its path, its text, and the text that it should have."""
    page = ROOT / "docs" / f"{room}.md"
    text = page.read_text(encoding="utf-8")
    new = f"<!-- files -->\n{table(room)}\n<!-- /files -->"
    return page, text, MARKS.sub(lambda _: new, text)


def main() -> None:
    """Rewrites, or checks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for room in ROOMS:
        page, text, right = updated(room)
        if text != right:
            stale += 1
            print(f"{page.name}: {'out of date' if check else 'rewritten'}")
            if not check:
                page.write_text(right, encoding="utf-8")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
