"""How fast the composer writes rows, and that its memory does not grow with them.

    python benchmarks/composer.py 10000 100000 [--dataset qa] [--kb KB] [--no-filters]

Rows are written to a folder that is removed. Each size is a process of its own, so that its peak memory is its own.
The sample knows some 6,800 attributes of 534 entities; far more rows than it has questions for come out as fewer, and
the table says how many came. A base with more holds more (`--kb`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

from bentsao.construction.filters import FILTERS
from bentsao.construction.writing import BuildOptions, build
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase


def measure(kb: Path, dataset: str, rows: int, *, filters: bool) -> tuple[int, float, float, float]:
    """Rows written, CPU seconds, seconds, and peak memory in MiB."""
    options = BuildOptions(dataset=dataset, rows=rows, filters=tuple(FILTERS) if filters else ())
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(kb) as store:
        manifest = build(store, options, Path(folder) / "out")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return sum(manifest["rows"].values()), time.process_time() - cpu, time.perf_counter() - wall, peak


def main() -> None:
    """Measure each size and print a line of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="+", type=int)
    parser.add_argument("--dataset", default="qa")
    parser.add_argument("--kb", type=Path, default=None)
    parser.add_argument("--no-filters", action="store_true")
    asked = parser.parse_args()
    kb: Path = asked.kb or sample_kb()
    print("asked      written    CPU s   rows/CPU s   wall s   peak MiB")
    for rows in asked.rows:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            written, cpu, wall, peak = pool.apply(measure, (kb, asked.dataset, rows), {"filters": not asked.no_filters})
        print(f"{rows:<10,} {written:<10,} {cpu:<7.1f} {written / cpu:<12.0f} {wall:<8.1f} {peak:.0f}", flush=True)


if __name__ == "__main__":
    main()
