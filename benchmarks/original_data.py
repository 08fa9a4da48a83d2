"""The same filters on the original's data and on another set, side by side: what each has that it should not have.

    python benchmarks/original_data.py [DATA …] [--shared ../shared/data] [--rows 200] [--seed 0]

Without DATA only the original's own files. Each filter runs by itself on all rows and on `--rows` rows drawn by a hash
of their id, so that sets of different sizes compare; `—` where it cannot be told (ungrounded needs evidence).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bentsao.construction.diversity import distinct_2, diversity, rank, self_similarity
from bentsao.construction.filters import FILTERS, TITLES, Context
from bentsao.construction.texts import texts
from bentsao.core.conversations import read_conversations
from bentsao.core.records import Conversation

ORIGINAL = ("llama_data.json", "liver_cancer.json")

BIGRAMS, ROWS = 5_000, 200
"""What distinct-2 and self-similarity are counted over: so much that 200 rows have it."""


def drawn(rows: Sequence[Conversation], count: int, seed: int) -> list[Conversation]:
    """`count` rows, the same each time; all of them where there are fewer."""
    return sorted(rows, key=lambda row: rank(row.id, seed))[:count]


def refused(rows: Sequence[Conversation], name: str) -> str:
    """How many rows one filter refuses, and what share that is of those it can judge."""
    judgeable = [row for row in rows if row.evidence] if name == "ungrounded" else list(rows)
    if not judgeable:
        return "—"
    context = Context()
    count = sum(FILTERS[name](row, context) is not None for row in judgeable)
    return f"{count:,}（{count / len(judgeable):.1%}）"


def column(rows: Sequence[Conversation], seed: int) -> dict[str, str]:
    """The figures of one set of rows in the order drawn: label → value."""
    varied = diversity(rows, seed)
    out = {"行": f"{len(rows):,}"}
    out |= {TITLES[name]: refused(rows, name) for name in FILTERS}
    out["distinct-2，问"] = f"{varied.questions.distinct_2:.3f}"
    out["distinct-2，答"] = f"{varied.answers.distinct_2:.3f}"
    sampled = [texts(row).answer for row in rows]
    same_size = distinct_2(sampled, BIGRAMS)
    out[f"distinct-2，答，前 {BIGRAMS:,} 个二元组"] = "—" if same_size is None else f"{same_size:.3f}"
    nearest = self_similarity(sampled[:ROWS])
    out[f"自相似度，答，前 {ROWS} 行"] = "—" if nearest is None else f"{nearest:.3f}"
    out["答的字数，中位"] = str(varied.answers.lengths.median)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    paths = [args.shared / name for name in ORIGINAL if (args.shared / name).is_file()] + args.data
    if not paths:
        parser.error(f"{args.shared} 里没有原项目的数据，也没有给出数据文件。")
    columns: dict[str, dict[str, str]] = {}
    for path in paths:
        rows = read_conversations(path).conversations
        columns[f"{path.name}，抽 {args.rows} 行"] = column(drawn(rows, args.rows, args.seed), args.seed)
        columns[f"{path.name}，全部"] = column(drawn(rows, len(rows), args.seed), args.seed)
    print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for label in next(iter(columns.values())):
        print(f"| {label} | {' | '.join(of[label] for of in columns.values())} |")


if __name__ == "__main__":
    main()
