"""What the teacher is asked for: a job that knows where its material comes from and what may be kept of a reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bentsao.construction.teacher.checking import Checked
from bentsao.core.records import Source
from bentsao.models.remote.jobs import Job

T = TypeVar("T")


@dataclass(frozen=True)
class WritingJob(Job[T]):
    """One thing to be written; `name` is the entity or passage it is about, the group of its rows.

    `source`: where what the teacher was given comes from. `check`: what of a reply may be kept, one
    or several rows.
    """

    source: Source
    check: Callable[[T], Sequence[Checked]]
