"""What is in a data set: counts, diversity, what was refused, and a few rows of each form. Figures only; no page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bentsao.construction.diversity import Diversity, diversity, rank
from bentsao.construction.filtering import Refused, Tally, refused_path
from bentsao.core.conversations import read_conversations
from bentsao.core.records import Conversation
from bentsao.core.rows import read_rows

UNNAMED = "（未标明）"
"""What stands for a form, split, difficulty or attribute that rows do not name."""


@dataclass(frozen=True)
class DataReport:
    """The figures of one or more files.

    `files`: name → rows. `counts`: by form, split, difficulty, writer and attribute (of the row's evidence), each from
    the most frequent; an attribute counts once a row. `samples`: of each form the rows drawn. `refused` is None where
    no refused rows lie beside the files.
    """

    files: dict[str, int]
    counts: dict[str, Counter[str]]
    diversity: Diversity
    refused: Tally | None
    samples: dict[str, list[Conversation]]


@dataclass
class _Samples:
    """Of each form the `size` rows whose hash with the seed is smallest: the same in whatever order they come."""

    size: int
    seed: int
    drawn: dict[str, list[Conversation]] = field(default_factory=dict[str, list[Conversation]])

    def offer(self, form: str, row: Conversation) -> None:
        of = self.drawn.setdefault(form, [])
        of.append(row)
        if len(of) > 2 * self.size + 8:
            self._cut(of)

    def of_each(self) -> dict[str, list[Conversation]]:
        for of in self.drawn.values():
            self._cut(of)
        return self.drawn

    def _cut(self, of: list[Conversation]) -> None:
        of.sort(key=lambda row: (rank(row.id, self.seed), row.id))
        del of[self.size :]


def report(paths: Sequence[Path], samples: int = 5, seed: int = 0) -> DataReport:
    """The figures of the files together, with the rows refused that lie beside them (`filtering.refused_path`).

    samples: rows of each form to show. Raises DataError or MissingError as `read_conversations` does.
    """
    files: dict[str, int] = {}
    counts = {name: Counter[str]() for name in ("form", "split", "difficulty", "writer", "attribute")}
    drawn = _Samples(samples, seed)

    def rows() -> Iterator[Conversation]:
        for path in paths:
            conversations = read_conversations(path).conversations
            files[str(path)] = len(conversations)
            for row in conversations:
                _count(counts, row)
                drawn.offer(row.made.form if row.made else UNNAMED, row)
                yield row

    varied = diversity(rows(), seed)
    return DataReport(files, counts, varied, _refused(paths), drawn.of_each())


def read_refused(path: Path) -> list[Refused]:
    """The rows of a file of refused rows. Raises DataError with all of its faults."""
    return read_rows(path, lambda _, row: Refused.model_validate_json(json.dumps(row)))


def _refused(paths: Sequence[Path]) -> Tally | None:
    beside = [refused_path(path) for path in paths if refused_path(path).is_file()]
    if not beside:
        return None
    tally = Tally()
    for path in beside:
        for one in read_refused(path):
            tally.count(one)
    return tally


def _count(counts: dict[str, Counter[str]], row: Conversation) -> None:
    made = row.made
    counts["form"][made.form if made else UNNAMED] += 1
    counts["split"][(made.split if made else "") or UNNAMED] += 1
    counts["difficulty"][(made.difficulty if made else "") or UNNAMED] += 1
    counts["writer"][made.writer if made else UNNAMED] += 1
    counts["attribute"].update(_attributes(row) or [UNNAMED])


def _attributes(row: Conversation) -> list[str]:
    return list(dict.fromkeys(item.fact.attribute for item in row.evidence))
