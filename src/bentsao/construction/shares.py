"""Who gets how much: splits by entity, rows by subject, and a source of chance for each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, get_args

from bentsao.construction.forms.pen import Pen
from bentsao.construction.grammar import Grammar
from bentsao.construction.subjects import Material, Subject
from bentsao.core.files import sha256_text

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def split_of(name: str, seed: int, shares: Mapping[Split, float]) -> Split:
    """Which split an entity or document belongs to: by its name alone, so it is the same in every data set of a seed.

    shares: of each split, together 1.
    """
    draw = int(sha256_text(f"{seed}:split:{name}")[:8], 16) / 16**8
    for split in SPLITS:
        draw -= shares.get(split, 0.0)
        if draw < 0:
            return split
    return "train"


def quotas(material: Material, rows: int) -> Iterator[tuple[Subject, int]]:
    """Rows for each subject by the number of its attributes; together they are `rows`."""
    weight = sum(len(subject.facts) for subject in material.subjects)
    given = reached = 0
    for subject in material.subjects:
        reached += len(subject.facts)
        quota = round(rows * reached / weight) - given
        given += quota
        yield subject, quota


def pens(material: Material, grammar: Grammar, seed: str) -> Callable[[str], Pen]:
    """A pen for each name, with chance of its own: rows of one subject do not depend on those before."""
    return lambda name: Pen(grammar, material, random.Random(f"{seed}:{name}"))
