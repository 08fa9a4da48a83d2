"""Speed of answering: the original's loop and other ways through transformers, CTranslate2 and llama.cpp, in turn.

    python benchmarks/engines.py                                          # some minutes on two cores
    python benchmarks/engines.py --rounds 3 --tokens 64 --llama-cpp       # with llama.cpp: see engines_llama_cpp.py
    python benchmarks/engines.py --adapter runs/a --agreement             # how much of the text int8 changes

All answer the same questions with the same prompts on the same weights, one case after another, round by round, each
way in a process of its own that waits while the others work. Counted are the tokens generated, up to and without the
end token; reading the prompts is timed too. Opening (and the first conversion) is not. Figures are medians over the
rounds; ratios are the median of each round's ratio to the original's loop in the same round: one question at a time,
four beams, transformers. Memory is what a way's process holds after its largest batch, less what it held before the
model was opened (files that are mapped count).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from typing import Any

import psutil

from bentsao.core.files import cache_folder
from bentsao.core.records import Message
from bentsao.core.rendering import stop_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, fitted_prompt
from bentsao.inference.engines.opening import open_engine
from bentsao.models.machine import available_cores

WAYS: dict[str, dict[str, Any]] = {
    "transformers": {"engine": "transformers", "dtype": "float32"},
    "ctranslate2 int8": {"engine": "ctranslate2", "dtype": None},
    "ctranslate2 float32": {"engine": "ctranslate2", "dtype": "float32"},
    "llama.cpp Q8_0": {},
}
QUESTIONS = Path(__file__).with_name("everyday_questions.jsonl")


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
    *(Case("ctranslate2 int8", rows) for rows in (1, 8, 16, 32)),
    *(Case("llama.cpp Q8_0", rows) for rows in (1, 8, 32)),
]


@dataclass(frozen=True)
class Run:
    """One case in one round. first: seconds until the first text of the first answer; 0 with beams. memory: MB."""

    tokens_a_second: float
    first: float
    memory: float
    answers: list[Generated]


def texts(count: int) -> list[str]:
    """Questions of one message, as people ask them."""
    rows = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    return [row["question"] for row in rows if not row.get("history")][:count]


def agreement(ours: Sequence[Generated], reference: Sequence[Generated]) -> str:
    """How much of the greedy answers is the same."""
    same = mean(one.ids == other.ids for one, other in zip(ours, reference, strict=True))
    shared = mean(
        len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one.ids, other.ids, strict=False))))
        for one, other in zip(ours, reference, strict=True)
    )
    length = mean(len(other.ids) for other in reference)
    return f"{same:.1%} of {len(ours)} answers the same; {shared:.1f} of {length:.1f} tokens before they part"


def work(way: str, args: argparse.Namespace, pipe: Connection) -> None:
    """The process of a way: opens it, then does what cases it is sent."""
    process = psutil.Process()
    before = process.memory_info().rss
    # llama.cpp is given what our tokens and stop rules make of the questions.
    engine = open_engine(
        adapter=args.adapter,
        base=args.base or (None if args.adapter else "embedded"),
        chat_format=None,
        report=lambda line: print(line, file=sys.stderr),
        device="cpu",
        **(WAYS[way] or WAYS["ctranslate2 int8"]),
    )
    decoding = Decoding(max_new_tokens=args.tokens)
    prompts = [
        fitted_prompt(engine, [Message(role="user", content=text)], decoding)[0] for text in texts(args.questions)
    ]
    if way == "transformers":
        _choose_threads(engine, prompts[0])
    name, answer = engine.name, _with_engine(engine, args.tokens)
    if way.startswith("llama.cpp"):
        stops = stop_ids(engine.chat_format, engine.tokens)
        del engine
        name, answer = _with_llama_cpp(args, prompts, stops)
    pipe.send((name, [len(prompt) for prompt in prompts]))
    for case in iter(pipe.recv, None):
        asked = prompts[: args.alone] if case.rows == 1 else prompts
        firsts: list[float] = []
        answers: list[Generated] = []
        started = time.perf_counter()
        for at in range(0, len(asked), case.rows):
            answers += answer(asked[at : at + case.rows], case.beams, firsts)
        seconds = time.perf_counter() - started
        first = firsts[0] - started if firsts and case.beams == 1 else 0.0
        held = (process.memory_info().rss - before) / 1e6
        pipe.send(Run(sum(len(one.ids) for one in answers) / seconds, first, held, answers))


def _choose_threads(engine: Engine, prompt: Sequence[int]) -> None:
    """The fastest number for torch too: with one too many on shared cores it loses ten times its speed."""
    import torch

    def seconds(threads: int) -> float:
        torch.set_num_threads(threads)
        started = time.perf_counter()
        engine.generate([prompt], Decoding(max_new_tokens=8))
        return time.perf_counter() - started

    seconds(1)
    torch.set_num_threads(min(_counts(), key=seconds))


def _counts() -> list[int]:
    return [number for number in (1, 2, 4, 8, 16) if number <= available_cores()]


def _with_engine(engine: Engine, tokens: int) -> Any:
    def answer(asked: Sequence[Sequence[int]], beams: int, firsts: list[float]) -> list[Generated]:
        decoding = Decoding(max_new_tokens=tokens, beams=beams)
        return engine.generate(asked, decoding, on_text=lambda *_: firsts.append(time.perf_counter()))

    return answer


def _with_llama_cpp(args: argparse.Namespace, prompts: list[list[int]], stops: frozenset[int]) -> Any:
    from engines_llama_cpp import LlamaCpp, embedded_gguf

    if args.gguf is None and (args.adapter or args.base not in (None, "embedded")):
        raise SystemExit("--llama-cpp with --adapter or --base needs --gguf, the same weights as GGUF in Q8_0")
    path = args.gguf or embedded_gguf(cache_folder() / "benchmarks")
    length = max(map(len, prompts)) + args.tokens
    model = LlamaCpp(path, rows=32, length=length, stops=stops, threads=_counts())

    def answer(asked: Sequence[Sequence[int]], beams: int, firsts: list[float]) -> list[Generated]:
        assert beams == 1
        return model.generate(asked, args.tokens, lambda: firsts.append(time.perf_counter()))

    return f"{path.name}, {model.threads} threads", answer


class Worker:
    """A way's process."""

    def __init__(self, way: str, args: argparse.Namespace) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pipe, other = spawning.Pipe()
        started = time.perf_counter()
        self._process = spawning.Process(target=work, args=(way, args, other), daemon=True)
        self._process.start()
        other.close()
        name, lengths = self._pipe.recv()
        print(f"{name}: opened in {time.perf_counter() - started:.1f} s", flush=True)
        print(f"  {len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens", flush=True)

    def run(self, case: Case) -> Run:
        """One case."""
        self._pipe.send(case)
        return self._pipe.recv()

    def end(self) -> None:
        """No more cases."""
        self._pipe.send(None)
        self._process.join(30)


