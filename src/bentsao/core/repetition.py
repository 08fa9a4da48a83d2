"""Whether a text goes round in circles."""

from __future__ import annotations

from collections import Counter


def loops(text: str, size: int = 12, times: int = 3) -> bool:
    """Whether any `size` characters in a row (blanks left out) occur `times` times or more; they may overlap."""
    return bool(repeated(text, size, times))


def repeated(text: str, size: int = 12, times: int = 3) -> dict[str, float]:
    """The runs of `size` characters (blanks left out) that occur `times` times or more, in the order of the text.

    With each the share of the text's characters that lie in this run or one before it: the last one's share is that
    of all of them together. Empty where nothing is repeated.
    """
    joined = "".join(text.split())
    counts = Counter(joined[at : at + size] for at in range(len(joined) - size + 1))
    covered = set[int]()
    out: dict[str, float] = {}
    for run in (run for run, count in counts.items() if count >= times):
        at = joined.find(run)
        while at >= 0:
            covered.update(range(at, at + size))
            at = joined.find(run, at + 1)
        out[run] = len(covered) / len(joined)
    return out
