"""Speed of answering: the original's loop and other ways through transformers against CTranslate2, in turn.

    python benchmarks/engines.py                                   # small; some minutes on two cores
    python benchmarks/engines.py --adapter runs/a --tokens 64 --rounds 5 --questions 32

All answer the same questions with the same prompts on the same weights, one case after another, round by round, so that
what else runs on the machine meets all of them. Counted are the tokens generated, up to and without the end token;
reading the prompts is timed too. Opening (and the first conversion) is not. Figures are medians over the rounds, ratios
against the original's loop: one question at a time, four beams, transformers.

The agreement of int8 with float32 is of greedy answers to the same questions: how many are the same text, and how many
tokens they have in common before they part.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from itertools import takewhile
from pathlib import Path
from statistics import mean, median

from bentsao.core.conversations import read_conversations
from bentsao.core.records import Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, fitted_prompt
from bentsao.inference.opening import open_engine

WAYS = {
    "transformers": {"engine": "transformers", "dtype": "float32"},
    "ctranslate2 float32": {"engine": "ctranslate2", "dtype": "float32"},
    "ctranslate2 int8": {"engine": "ctranslate2", "dtype": None},
}


@dataclass(frozen=True)
class Case:
    """A way to answer: the engine, how many questions at once, how many beams."""

    way: str
    rows: int
    beams: int = 1

    def __str__(self) -> str:
        return f"{self.way}, {'alone' if self.rows == 1 else f'{self.rows} at once'}{', 4 beams' * (self.beams > 1)}"


ORIGINAL = Case("transformers", 1, 4)
CASES = [
    ORIGINAL,
    Case("transformers", 1),
    Case("transformers", 16),
    *(Case(way, rows) for way in list(WAYS)[1:] for rows in (1, 8, 16, 32)),
]


@dataclass(frozen=True)
class Run:
    """One case in one round. first: seconds until the first text of the first answer; 0 with beams."""

    tokens_a_second: float
    first: float
    answers: list[Generated]


def run(case: Case, engine: Engine, prompts: Sequence[Sequence[int]], alone: int, tokens: int) -> Run:
    """alone: how many questions are asked where they are asked one by one."""
    asked = prompts[:alone] if case.rows == 1 else prompts
    decoding = Decoding(max_new_tokens=tokens, beams=case.beams)
    firsts: list[float] = []
    answers: list[Generated] = []
    started = time.perf_counter()
    for at in range(0, len(asked), case.rows):
        answers += engine.generate(
            asked[at : at + case.rows], decoding, on_text=lambda *_: firsts.append(time.perf_counter())
        )
    seconds = time.perf_counter() - started
    first = firsts[0] - started if firsts and case.beams == 1 else 0.0
    return Run(sum(len(answer.ids) for answer in answers) / seconds, first, answers)


def questions(count: int) -> list[str]:
    """The first questions of as many diseases of the rows that ship with the package."""
    with as_file(files("bentsao.apps") / "demo" / "instructions.jsonl") as path:
        rows = {row.group: row.messages[0].content for row in read_conversations(path).conversations}
    return list(rows.values())[:count]


def agreement(ours: Sequence[Generated], reference: Sequence[Generated]) -> str:
    """How much of the greedy answers is the same."""
    same = mean(one.ids == other.ids for one, other in zip(ours, reference, strict=True))
    shared = mean(
        len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one.ids, other.ids, strict=False))))
        for one, other in zip(ours, reference, strict=True)
    )
    length = mean(len(other.ids) for other in reference)
    return f"{same:.1%} of {len(ours)} answers the same; {shared:.1f} of {length:.1f} tokens before they part"


def main() -> None:
    """Run the rounds and print a table and the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=None, help="default: the adapter's, or embedded")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--questions", type=int, default=32, help="asked where several are asked at once")
    parser.add_argument("--alone", type=int, default=2, help="asked where they are asked one by one")
    parser.add_argument("--tokens", type=int, default=32, help="the most tokens of an answer")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    engines: dict[str, Engine] = {}
    for way, how in WAYS.items():
        started = time.perf_counter()
        engines[way] = open_engine(
            adapter=args.adapter,
            base=args.base or (None if args.adapter else "embedded"),
            chat_format=None,
            report=lambda line: print(line, file=sys.stderr),
            device="cpu",
            **how,  # pyright: ignore[reportArgumentType]
        )
        print(f"{engines[way].name}: opened in {time.perf_counter() - started:.1f} s", flush=True)
    first = engines["transformers"]
    asked = [
        fitted_prompt(first, [Message(role="user", content=text)], Decoding(max_new_tokens=args.tokens))[0]
        for text in questions(args.questions)
    ]
    print(f"{len(asked)} prompts of {min(map(len, asked))} to {max(map(len, asked))} tokens")
    runs: dict[Case, list[Run]] = {case: [] for case in CASES}
    for number in range(args.rounds):
        for case in CASES if number % 2 == 0 else reversed(CASES):
            done = run(case, engines[case.way], asked, args.alone, args.tokens)
            runs[case].append(done)
            print(f"{number + 1}. {case}: {done.tokens_a_second:.1f} tokens/s", file=sys.stderr, flush=True)
    base = median(done.tokens_a_second for done in runs[ORIGINAL])
    print("| | tokens/s | ratio | first text, s |\n|---|---|---|---|")
    for case, done in runs.items():
        speed = median(one.tokens_a_second for one in done)
        latency = median(one.first for one in done)
        print(f"| {case} | {speed:.1f} | {speed / base:.1f} | {f'{latency:.2f}' if latency else ''} |")
    exact = runs[Case("ctranslate2 float32", 32)][0].answers
    print("int8 against float32:", agreement(runs[Case("ctranslate2 int8", 32)][0].answers, exact))
    reference = runs[Case("transformers", 16)][0].answers
    print("float32 against transformers:", agreement(exact, reference))


if __name__ == "__main__":
    main()