def table(runs: dict[Case, list[Run]]) -> str:
    """Medians, as Markdown."""
    lines = ["| | tokens/s (least–most) | ratio | first text, s | memory, MB |", "|---|---|---|---|---|"]
    base = [done.tokens_a_second for done in runs[ORIGINAL]]
    for case, done in runs.items():
        speeds = [one.tokens_a_second for one in done]
        ratio = median(speed / other for speed, other in zip(speeds, base, strict=True))
        latency = median(one.first for one in done)
        lines.append(
            f"| {case} | {median(speeds):.1f} ({min(speeds):.1f}–{max(speeds):.1f}) | {ratio:.1f} "
            f"| {f'{latency:.2f}' if latency else ''} | {max(one.memory for one in done):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the rounds and print a table and the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=None, help="default: the adapter's, or embedded")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--questions", type=int, default=32, help="asked where several are asked at once")
    parser.add_argument("--alone", type=int, default=2, help="asked where they are asked one by one")
    parser.add_argument("--tokens", type=int, default=32, help="the most tokens of an answer")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--llama-cpp", action="store_true", help="with llama.cpp, which must be installed")
    parser.add_argument("--gguf", type=Path, help="for llama.cpp; default: made of the embedded base")
    parser.add_argument("--agreement", action="store_true", help="also compare the answers of int8 and float32")
    parser.add_argument("--out", type=Path, help="write all runs there, as JSON")
    args = parser.parse_args()
    cases = [case for case in CASES if args.llama_cpp or not case.way.startswith("llama.cpp")]
    workers = {way: Worker(way, args) for way in dict.fromkeys(case.way for case in cases)}
    runs: dict[Case, list[Run]] = {case: [] for case in cases}
    for number in range(args.rounds):
        for case in cases if number % 2 == 0 else reversed(cases):
            done = workers[case.way].run(case)
            runs[case].append(done)
            load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
            print(f"{number + 1}. {case}: {done.tokens_a_second:.1f} tokens/s {load}", file=sys.stderr, flush=True)
        print(f"after {number + 1} rounds\n{table(runs)}", flush=True)
    if args.agreement:
        worker = Worker("ctranslate2 float32", args)
        exact = worker.run(Case("ctranslate2 float32", 32)).answers
        print("int8 against float32:", agreement(runs[Case("ctranslate2 int8", 32)][0].answers, exact))
        worker.end()
    for worker in workers.values():
        worker.end()
    if args.out:
        found = {
            str(case): [{**asdict(one), "answers": len(one.answers)} for one in done] for case, done in runs.items()
        }
        args.out.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
