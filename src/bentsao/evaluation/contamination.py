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
from bentsao.core.errors import DataError
from bentsao.core.files import sha256_file
from bentsao.core.records import Conversation, Message, Question
from bentsao.core.splits import row_key
from bentsao.evaluation.questions import named_in
from bentsao.evaluation.tasks.task import Item
from bentsao.tuning.pairs import read_preferences


@dataclass(frozen=True)
class Taught:
    """A file that a system was tuned on. name: as its manifest calls it.

    learnt: the keys of what was learnt (`core.splits.learnt_keys`); None: all rows but those with ids in
    `held_out`, where a row has the file's name in front if another file has one of its id.
    """

    path: Path
    name: str = ""
    learnt: frozenset[str] | None = None
    held_out: frozenset[str] = frozenset()

    def rows(self) -> list[Conversation]:
        """The rows that were learnt; of a pair of answers, the one that was preferred. Raises DataError."""
        pairs = read_preferences(self.path)
        if pairs is None:
            rows = read_conversations(self.path).conversations
        else:
            rows = [Conversation(id=pair.id, group=pair.group, messages=pair.messages) for pair in pairs]
        if self.learnt is not None:
            return [row for row in rows if row_key(row.messages) in self.learnt]
        return [row for row in rows if self.held_out.isdisjoint({row.id, f"{self.name}:{row.id}"})]


@dataclass(frozen=True)
class Training:
    """What a system was tuned on, as far as it is at hand.

    files: those that are there. gone: what it was tuned on and is not there any more, or is not what it was. texts:
    plain text that it was tuned on, in which questions are not looked for. tuned: whether it was tuned at all.
    """

    files: tuple[Taught, ...] = ()
    gone: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    tuned: bool = False

    @cached_property
    def conversations(self) -> list[Conversation]:
        """The rows that were learnt."""
        return [row for rows in self._read.values() for row in rows or ()]

    @cached_property
    def _read(self) -> dict[Taught, list[Conversation] | None]:
        """The rows of each file; None for a file that holds none (an older manifest may name lists and texts)."""
        found: dict[Taught, list[Conversation] | None] = {}
        for file in self.files:
            try:
                found[file] = file.rows()
            except DataError:
                found[file] = None
        return found

    @property
    def account(self) -> str:
        """What the reader must know of the check; "" where it was whole."""
        if not self.tuned:
            return "没有微调数据可查；基座预训练时见过什么，无从知道。"
        if not (self.texts or self.files or self.gone):
            return "没有记下用什么数据微调，未能检查；可用 --trained-on 给出。"
        unread = [str(file.path) for file, rows in self._read.items() if rows is None]
        told = [
            (self.texts, "用纯文本微调（{}），没有在其中查这些题。"),
            (unread, "读不出对话的训练数据，没有在其中查这些题：{}。"),
            (self.gone, "训练数据不在或已改动，未能查对：{}；可用 --trained-on 给出。"),
        ]
        return "".join(words.format("、".join(names)) for names, words in told if names)


def training_of(adapter: Path, manifest: Mapping[str, Any] | None, given: Sequence[Path] = ()) -> Training:
    """What an adapter was tuned on: the files that its manifest names, by their hashes; or those given instead.

    Files are looked for as they were named, and beside the adapter. A sum of adapters was tuned on what each was.
    """
    if given:
        return of_files(given)
    files: list[Taught] = []
    gone: list[str] = []
    texts: list[str] = []
    for part, one in _parts("", manifest or {}):
        told: dict[str, str] = dict(one.get("data") or {})
        data: dict[str, Any] = (one.get("recipe") or {}).get("data") or {}
        told.pop(data.get("names") or "", None)  # a list of names, by which rows were grouped; nothing was learnt of it
        if data.get("kind") == "text":
            texts += told
            continue
        if part and not told:
            gone.append(f"适配器 {part} 的（没有记下）")
        learnt = None if one.get("learnt") is None else frozenset(one["learnt"])
        held_out = frozenset(one.get("valid_ids") or ())
        for name, digest in told.items():
            places = [path for path in (Path(name), adapter / name) if path.is_file() and sha256_file(path) == digest]
            files += [Taught(path, name, learnt, held_out) for path in places[:1]]
            gone += [] if places else [name]
    return Training(tuple(files), tuple(gone), tuple(texts), tuned=True)


def of_files(files: Sequence[Path]) -> Training:
    """What a system was tuned on, where it learnt all rows of these files; not tuned, without any."""
    return Training(tuple(map(Taught, files)), tuned=bool(files))


def _parts(name: str, manifest: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The manifests of the adapters that one is the sum of, by name; itself where it is none, or an older one."""
    parts: list[Mapping[str, Any]] = manifest.get("combined") or []
    if not parts or not all("tuned" in part for part in parts):
        return [(name, manifest)]
    return [one for part in parts for one in _parts(str(part["name"]), part["tuned"])]


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
