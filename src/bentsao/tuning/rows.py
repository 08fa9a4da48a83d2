"""Conversations → training rows, with an account of what became of every one of them.

Nothing is cut in silence: `Account` says how many rows, tokens and learnt tokens there are, and what was merged,
refused or cut, and why. Tokenised rows are kept in the cache by the hash of all that decides them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bentsao.core.errors import ConfigError
from bentsao.core.files import cache_folder, sha256_text, whole_file
from bentsao.core.formats import ChatFormat
from bentsao.core.grounding import PARTS
from bentsao.core.records import Conversation, Record
from bentsao.core.rendering import Row, Tokens, render

CACHE_VERSION = 2
"""Raised when the renderer changes what it makes of the same input, so that old cached rows are not used."""


class Account(Record):
    """What became of a set of conversations.

    turns: assistant turns in the data; learnt_turns: those learnt whole. refused and cut: assistant turns by reason;
    refused_ids: the conversations that the refused turns are from. dropped_history: turns learnt with their oldest
    history left out to fit the cut-off. longest: tokens of the longest row. learnt_by_part: learnt tokens by the part
    they count for (`grounding.PARTS`), parts without any left out.
    """

    conversations: int = 0
    turns: int = 0
    learnt_turns: int = 0
    dropped_history: int = 0
    rows: int = 0
    tokens: int = 0
    learnt_tokens: int = 0
    learnt_by_part: dict[str, int] = Field(default_factory=dict)
    longest: int = 0
    refused: dict[str, int] = Field(default_factory=dict)
    cut: dict[str, int] = Field(default_factory=dict)
    refused_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Training rows, the conversation each came from, and the account."""

    rows: tuple[Row, ...]
    ids: tuple[str, ...]
    account: Account


def make_rows(
    conversations: Sequence[Conversation],
    chat_format: ChatFormat,
    tokens: Tokens,
    *,
    cutoff: int,
    cut_answers: bool = False,
    learn_prompt: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Render conversations for training. `progress` is called with (done, all) now and then."""
    rows: list[Row] = []
    ids: list[str] = []
    losses: list[tuple[str, str]] = []
    learnt_turns = dropped_history = 0
    by_part: Counter[str] = Counter()
    for number, conversation in enumerate(conversations):
        rendering = render(
            conversation.messages,
            chat_format,
            tokens,
            limit=cutoff,
            cut_answers=cut_answers,
            learn_prompt=learn_prompt,
        )
        rows += rendering.rows
        for row in rendering.rows:
            by_part.update(row.learnt_by_part())
        ids += [conversation.id] * len(rendering.rows)
        losses += [(loss.reason, conversation.id) for loss in rendering.losses]
        learnt_turns += rendering.turns
        dropped_history += rendering.dropped_history
        if progress and number % 200 == 0:
            progress(number, len(conversations))
    account = Account(
        conversations=len(conversations),
        turns=sum(m.role == "assistant" for c in conversations for m in c.messages),
        learnt_turns=learnt_turns,
        dropped_history=dropped_history,
        rows=len(rows),
        tokens=sum(len(row.ids) for row in rows),
        learnt_tokens=by_part.total(),
        learnt_by_part={part: by_part[part] for part in PARTS if by_part[part]},
        longest=max((len(row.ids) for row in rows), default=0),
        refused=Counter(reason for reason, _ in losses if reason != "answer_cut"),
        cut=Counter(reason for reason, _ in losses if reason == "answer_cut"),
        refused_ids=tuple(dict.fromkeys(row for reason, row in losses if reason != "answer_cut")),
    )
    return Rows(tuple(rows), tuple(ids), account)


def cached_rows(
    conversations: Sequence[Conversation],
    chat_format: ChatFormat,
    tokens: Tokens,
    tokens_hash: str,
    *,
    cutoff: int,
    cut_answers: bool = False,
    learn_prompt: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Rows, bool]:
    """`make_rows` through the cache; and whether they came from it.

    `tokens_hash` identifies the tokenizer. A cached file that cannot be read is made again.
    """
    key = sha256_text(
        json.dumps(
            [CACHE_VERSION, tokens_hash, chat_format.hash, cutoff, cut_answers, learn_prompt]
            + [[c.id, *[(m.role, m.content, m.input, m.part) for m in c.messages]] for c in conversations],
            ensure_ascii=False,
        )
    )
    path = cache_folder() / "rows" / f"{key[:32]}.safetensors"
    found = _load(path)
    if found is not None:
        return found, True
    made = make_rows(
        conversations,
        chat_format,
        tokens,
        cutoff=cutoff,
        cut_answers=cut_answers,
        learn_prompt=learn_prompt,
        progress=progress,
    )
    if made.rows:
        _save(path, made)
    return made, False


def check_not_empty(rows: Rows, cutoff: int) -> None:
    """Raises ConfigError if nothing is left to learn, with the reasons."""
    if rows.account.learnt_tokens == 0:
        why = "、".join(f"{reason} {count}" for reason, count in rows.account.refused.items()) or "数据里没有回答"
        raise ConfigError(f"没有任何可学的内容（cutoff={cutoff}；{why}）。请调大 cutoff 或检查数据。")


def check_weights(account: Account, weights: Mapping[str, float]) -> None:
    """Raises ConfigError if all that the rows have is weighted 0."""
    if not any(weights[part] for part in account.learnt_by_part):
        raise ConfigError(
            f"训练数据只有 {'、'.join(account.learnt_by_part)} 部分，而它们在 training.part_weights 里的权重都是 0。"
            "请改权重或换数据。"
        )


def _save(path: Path, made: Rows) -> None:
    numbers = {part: number for number, part in enumerate(PARTS)}
    arrays = {
        "ids": np.fromiter((i for row in made.rows for i in row.ids), dtype=np.int32),
        "targets": np.fromiter((t for row in made.rows for t in row.targets), dtype=np.int32),
        "ends": np.cumsum([len(row.ids) for row in made.rows], dtype=np.int64),
        "part_numbers": np.fromiter((numbers[part] for row in made.rows for part, _ in row.parts), dtype=np.int32),
        "part_ends": np.fromiter((end for row in made.rows for _, end in row.parts), dtype=np.int32),
        "part_counts": np.fromiter((len(row.parts) for row in made.rows), dtype=np.int32),
    }
    notes = {"account": made.account.model_dump_json(), "ids": json.dumps(made.ids)}
    with whole_file(path) as temporary:
        save_file(arrays, temporary, metadata=notes)


def _load(path: Path) -> Rows | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            ids, targets, ends = (file.get_tensor(name).tolist() for name in ("ids", "targets", "ends"))
            part_numbers, part_ends = (file.get_tensor(name).tolist() for name in ("part_numbers", "part_ends"))
            part_counts = file.get_tensor("part_counts").tolist()
            notes = file.metadata() or {}
        account = Account.model_validate_json(notes["account"])
        names = tuple(json.loads(notes["ids"]))
    except (SafetensorError, OSError, KeyError, ValueError):
        path.unlink(missing_ok=True)
        return None
    known = list(PARTS)
    parts = zip((known[number] for number in part_numbers), part_ends, strict=True)
    rows = tuple(
        Row(tuple(ids[start:end]), tuple(targets[start:end]), tuple(islice(parts, count)))
        for start, end, count in zip([0, *ends[:-1]], ends, part_counts, strict=True)
    )
    return Rows(rows, names, account)
