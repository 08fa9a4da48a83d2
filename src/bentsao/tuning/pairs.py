"""Preference pairs: the same question with an answer to prefer and one to avoid, as token ids.

They come from what `bentsao build polarity` writes, or from rows with `prompt`, `chosen` and `rejected`. The renderer
that all tuning uses makes the ids, so a prompt is the one that inference gives.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError
from bentsao.core.files import Place, iterate_json, sha256_file
from bentsao.core.formats import ChatFormat
from bentsao.core.records import Conversation, Message
from bentsao.core.rendering import IGNORE, Tokens, render
from bentsao.core.rows import RowError, read_rows
from bentsao.tuning.recipe import DataPart

TRUE, FALSE = "#true", "#false"
"""How the ids of the two sides of a polarity pair end."""


@dataclass(frozen=True)
class Pair:
    """Messages that end with a question, the answer to prefer, the answer to avoid. group: as in `Conversation`."""

    id: str
    group: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that is to be preferred."""
        return (*self.prompt, Message(role="assistant", content=self.chosen))


@dataclass
class Pairs:
    """Pairs for training and validation. files: SHA-256 by path; notes: what was left out, as lines for the user."""

    train: list[Pair] = field(default_factory=list[Pair])
    valid: list[Pair] = field(default_factory=list[Pair])
    files: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class PairRow:
    """A pair in token ids; both answers go to the token that ends them, and follow the same prompt."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


def gather_pairs(part: DataPart, seed: int) -> Pairs:
    """Read the files and hold whole groups out for validation. Raises DataError or ConfigError."""
    if not part.files:
        raise ConfigError("没有训练数据。请用 --data FILE 给出 bentsao build polarity 写出的文件。")
    out = Pairs()
    found = [pair for name in part.files for pair in _read(Path(name), out)]
    if not found:
        raise ConfigError("数据里没有一对可用的偏好。" + "；".join(out.notes))
    random.Random(f"{seed}:pairs").shuffle(found)
    found = found[: part.limit]
    if part.validation_file:
        learnt = {pair.prompt for pair in found}
        given = _read(Path(part.validation_file), out)
        out.valid = [pair for pair in given if pair.prompt not in learnt]
        if len(out.valid) < len(given):
            out.notes.append(f"{len(given) - len(out.valid)} 对验证的问题在训练中原样出现，已移出验证")
    groups = sorted({pair.group for pair in found})
    random.Random(f"{seed}:groups").shuffle(groups)
    wanted = 0 if part.validation_file else part.held_out(len(found))
    held_out: set[str] = set()
    for group in groups[:-1]:
        if sum(pair.group in held_out for pair in found) >= wanted:
            break
        held_out.add(group)
    out.valid += [pair for pair in found if pair.group in held_out]
    out.train = [pair for pair in found if pair.group not in held_out]
    return out


def opposed(true: Conversation, false: Conversation) -> list[Pair]:
    """A polarity pair as two preferences: each question's own answer over the other's with the values exchanged.

    心房颤动需要做心电图吗 is answered by yes and 心电图, …裂隙灯检查吗 by no and the examinations there are. With the
    two values exchanged, the first says yes to 裂隙灯检查 and the second denies 心电图: fluent, alike, wrong.
    Empty where that cannot be had: a value is part of the other, or the exchange changes nothing.
    """
    asked = [side.made.asked if side.made else None for side in (true, false)]
    if asked[0] is None or asked[1] is None:
        return []
    values = (asked[0].value, asked[1].value)
    if not all(values) or values[0] in values[1] or values[1] in values[0]:
        return []
    out: list[Pair] = []
    for own, other in ((true, false), (false, true)):
        said = other.messages[-1].content
        wrong = values[1].join(part.replace(values[1], values[0]) for part in said.split(values[0]))
        if wrong != said:
            out.append(Pair(own.id, own.group, own.messages[:-1], own.messages[-1].content, wrong))
    return out


def pair_rows(pairs: Sequence[Pair], chat_format: ChatFormat, tokens: Tokens, cutoff: int) -> tuple[list[PairRow], int]:
    """The pairs in token ids, and how many were left out because they do not fit within `cutoff` tokens."""
    out: list[PairRow] = []
    for pair in pairs:
        sides = [_ids(pair.prompt, answer, chat_format, tokens, cutoff) for answer in (pair.chosen, pair.rejected)]
        if sides[0] and sides[1] and sides[0][0] == sides[1][0]:
            out.append(PairRow(sides[0][0], sides[0][1], sides[1][1]))
    return out, len(pairs) - len(out)


def _ids(
    prompt: tuple[Message, ...], answer: str, chat_format: ChatFormat, tokens: Tokens, cutoff: int
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(prompt, answer with its end); None where they do not fit."""
    rows = render((*prompt, Message(role="assistant", content=answer)), chat_format, tokens, limit=cutoff).rows
    if not rows:
        return None
    last = rows[-1]
    # Of a dialogue, the last answer only: what is learnt after the last position that is not.
    end = max(at for at, target in enumerate(last.targets) if target != IGNORE) + 1
    start = end
    while start > 0 and last.targets[start - 1] != IGNORE:
        start -= 1
    return last.ids[: start + 1], last.targets[start:end]


def _read(path: Path, out: Pairs) -> list[Pair]:
    pairs = read_preferences(path)
    pairs = _read_polarity(path, out) if pairs is None else pairs
    out.files[str(path)] = sha256_file(path)
    out.notes.append(f"{path}：{len(pairs)} 对偏好")
    return pairs


def read_preferences(path: Path) -> list[Pair] | None:
    """The pairs of a file whose rows have `prompt`, `chosen` and `rejected`; None for a file of other rows."""
    first = next((row for _, row in iterate_json(path)), None)
    return read_rows(path, _preference) if isinstance(first, dict) and "chosen" in first else None


def _read_polarity(path: Path, out: Pairs) -> list[Pair]:
    sides = {conversation.id: conversation for conversation in read_conversations(path).conversations}
    pairs: list[Pair] = []
    alone = unusable = 0
    for name, conversation in sides.items():
        other = sides.get(name.removesuffix(TRUE) + FALSE) if name.endswith(TRUE) else None
        if other is not None:
            found = opposed(conversation, other)
            unusable += 2 - len(found)
            pairs += found
        elif not (name.endswith(FALSE) and name.removesuffix(FALSE) + TRUE in sides):
            alone += 1
    if alone:
        out.notes.append(f"{path}：{alone} 条不成对（编号应以 {TRUE}、{FALSE} 结尾），没有用到")
    if unusable:
        out.notes.append(f"{path}：{unusable} 条造不出错的回答（两个值互相包含，或回答里没有提到），没有用到")
    return pairs


def _preference(place: Place, row: Any) -> Pair:
    asked, chosen, rejected = (
        (_said(row.get(key)) for key in ("prompt", "chosen", "rejected")) if isinstance(row, dict) else ("", "", "")
    )
    if not (asked and chosen and rejected) or chosen == rejected:
        raise RowError("prompt、chosen、rejected", row, "应各有一段文字，后两段不同。")
    return Pair(f"{place.file}:{place.row}", asked, (Message(role="user", content=asked),), chosen, rejected)


def _said(value: Any) -> str:
    """A text, or the content of a list of one message."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0].get("content")
    return value.strip() if isinstance(value, str) else ""
