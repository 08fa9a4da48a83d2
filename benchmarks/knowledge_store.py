"""How the knowledge base grows: building, file size, memory, opening, look-ups and search on synthetic contents.

    python benchmarks/knowledge_store.py                        # 10^4 and 10^5 entities (10^6 facts)
    python benchmarks/knowledge_store.py --entities 1000000     # 10^7 facts: minutes, and some GB of disk

An entity has ten facts in five attributes; two of ten values are its own, the others are shared, a few of them by very
many. Building and reading run in processes of their own, so that the memory of one is not counted for the other.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bentsao.knowledge.rows import Alias, EntityRow, FactRow, SourceInfo
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.writing import import_rows

ATTRIBUTES = ("临床症状及体征", "病因", "并发症", "药物治疗", "检查")
FACTS_AN_ENTITY = 10
CHARACTERS = 3000


def text_of(seed: int, shortest: int, longest: int) -> str:
    """The same text for the same seed; common characters are commoner, as in real names."""
    # A linear congruential generator, since making millions of `Random`s would take longer than storing the texts.
    state = (seed + 1) * 0x9E3779B97F4A7C15 % 2**64
    length = shortest + (state >> 33) % (longest - shortest + 1)
    characters: list[str] = []
    for _ in range(length):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        characters.append(chr(0x4E00 + int(CHARACTERS * (state / 2**64) ** 2)))
    return "".join(characters)


def name_of(entity: int) -> str:
    return text_of(entity, 3, 8)


def synthetic_rows(entities: int) -> Iterator[EntityRow]:
    draw = random.Random(0)
    for entity in range(entities):
        aliases = tuple(Alias(text_of(-(2 * entity + n + 1), 2, 6)) for n in range(1 + entity % 2))
        facts: list[FactRow] = []
        for number in range(FACTS_AN_ENTITY):
            own = number % 5 == 0
            value = text_of(10**9 + 10 * entity + number, 6, 16) if own else name_of(int(entities * draw.random() ** 3))
            facts.append(FactRow(ATTRIBUTES[number // 2], value))
        yield EntityRow(name_of(entity), "disease", aliases, tuple(facts), entity + 1)


def build(path: Path, entities: int) -> dict[str, float]:
    started, cpu = time.perf_counter(), time.process_time()
    for _ in synthetic_rows(entities):
        pass
    making, making_cpu = time.perf_counter() - started, time.process_time() - cpu
    source = SourceInfo(name="合成数据", file="synthetic", sha256=str(entities))
    report = import_rows(path, synthetic_rows(entities), source)
    cpu = time.process_time() - cpu - 2 * making_cpu
    return {
        "实体": report.entities,
        "事实": report.facts,
        "别名": report.aliases,
        "建库（秒，不含造数据）": report.seconds - making,
        "建库（CPU 秒，不含造数据）": cpu,
        "文件（MB）": path.stat().st_size / 1e6,
        "建库内存峰值（MB）": peak_memory(),
    }


def read(path: Path, entities: int) -> dict[str, float]:
    draw = random.Random(1)
    figures: dict[str, float] = {}
    started = time.perf_counter()
    with KnowledgeBase.open(path) as kb:
        kb.facts(name_of(0))
        figures["打开并首次查询（毫秒）"] = (time.perf_counter() - started) * 1e3
        highest = max(
            entity.id for entity in (kb.entity(name_of(n)) for n in range(entities - 100, entities)) if entity
        )

        def any_name() -> str:
            return name_of(draw.randrange(entities))

        def misspelt() -> str:
            name = any_name()
            at = draw.randrange(len(name))
            return name[:at] + "錯" + name[at + 1 :]

        def facts_of_attribute() -> Callable[[], object]:
            entity, attribute = draw.randint(1, highest), draw.choice(ATTRIBUTES)
            return lambda: kb.facts(entity, attribute)

        def all_facts() -> Callable[[], object]:
            name = any_name()
            return lambda: kb.facts(name)

        def entity_of_name() -> Callable[[], object]:
            name = any_name()
            return lambda: kb.entity(name)

        def search() -> Callable[[], object]:
            text = misspelt()
            return lambda: kb.search(text)

        def reverse() -> Callable[[], object]:
            attribute, value = draw.choice(ATTRIBUTES), any_name()
            return lambda: kb.subjects(attribute, value)

        for label, question, times in (
            ("（实体, 属性）→ 事实", facts_of_attribute, 20_000),
            ("名称 → 实体", entity_of_name, 20_000),
            ("名称 → 全部事实", all_facts, 5_000),
            ("（属性, 值）→ 实体", reverse, 2_000),
            ("检索（错一字的名称）", search, 500),
        ):
            figures |= measured(label, question, times)
    figures["读取内存峰值（MB）"] = peak_memory()
    return figures


def measured(label: str, question: Callable[[], Callable[[], object]], times: int) -> dict[str, float]:
    """Median and 99th percentile in microseconds, each question asked once, after a tenth more to warm up."""
    seconds: list[float] = []
    for ask in [question() for _ in range(times + times // 10)]:
        started = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - started)
    seconds = sorted(seconds[times // 10 :])
    return {
        f"{label}：中位数（微秒）": statistics.median(seconds) * 1e6,
        f"{label}：p99（微秒）": seconds[int(0.99 * len(seconds))] * 1e6,
    }


def peak_memory() -> float:
    """MB of this process since it began."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def run(entities: int, folder: Path) -> dict[str, float]:
    path = folder / f"{entities}.sqlite"
    figures: dict[str, float] = {}
    for job in (build, read):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures |= pool.apply(job, (path, entities))
    for left in folder.glob(f"{entities}.sqlite*"):
        left.unlink()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, default=None, help="where to build (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for entities in options.entities:
            figures = run(entities, Path(folder))
            if options.json:
                print(json.dumps(figures, ensure_ascii=False))
                continue
            for label, figure in figures.items():
                print(f"{label:　<24}{figure:>14,.1f}" if figure % 1 else f"{label:　<24}{figure:>14,.0f}")
            print(f"（{os.cpu_count()} 核）\n")


if __name__ == "__main__":
    main()
