"""Reports that evaluation, experiments and training left in folders, to be read on the page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from bentsao.core.errors import BentsaoError, MissingError
from bentsao.core.files import read_text

MOST = 500
"""Reports that are listed."""

LARGEST = 8_000_000
"""Bytes of a report that is shown."""

_DEEPEST = 4
_SEALED = (
    "<!doctype html>"
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)
"""Whatever a report says, it fetches nothing and runs nothing."""


def check_folders(folders: Sequence[Path]) -> None:
    """Raises MissingError for what is no folder."""
    for folder in folders:
        if not folder.is_dir():
            raise MissingError(f"--reports {folder} 不是目录。请检查路径。")


def listed(folders: Sequence[Path]) -> dict[str, Path]:
    """The HTML pages in the folders and below, the newest first, by the name that is shown.

    Nothing outside the folders is listed, also where a link leads there, and only what is listed can be shown.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        root = folder.resolve()
        for path in _pages(root, _DEEPEST):
            name = f"{root.name}/{path.relative_to(root).as_posix()}"
            while name in found:
                name += " "  # two folders of one name
            found[name] = path
    return dict(sorted(found.items(), key=lambda item: -item[1].stat().st_mtime)[:MOST])


def _pages(root: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir() and depth > 1:
            yield from _pages(Path(entry.path), depth - 1)
        elif entry.is_file() and entry.name.lower().endswith((".html", ".htm")):
            yield Path(entry.path)


def report_html(folders: Sequence[Path], name: str | None) -> str:
    """A listed report in a frame of its own, which can neither run scripts nor fetch anything."""
    if not name:
        return ""
    path = listed(folders).get(name)
    if path is None:
        return '<p class="error">没有这份报告。</p>'
    try:
        if path.stat().st_size > LARGEST:
            return f'<p class="error">报告超过 {LARGEST // 1_000_000} MB，请直接打开文件。</p>'
        text = read_text(path)
    except (BentsaoError, OSError):
        return '<p class="error">这份报告读不出来。</p>'
    return f'<iframe class="report" sandbox="" title="{escape(name)}" srcdoc="{escape(_SEALED + text)}"></iframe>'
