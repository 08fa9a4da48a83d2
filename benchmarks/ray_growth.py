"""How answering grows with the workers of a cluster: measured on this machine's cores, simulated beyond them.

    python benchmarks/ray_growth.py                                 # 1 and 2 workers, in turn, three pairs
    python benchmarks/ray_growth.py --seconds 2.5 --simulate 1 8 64 # workers that sleep so long for each batch

Measured: the embedded base in int8, one thread a worker; and, in turn with that, as many bare processes with an engine
and half of the batches each, without Ray or a journal: what the cores allow.

Simulated: the same driver, the same Ray Data, the same journal on the disk, real pieces, real answers; only in place of
a model that answers a batch stands a sleep of the time that a batch was measured to take. So what one driver can keep
busy is measured, and what computing machines take from one another (memory, network, disks) is not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bentsao.apps.cluster.connecting import connected
from bentsao.apps.cluster.engine import ClusterEngine, open_on
from bentsao.apps.cluster.pieces import Size
from bentsao.apps.cluster.workers import Cluster
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.core.formats import FORMATS, ChatFormat
from bentsao.core.records import Answer, Message, Question
from bentsao.inference.batch import answer_all
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, fitted_prompt
from bentsao.models.loading import load_tokens

ROWS = 4
DECODING = Decoding(max_new_tokens=24)
ASKED = ("感冒发热怎么办？", "高血压患者平时饮食要注意什么？", "胃炎有哪些症状，需要做什么检查？")


@dataclass(frozen=True)
class Sleeper:
    """An engine that takes its time and says the same to everybody.

    tokens: None in the workers, which get their prompts ready and would import much for it.
    """

    name: str
    tokens: Any
    chat_format: ChatFormat
    context: int
    seconds: float

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        """See `Engine.generate`."""
        del on_text, called_off
        time.sleep(self.seconds)
        ids = tuple(range(decoding.max_new_tokens))
        return [Generated(ids, "多休息，多喝水，及时就医。" * 4, "length") for _ in prompts]


def open_sleeper(engine: Sleeper, ready: float, _: Callable[[str], None]) -> Engine:
    """The engine, not before `ready` (seconds since the epoch), so that all workers begin together."""
    time.sleep(max(0.0, ready - time.time()))
    return engine


def questions(count: int) -> list[Question]:
    """Of three lengths, each its own."""
    said = [Message(role="user", content=f"{ASKED[n % len(ASKED)]}（{n}）") for n in range(count)]
    return [Question(id=f"q{n}", group=f"q{n}", messages=(one,)) for n, one in enumerate(said)]


def measure(batches: int, pairs: int) -> None:
    """Print a table of 1 and 2 workers and bare processes: tokens a second while all work; and how they grow."""
    rates: dict[tuple[str, int], list[float]] = {(way, n): [] for way in ("Ray", "bare") for n in (1, 2)}
    each: list[float] = []
    with connected("local:2", usual=Size(cpus=1)) as cluster:
        engine = open_on(cluster, ModelChoice(base="embedded").open, print)
        print(f"{engine.name}; a worker takes {engine.cluster.size}", flush=True)
        for pair in range(pairs):
            order = list(rates) if pair % 2 == 0 else list(reversed(rates))
            for way, workers in order:
                if way == "bare":
                    rate = bare(workers, batches)
                else:
                    rate, answers = timed(with_workers(engine, workers), batches)
                    each += [answer.seconds * ROWS for answer in answers] if workers == 1 else []
                rates[way, workers].append(rate)
                print(f"  pair {pair + 1}, {way}, {workers}: {rate:.1f} tokens/s", flush=True)
    print("\n| way | 1, tokens/s | 2, tokens/s | growth |\n|---|---|---|---|")
    for way in ("Ray", "bare"):
        ones, twos = rates[way, 1], rates[way, 2]
        growth = [two / one for one, two in zip(ones, twos, strict=True)]
        spread = f"{statistics.median(growth):.2f} ({min(growth):.2f} to {max(growth):.2f})"
        print(f"| {way} | {statistics.median(ones):.1f} | {statistics.median(twos):.1f} | {spread} |")
    print(f"\na batch of {ROWS} with 1 worker: {statistics.median(each):.2f} s")


def bare(processes: int, batches: int) -> float:
    """Tokens a second of so many processes together, each with its own engine and its share of the batches."""
    context = multiprocessing.get_context("spawn")
    gate, told = context.Barrier(processes), context.Queue()
    running = [context.Process(target=work_alone, args=(n, processes, batches, gate, told)) for n in range(processes)]
    for process in running:
        process.start()
    found: list[tuple[int, float, float]] = [told.get() for _ in running]
    for process in running:
        process.join()
    tokens, begins, ends = zip(*found, strict=True)
    return sum(tokens) / (max(ends) - min(begins))


def work_alone(number: int, processes: int, batches: int, gate: Barrier, told: Queue[tuple[int, float, float]]) -> None:
    """One of the bare processes. told: gets its tokens, and when it began and ended (seconds since the epoch)."""
    engine = ModelChoice(base="embedded").open()
    prompts = [fitted_prompt(engine, question.messages, DECODING)[0] for question in questions(batches * ROWS)]
    prompts.sort(key=len, reverse=True)
    gate.wait()
    begun, tokens = time.time(), 0
    for start in range(number * ROWS, len(prompts), processes * ROWS):
        tokens += sum(len(one.ids) for one in engine.generate(prompts[start : start + ROWS], DECODING))
    told.put((tokens, begun, time.time()))


def with_workers(engine: ClusterEngine, workers: int) -> ClusterEngine:
    """The same engine on so many workers."""
    cluster = Cluster(engine.cluster.ray, engine.cluster.size, workers)
    return ClusterEngine(
        engine.name, engine.tokens, engine.chat_format, engine.context, engine.weighs, cluster, engine.opening
    )


def timed(engine: ClusterEngine, batches: int) -> tuple[float, list[Answer]]:
    """Tokens a second from the first answered batch of each worker on, and the answers."""
    ends: list[float] = []
    with TemporaryDirectory() as folder:
        answers = answer_all(
            engine,
            questions(batches * ROWS),
            Path(folder, "answers.jsonl"),
            DECODING,
            rows=ROWS,
            progress=lambda *_: ends.append(time.perf_counter()),
        )
    done = ends[1:]  # the first is told before anything is done
    first = engine.cluster.workers - 1
    tokens = sum(answer.tokens for answer in answers) * (len(done) - 1 - first) / len(done)
    return tokens / (done[-1] - done[first]), answers


def simulate(seconds: float, counts: Sequence[int], batches: int, warm: float) -> None:
    """Print a table: for each number of workers, the share of their time that they are kept at work.

    warm: seconds from the start of a run to its first batch, for each worker, so that all processes are there.
    """
    tokens = load_tokens("embedded")
    print(f"a batch of {ROWS} takes {seconds} s; {batches} batches a worker\n")
    print(
        "| workers | ideal, batches/s | in the middle half | of the ideal | in all, s |\n|---|---|---|---|---|",
        flush=True,
    )
    with connected(f"local:{max(counts)}", usual=Size(cpus=1)) as cluster:
        for workers in counts:
            ready = time.time() + 15 + warm * workers
            stub = Sleeper("sleeper", None, FORMATS["plain"], 32_768, seconds)
            engine = ClusterEngine(
                stub.name, tokens, stub.chat_format, stub.context, weighs=False,
                cluster=Cluster(cluster.ray, Size(cpus=1), workers), opening=partial(open_sleeper, stub, ready),
            )  # fmt: skip
            ended: list[float] = []
            with TemporaryDirectory() as folder:
                answer_all(
                    engine,
                    questions(batches * workers * ROWS),
                    Path(folder, "answers.jsonl"),
                    DECODING,
                    rows=ROWS,
                    progress=lambda *_, ended=ended: ended.append(time.time()),
                )
            took, ideal = ended[-1] - ready, workers / seconds
            # The first is told before anything is done. By a quarter all have begun, whatever the machine does beside.
            quarter, most = ended[batches * workers // 4], ended[batches * workers * 3 // 4]
            rate = (batches * workers * 3 // 4 - batches * workers // 4) / (most - quarter)
            print(f"| {workers} | {ideal:.1f} | {rate:.1f} | {rate / ideal:.1%} | {took:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=16, help="of a run, or of each simulated worker")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="that a simulated batch takes")
    parser.add_argument("--simulate", type=int, nargs="+", metavar="WORKERS")
    parser.add_argument("--warm", type=float, default=2.5, help="seconds that the start of a simulated worker is given")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    if options.simulate:
        simulate(options.seconds, options.simulate, options.batches, options.warm)
    else:
        measure(options.batches, options.pairs)


if __name__ == "__main__":
    main()
