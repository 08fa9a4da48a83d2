"""How answering grows with the workers of a cluster: measured on this machine's cores, simulated beyond them.

    python benchmarks/ray_growth.py                                 # 1 and 2 workers, in turn, three pairs
    python benchmarks/ray_growth.py --seconds 2.5 --simulate 1 8 64 # workers that sleep so long for each batch

Measured: the embedded base in int8, one thread a worker. Simulated: the same driver, the same Ray Data, the same
journal on the disk, real pieces, real answers; only in place of a model that answers a batch stands a sleep of the time
that a batch was measured to take. So what one driver can keep busy is measured, and what computing machines take from
one another (memory, network, disks) is not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bentsao.apps.cluster import Cluster, Size, connected
from bentsao.apps.cluster_engine import ClusterEngine, open_on
from bentsao.apps.commands.answering import ModelChoice
from bentsao.core.formats import FORMATS, ChatFormat
from bentsao.core.records import Answer, Message, Question
from bentsao.core.rendering import Tokens
from bentsao.inference.batch import answer_all
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated
from bentsao.models.loading import load_tokens

ROWS = 4
DECODING = Decoding(max_new_tokens=24)
ASKED = ("感冒发热怎么办？", "高血压患者平时饮食要注意什么？", "胃炎有哪些症状，需要做什么检查？")


@dataclass(frozen=True)
class Sleeper:
    """An engine that takes its time and says the same to everybody."""

    name: str
    tokens: Tokens
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
    """Print a table of 1 and 2 workers: tokens a second while all work, and with the opening of the models."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    walls: dict[int, list[float]] = {1: [], 2: []}
    each: list[float] = []
    with connected("local:2", size=Size(cpus=1)) as cluster:
        engine = open_on(cluster, ModelChoice(base="embedded").open, print)
        print(f"{engine.name}; a worker takes {engine.cluster.size}", flush=True)
        for pair in range(pairs):
            for workers in (1, 2) if pair % 2 == 0 else (2, 1):
                rate, wall, answers = timed(with_workers(engine, workers), batches)
                rates[workers].append(rate)
                walls[workers].append(wall)
                each += [answer.seconds * ROWS for answer in answers] if workers == 1 else []
                print(f"  pair {pair + 1}, {workers} workers: {rate:.1f} tokens/s, {wall:.0f} s", flush=True)
    growth = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    print("\n| workers | tokens/s | all in all, s |\n|---|---|---|")
    for workers, rate in rates.items():
        print(f"| {workers} | {statistics.median(rate):.1f} | {statistics.median(walls[workers]):.0f} |")
    print(f"\ngrowth, median of {pairs} pairs: {statistics.median(growth):.2f} ({min(growth):.2f}–{max(growth):.2f})")
    print(f"a batch of {ROWS} with 1 worker: {statistics.median(each):.2f} s")


def with_workers(engine: ClusterEngine, workers: int) -> ClusterEngine:
    """The same engine on so many workers."""
    cluster = Cluster(engine.cluster.ray, engine.cluster.size, workers)
    return ClusterEngine(
        engine.name, engine.tokens, engine.chat_format, engine.context, engine.weighs, cluster, engine.opening
    )


def timed(engine: ClusterEngine, batches: int) -> tuple[float, float, list[Answer]]:
    """Tokens a second from the first answered batch of each worker on, seconds in all, and the answers."""
    ends: list[float] = []
    started = time.perf_counter()
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
    return tokens / (done[-1] - done[first]), time.perf_counter() - started, answers


def simulate(seconds: float, counts: Sequence[int], batches: int, warm: float) -> None:
    """Print a table: for each number of workers, the share of their time that they were kept at work."""
    tokens = load_tokens("embedded")
    print(f"a batch of {ROWS} takes {seconds} s; {batches} batches a worker\n")
    print("| workers | ideal, s | took, s | batches/s | kept at work |\n|---|---|---|---|---|", flush=True)
    with connected("local:64", size=Size(cpus=1)) as cluster:
        for workers in counts:
            ready = time.time() + 15 + warm * workers
            stub = Sleeper("sleeper", tokens, FORMATS["plain"], 32_768, seconds)
            engine = ClusterEngine(
                stub.name, stub.tokens, stub.chat_format, stub.context, weighs=False,
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
            took, ideal = ended[-1] - ready, batches * seconds
            rate = batches * workers / took
            print(f"| {workers} | {ideal:.1f} | {took:.1f} | {rate:.1f} | {ideal / took:.1%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=12, help="of a run, or of each simulated worker")
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
