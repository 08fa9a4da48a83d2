"""Whether a text goes round in circles."""

from __future__ import annotations

from collections import Counter


def repeated(text: str, size: int = 12, times: int = 3) -> str | None:
    """The first run of `size` characters (blanks left out) that occurs `times` times or more, which may overlap.

    None where there is none.
    """
    joined = "".join(text.split())
    if len(joined) < size + times - 1:
        return None
    counts = Counter(joined[at : at + size] for at in range(len(joined) - size + 1))
    return next((run for run, count in counts.items() if count >= times), None)


def loops(text: str, size: int = 12, times: int = 3) -> bool:
    """Whether any `size` characters in a row (blanks left out) occur `times` times or more; they may overlap."""
    return repeated(text, size, times) is not None
