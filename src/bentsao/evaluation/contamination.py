"""Whether what is asked was learnt: before a score is given, the items are looked for in the training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bentsao.construction.overlap import KINDS, overlap
from bentsao.construction.subjects import Material
from bentsao.core.conversations import read_conversations
from bentsao.core.files import sha256_file
from bentsao.core.records import Conversation, Message, Question
from bentsao.evaluation.questions import named_in
from bentsao.evaluation.tasks.task import Item


@dataclass(frozen=True)
class Training:
    """What a system was tuned on, as far as it is at hand.

    files: those that are there. held_out: ids of rows of them that were not learnt. gone: files that it was tuned on
    and that are not there any more, or are not what they were. texts: plain text that it was tuned on, in which
    questions are not looked for. tuned: whether it was tuned at all.
    """

    files: tuple[Path, ...] = ()
    held_out: frozenset[str] = frozenset()
    gone: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    tuned: bool = False

    @cached_property
    def conversations(self) -> list[Conversation]:
        """The rows that were learnt."""
        rows = (row for file in self.files for row in read_conversations(file).conversations)
        return [row for row in rows if row.id not in self.held_out]

    @property
    def account(self) -> str:
        """What the reader must know of the check; "" where it was whole."""
        if not self.tuned:
            return "没有微调数据可查；基座预训练时见过什么，无从知道。"
        if self.texts:
            return f"用纯文本微调（{'、'.join(self.texts)}），没有在其中查这些题。"
        if not self.files and not self.gone:
            return "没有记下用什么数据微调，未能检查；可用 --trained-on 给出。"
        if self.gone:
            return f"训练数据不在或已改动，未能查对：{'、'.join(self.gone)}；可用 --trained-on 给出。"
        return ""


def training_of(adapter: Path, manifest: Mapping[str, Any] | None, given: Sequence[Path] = ()) -> Training:
    """What an adapter was tuned on: the files that its manifest names, by their hashes; or those given instead.

    Files are looked for as they were named, and beside the adapter.
    """
    if given:
        return Training(tuple(given), tuned=True)
    told: dict[str, str] = dict((manifest or {}).get("data") or {})
    part: dict[str, Any] = ((manifest or {}).get("recipe") or {}).get("data") or {}
    told.pop(part.get("names") or "", None)  # a list of names, by which rows were grouped; nothing was learnt from it
    if part.get("kind") == "text":
        return Training((), frozenset(), (), tuple(told), tuned=True)
    files: list[Path] = []
    gone: list[str] = []
    for name, digest in told.items():
        places = [place for place in (Path(name), adapter / name) if place.is_file() and sha256_file(place) == digest]
        files += places[:1]
        gone += [] if places else [name]
    held_out = frozenset((manifest or {}).get("valid_ids") or ())
    return Training(tuple(files), held_out, tuple(gone), tuned=True)


def contaminated(items: Sequence[Item[Any]], training: Training) -> dict[str, str]:
    """How each item that is in the training data is there, by its id (see `construction/overlap.py`)."""
    if not training.files:
        return {}
    found = overlap([_bare(item) for item in items], training.conversations)
    return {pair.a: KINDS[pair.kind] for pair in found.pairs}


def learnt_names(trainings: Iterable[Training], material: Material) -> frozenset[str]:
    """The entities that any of the training data names: own names."""
    return frozenset(name for training in trainings for name in named_in(training.conversations, material))


def _bare(item: Item[Any]) -> Question:
    """The question without what every question of its task has around it."""
    if not item.asked:
        return item.question
    return Question(
        id=item.id,
        group=item.group,
        messages=(Message(role="user", content=item.asked),),
        reference=item.reference,
    )
