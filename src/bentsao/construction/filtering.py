"""Running the filters over rows: what passes, what does not and why. In one pass, whatever the number of rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.construction.filters import FILTERS, Context, label_of
from bentsao.core.errors import ConfigError
from bentsao.core.files import whole_file
from bentsao.core.records import Conversation, Record

EXAMPLES = 3
"""Refused rows that a tally keeps of each reason."""

_LAST = "duplicate"


class Refused(Record):
    """A row that is unfit, and why: by name of filter, the reason with the offending piece of text."""

    reasons: dict[str, str]
    row: Conversation


@dataclass
class Tally:
    """How many rows came and passed; how many each filter refused (a row may be refused by several), by label too.

    `without_evidence`: rows of which `ungrounded` can say nothing; passing it means nothing for them.
    `examples`: of each label the first few reasons, each with its row's id.
    """

    rows: int = 0
    kept: int = 0
    without_evidence: int = 0
    filters: Counter[str] = field(default_factory=Counter[str])
    labels: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])

    @property
    def refused(self) -> int:
        """Rows that did not pass."""
        return self.rows - self.kept

    def count(self, judged: Conversation | Refused) -> None:
        """Take one row into account."""
        self.rows += 1
        row = judged if isinstance(judged, Conversation) else judged.row
        self.without_evidence += not row.evidence
        if isinstance(judged, Conversation):
            self.kept += 1
            return
        for name, why in judged.reasons.items():
            label = label_of(why)
            self.filters[name] += 1
            self.labels.setdefault(name, Counter())[label] += 1
            shown = self.examples.setdefault(label, [])
            if len(shown) < EXAMPLES:
                shown.append((judged.row.id, why))

    def as_json(self) -> dict[str, Any]:
        """The figures for a manifest or another program; filters in the order of FILTERS."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "refused": self.refused,
            "without_evidence": self.without_evidence,
            "filters": {name: self.filters[name] for name in FILTERS if self.filters[name]},
            "reasons": {name: dict(self.labels[name].most_common()) for name in FILTERS if name in self.labels},
        }


def judged(
    conversations: Iterable[Conversation], names: Sequence[str], context: Context
) -> Iterator[Conversation | Refused]:
    """Each row in its order: as it is kept, or refused with the reasons of all filters that it fails.

    names: keys of FILTERS; they run in the order of FILTERS. Near-duplicates are looked for only among rows that pass
    everything else, so a row is never refused for being like one that was itself refused. A kept row that was
    constructed gets the names in `made.filters`, after those it already has. Raises ConfigError for an unknown name.
    """
    chosen = ordered(names)
    for conversation in conversations:
        reasons: dict[str, str] = {}
        for name in chosen:
            if name == _LAST and reasons:
                continue
            if why := FILTERS[name](conversation, context):
                reasons[name] = why
        yield Refused(reasons=reasons, row=conversation) if reasons else _marked(conversation, chosen)


def ordered(names: Sequence[str]) -> tuple[str, ...]:
    """The names in the order in which filters run. Raises ConfigError for one that there is not."""
    if unknown := [name for name in names if name not in FILTERS]:
        raise ConfigError(f"没有名为 {'、'.join(unknown)} 的过滤器。可用：{'、'.join(FILTERS)}。")
    return tuple(name for name in FILTERS if name in names)


def refused_path(out: Path) -> Path:
    """Where the rows lie that did not pass into `out`: beside it, `name.refused.jsonl`."""
    return out.with_name(f"{out.stem}.refused.jsonl")


def filter_to(
    out: Path,
    conversations: Iterable[Conversation],
    names: Sequence[str] = tuple(FILTERS),
    context: Context | None = None,
) -> Tally:
    """Write what passes to `out` and what does not, with its reasons, to `refused_path(out)`; nothing is lost.

    Rows go through one by one. Both files are written whole or not at all; the second also where it is empty.
    """
    tally = Tally()
    with (
        whole_file(out) as kept_path,
        whole_file(refused_path(out)) as other_path,
        kept_path.open("w", encoding="utf-8", newline="\n") as kept,
        other_path.open("w", encoding="utf-8", newline="\n") as refused,
    ):
        for one in judged(conversations, names, context or Context()):
            tally.count(one)
            file = kept if isinstance(one, Conversation) else refused
            file.write(json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n")
    return tally


def _marked(conversation: Conversation, names: Sequence[str]) -> Conversation:
    """With the filters it has passed."""
    made = conversation.made
    if made is None:
        return conversation
    passed = tuple(dict.fromkeys([*made.filters, *names]))
    return conversation.model_copy(update={"made": made.model_copy(update={"filters": passed})})
