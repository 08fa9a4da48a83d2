"""Texts as cells of tables that people open in a spreadsheet, where `=1+1` and the like would be worked out."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_cell(text: str) -> str:
    """The text, with a quote before it where a spreadsheet would take it for a formula."""
    return "'" + text if text.lstrip("'").startswith(_FORMULA) else text


def from_cell(cell: str) -> str:
    """What `as_cell` was given."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell
