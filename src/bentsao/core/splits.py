"""Splitting data so that what is tested was not learnt: by group, never by row.

A group is a disease, a drug or a dialogue. Rows without a group of their own can be given one by the names in them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

from bentsao.core.files import sha256_text
from bentsao.core.records import Conversation, Message


def split_by_group(
    conversations: Sequence[Conversation], share: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """(training, held out): whole groups drawn at random until about `share` of the rows is held out.

    share 0 holds out nothing; with two groups or more and a positive share at least one is held out and at least
    one stays. Order is kept. Raises ValueError for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be in [0, 1), got {share}")
    sizes: dict[str, int] = defaultdict(int)
    for conversation in conversations:
        sizes[conversation.group] += 1
    if share == 0 or len(sizes) < 2:
        return list(conversations), []
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    wanted, held, count = share * len(conversations), set[str](), 0
    for name in names:
        overshoot = count + sizes[name] - wanted
        if (held and overshoot > wanted - count) or len(held) == len(names) - 1:
            continue
        held.add(name)
        count += sizes[name]
        if count >= wanted:
            break
    return (
        [c for c in conversations if c.group not in held],
        [c for c in conversations if c.group in held],
    )


def learnt_keys(rows: Iterable[Sequence[Message]]) -> list[str]:
    """What identifies all that is learnt from these rows: the keys of each as far as any of its answers."""
    return sorted(
        {
            row_key(messages[:end])
            for messages in rows
            for end, message in enumerate(messages, start=1)
            if message.role == "assistant"
        }
    )


def row_key(messages: Iterable[Message]) -> str:
    """Identifies a row by what is said in it, whatever its id and its file: 16 hexadecimal digits."""
    return sha256_text("\n".join(f"{one.role}\n{one.content}\n{one.input}" for one in messages))[:16]


class NameFinder:
    """Finds known names in text, leftmost and longest first. Stdlib only; knowledge/ has the fast one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_start: dict[str, list[str]] = defaultdict(list)
        for name in {name.strip() for name in names}:
            if len(name) >= 2:
                self._by_start[name[:2]].append(name)
        for found in self._by_start.values():
            found.sort(key=len, reverse=True)

    def find(self, text: str) -> list[str]:
        """The names in the text, in order, none within another."""
        out: list[str] = []
        at = 0
        while at < len(text) - 1:
            hit = next((n for n in self._by_start.get(text[at : at + 2], ()) if text.startswith(n, at)), None)
            if hit:
                out.append(hit)
            at += len(hit) if hit else 1
        return out


def group_by_names(conversations: Sequence[Conversation], names: Iterable[str]) -> tuple[list[Conversation], int]:
    """Each conversation with the entity it is about as its group; and how many name none (they keep their own group).

    The entity is the longest known name in what the user says; the answer's first name decides where the question
    has none. A row that names several is in one group only: see `without_names`.
    """
    finder = NameFinder(names)
    out: list[Conversation] = []
    nameless = 0
    for conversation in conversations:
        hits = finder.find(asked(conversation)) or finder.find(answered(conversation))[:1]
        nameless += not hits
        out.append(conversation.model_copy(update={"group": max(hits, key=len)}) if hits else conversation)
    return out, nameless


def without_names(conversations: Sequence[Conversation], names: Iterable[str]) -> tuple[list[Conversation], int]:
    """Without those in which the user names one of `names`, and how many those were.

    What is held out by entity must not be asked about in training either, where a row names two.
    """
    finder = NameFinder(names)
    kept = [c for c in conversations if not finder.find(asked(c))]
    return kept, len(conversations) - len(kept)


def asked(conversation: Conversation) -> str:
    """All that the user says, a turn a line."""
    return "\n".join(m.content + m.input for m in conversation.messages if m.role == "user")


def answered(conversation: Conversation) -> str:
    """All that the assistant says, a turn a line."""
    return "\n".join(m.content for m in conversation.messages if m.role == "assistant")
