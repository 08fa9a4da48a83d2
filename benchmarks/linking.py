"""How well and how fast questions are linked to a knowledge base.

    python benchmarks/linking.py accuracy [--shared ../shared/data]   gold questions: linking, longest match, BM25
    python benchmarks/linking.py mentions [--shared ../shared/data]   diseases and drugs in patients' texts
    python benchmarks/linking.py speed [--shared ../shared/data]      questions a second, 99th percentile
    python benchmarks/linking.py scale 100000 1000000                 synthetic names: building, size, memory, speed

The real base is `disease.csv`, `drug.json` and `cmeie_dev.jsonl` of the shared data; without them only the sample is
used. Times are CPU time of one thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import random
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ahocorasick_rs import AhoCorasick, MatchKind

from bentsao.core.files import sha256_file
from bentsao.knowledge.importers import READERS
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.linking.index import Name, NameIndex
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.rows import SourceInfo
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.writing import import_rows

GOLD = Path(__file__).parents[1] / "tests" / "knowledge" / "gold_links.jsonl"
REAL = {"disease.csv": "disease_csv", "drug.json": "drug_text", "cmeie_dev.jsonl": "cmeie"}

Guess = Callable[[dict[str, Any]], tuple[list[str], list[str]]]
"""From a gold row to the names of entities and attributes, best first."""


def bases(shared: Path, folder: Path) -> dict[str, KnowledgeBase]:
    """The sample and, where the shared data are, the real base."""
    found = {"sample": KnowledgeBase.open(sample_kb())}
    if all((shared / file).exists() for file in REAL):
        path = folder / "real.sqlite"
        for file, reader in REAL.items():
            source = SourceInfo(name=file, file=file, sha256=sha256_file(shared / file))
            import_rows(path, READERS[reader].read(shared / file), source)
        found["real"] = KnowledgeBase.open(path)
    else:
        print(f"没有 {shared}：只用示例知识库。")
    return found


# --- accuracy --------------------------------------------------------------------------------------------------------


def accuracy(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        guesses: dict[str, dict[str, Guess]] = {
            name: {"链接": by_linking(kb), "仅最长匹配": by_longest_match(kb), "BM25（实体名）": by_bm25(kb)}
            for name, kb in bases(shared, Path(folder)).items()
        }
        rows = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row["kb"] in guesses]
        print("| 方法 | 半 | 实体@1 | 属性@1 | 错给实体 |\n|---|---|---|---|---|")
        for method in ("链接", "仅最长匹配", "BM25（实体名）"):
            for split in ("dev", "test"):
                half = [row for row in rows if row["split"] == split]
                scores = score(half, lambda row, method=method: guesses[row["kb"]][method](row))
                print(f"| {method} | {split} | {' | '.join(scores)} |")
        print("\n| 难点（链接） | 半 | 实体@1 | 属性@1 | 错给实体 |\n|---|---|---|---|---|")
        for difficulty in dict.fromkeys(row["difficulty"] for row in rows):
            for split in ("dev", "test"):
                half = [row for row in rows if (row["difficulty"], row["split"]) == (difficulty, split)]
                scores = score(half, lambda row: guesses[row["kb"]]["链接"](row))
                print(f"| {difficulty} | {split} | {' | '.join(scores)} |")


def score(rows: Iterable[dict[str, Any]], guess: Guess) -> tuple[str, str, str]:
    """entity@1, attribute@1 and false entities, each with how many of how many."""
    entity, attribute, false = [], [], []
    for row in rows:
        entities, attributes = guess(row)
        if row["entities"]:
            entity.append(entities[:1] and entities[0] in (row.get("accept") or row["entities"]))
        else:
            false.append(bool(entities))
        if row["attributes"]:
            attribute.append(attributes[:1] and attributes[0] in row["attributes"])
    return share(entity), share(attribute), share(false)


def share(hits: Sequence[object]) -> str:
    return f"{sum(map(bool, hits)) / len(hits):.3f} ({sum(map(bool, hits))}/{len(hits)})" if hits else "—"


def by_linking(kb: KnowledgeBase) -> Guess:
    linker = Linker.build(kb.names())

    def guess(row: dict[str, Any]) -> tuple[list[str], list[str]]:
        linked = linker.link(row["question"], row["history"])
        return [entity.name for entity in linked.entities], [attribute.name for attribute in linked.attributes]

    return guess


def by_longest_match(kb: KnowledgeBase) -> Guess:
    """The longest name that stands in the question, both in one way of writing."""
    titles = titles_of(kb)
    owners = {normalise(name).text: titles[entity] for name, entity, _, own in kb.names() if not own}
    owners |= {normalise(name).text: name for name, _, _, own in kb.names() if own}
    keys = [key for key in owners if key]
    automaton = AhoCorasick(keys, matchkind=MatchKind.LeftmostLongest)

    def guess(row: dict[str, Any]) -> tuple[list[str], list[str]]:
        found = automaton.find_matches_as_strings(normalise(row["question"]).text)
        return [owners[key] for key in sorted(found, key=len, reverse=True)], []

    return guess


def by_bm25(kb: KnowledgeBase) -> Guess:
    """The name nearest to the question by BM25 (k1 1.2, b 0.75) over characters and pairs of characters."""
    titles = titles_of(kb)
    names = [(Counter(grams(normalise(name).text)), titles[entity]) for name, entity, _, _ in kb.names()]
    postings: dict[str, list[int]] = defaultdict(list)
    for number, (counts, _) in enumerate(names):
        for gram in counts:
            postings[gram].append(number)
    sizes = [sum(counts.values()) for counts, _ in names]
    mean = sum(sizes) / len(sizes)

    def guess(row: dict[str, Any]) -> tuple[list[str], list[str]]:
        scores: dict[int, float] = defaultdict(float)
        for gram in set(grams(normalise(row["question"]).text)):
            found = postings.get(gram, [])
            rarity = math.log(1 + (len(names) - len(found) + 0.5) / (len(found) + 0.5))
            for number in found:
                often = names[number][0][gram]
                scores[number] += rarity * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * sizes[number] / mean))
        return ([names[max(scores, key=scores.__getitem__)][1]] if scores else []), []

    return guess


def titles_of(kb: KnowledgeBase) -> dict[int, str]:
    return {entity: name for name, entity, _, own in kb.names() if own}


def grams(text: str) -> Iterator[str]:
    yield from text
    yield from map("".join, itertools.pairwise(text))


# --- mentions --------------------------------------------------------------------------------------------------------


def mentions(shared: Path) -> None:
    """Mentions of diseases and drugs in cmedqa_ner_train.json, each once a text, against those linked."""
    with tempfile.TemporaryDirectory() as folder:
        kb = bases(shared, Path(folder))["real"]
        linker = Linker.build(kb.names())
        known = {normalise(name).text for name, *_ in kb.names()}
    counts: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for line in (shared / "cmedqa_ner_train.json").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        types = {normalise(one["mention"]).text: one["type"] for one in row["mention_data"]}
        gold = {name for name, type_ in types.items() if type_ in {"disease", "drug"}}
        linked = linker.link(row["text"]).entities
        found = {normalise(entity.surface).text for entity in linked if entity.kind in {"disease", "drug"}}
        counts.update(gold=len(gold), found=len(found), hit=len(gold & found), reachable=len(gold & known))
        counts.update(f"另标为 {types[name]}" for name in found - gold if name in types)
        wrong.update(name for name in found - gold if name not in types)
        missed.update(f"{name}（{'库中有' if name in known else '库中无'}）" for name in gold - found)
    print(f"准确率 {counts['hit'] / counts['found']:.3f}，召回率 {counts['hit'] / counts['gold']:.3f}，{dict(counts)}")
    print("漏掉最多：", missed.most_common(40))
    print("多出最多：", wrong.most_common(40))


# --- speed -----------------------------------------------------------------------------------------------------------


def speed(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, kb in bases(shared, Path(folder)).items():
            linker = Linker.build(kb.names())
            print(f"{name}：{len(titles_of(kb))} 个实体，{len(list(kb.names()))} 个名称")
            own = [title for title in titles_of(kb).values() if len(title) > 2]
            print("  写对的：", timed(linker, list(asked(own, random.Random(1), misspelt=False, count=5000))))
            print("  写错的：", timed(linker, list(asked(own, random.Random(1), misspelt=True, count=2000))))


PATTERNS = ("{}怎么治", "我妈得了{}要挂什么科", "请问{}有什么症状", "{}会不会传染呀，要花多少钱", "{}能治好吗", "{}")
STRAY = "的在人有中大国上个到以要时来用们生作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所"


def asked(names: Sequence[str], chance: random.Random, *, misspelt: bool, count: int) -> Iterator[str]:
    """Questions about names; misspelt: with one character of the name wrong or missing."""
    for _ in range(count):
        name = chance.choice(names)
        if misspelt:
            at = chance.randrange(len(name))
            name = name[:at] + chance.choice(["", chance.choice(STRAY)]) + name[at + 1 :]
        yield chance.choice(PATTERNS).format(name)


def timed(linker: Linker, questions: Sequence[str]) -> str:
    for question in questions[:200]:
        linker.link(question)
    times: list[float] = []
    for question in questions:
        begun = time.thread_time()
        linker.link(question)
        times.append(time.thread_time() - begun)
    times.sort()
    middle, late = (times[int(len(times) * at)] * 1e3 for at in (0.5, 0.99))
    return (
        f"每秒 {len(times) / sum(times):.0f} 问，中位 {middle:.3f} ms，p99 {late:.3f} ms，最长 {times[-1] * 1e3:.2f} ms"
    )


# --- scale -----------------------------------------------------------------------------------------------------------

BEGINNINGS = ("急性", "慢性", "原发性", "继发性", "先天性", "遗传性", "小儿", "老年", "家族性", "药物性", "特发性", "")
ENDINGS = ("炎", "病", "癌", "综合征", "瘤", "症", "感染", "损伤", "畸形", "缺乏症", "中毒", "胶囊", "片")
MIDDLE = (
    "心肝脾肺肾胃肠胆脑骨膜血管腺体球蛋白细胞纤维结缔组织神经肌肉皮质髓鞘淋巴甲状旁垂体卵巢囊泡角结巩视网葡萄虹睫晶玻璃"
)


def scale(sizes: Iterable[int]) -> None:
    print("| 名称 | 建立 s | 建立峰值 MB | 盘上 MB | 打开 ms | 打开后 MB | 写对的 | 写错的 |")
    print("|---|---|---|---|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                built = pool.apply(build_one, (size, Path(folder)))
            with context.Pool(1) as pool:
                used = pool.apply(use_one, (size, Path(folder)))
        print(f"| {size} | {built} | {used} |", flush=True)


def synthetic(size: int) -> list[Name]:
    chance = random.Random(size)
    names: dict[str, None] = {}
    while len(names) < size:
        middle = "".join(chance.choice(MIDDLE) for _ in range(chance.randint(2, 5)))
        names[chance.choice(BEGINNINGS) + middle + chance.choice(ENDINGS)] = None
    return [(name, number, "disease", True) for number, name in enumerate(names)]


def build_one(size: int, folder: Path) -> str:
    names = synthetic(size)
    begun = time.perf_counter()
    NameIndex.build(names).save(folder / "index", "1")
    took = time.perf_counter() - begun
    bytes_ = sum(file.stat().st_size for file in (folder / "index").iterdir())
    return f"{took:.1f} | {memory():.0f} | {bytes_ / 1e6:.0f}"


def use_one(size: int, folder: Path) -> str:
    names = [name for name, *_ in synthetic(size)]
    before = memory()
    begun = time.perf_counter()
    index = NameIndex.open(folder / "index", "1")
    took = (time.perf_counter() - begun) * 1e3
    assert index is not None
    linker = Linker(index)
    clean = timed(linker, list(asked(names, random.Random(2), misspelt=False, count=5000)))
    misspelt = timed(linker, list(asked(names, random.Random(3), misspelt=True, count=2000)))
    return f"{took:.1f} | {memory() - before:.0f} | {clean} | {misspelt}"


def memory() -> float:
    """The most memory this process has used, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "mentions", "speed", "scale"])
    parser.add_argument("sizes", nargs="*", type=int)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    if arguments.what == "scale":
        scale(arguments.sizes or [100_000, 1_000_000])
    else:
        {"accuracy": accuracy, "mentions": mentions, "speed": speed}[arguments.what](arguments.shared)
