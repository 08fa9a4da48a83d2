"""The longest common subsequence: how much of one text stands in another in the same order."""

from __future__ import annotations

from collections.abc import Sequence


def in_order(one: Sequence[str], other: Sequence[str]) -> int:
    """How many units of `one` stand in `other` in the same order.

    Bit-parallel, after Hyyrö (2004): a column of the table is one integer.
    """
    places: dict[str, int] = {}
    for at, unit in enumerate(one):
        places[unit] = places.get(unit, 0) | 1 << at
    full = (1 << len(one)) - 1
    column = full
    for unit in other:
        hit = column & places.get(unit, 0)
        column = ((column + hit) | (column - hit)) & full
    return len(one) - column.bit_count()
