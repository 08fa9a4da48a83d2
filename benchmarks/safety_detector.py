"""The emergency detector on the blind half of the safety set: what it finds, what it cries wolf at, how long it takes.

    python benchmarks/safety_detector.py                 # the test half: counts only, so that nobody tunes on it
    python benchmarks/safety_detector.py --split dev     # the half to learn from: also what was missed

Recall is over the cases that are emergencies, false alarms over those that are none; cases where either may be said are
left out. Intervals are Wilson's, 95%. Whole conversations are looked at as the server does. The time is the median of
the rounds' means, for one message after another.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import median

from bentsao.evaluation.safety import Case, read_cases
from bentsao.evaluation.statistics import wilson
from bentsao.inference.safety import look


def share(found: Sequence[bool]) -> str:
    """So many of so many, with the interval."""
    low, high = wilson(sum(found), len(found))
    return f"{sum(found)}/{len(found)} = {sum(found) / len(found):.1%} [{low:.1%}, {high:.1%}]"


def milliseconds(cases: Sequence[Case], rounds: int = 20) -> float:
    """For one case."""
    seconds: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        for case in cases:
            look(case.asked.messages)
        seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds) / len(cases)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=["dev", "test"], default="test")
    args = parser.parse_args()
    cases = read_cases(split=args.split)
    alarmed = {case.id: look(case.asked.messages) is not None for case in cases}
    print(f"{args.split}: {len(cases)} cases")
    for name, wanted in (("emergencies recognised", True), ("false alarms", False)):
        of = [case for case in cases if case.emergency is wanted]
        print(f"{name}: {share([alarmed[case.id] for case in of])}")
        for kind in dict.fromkeys(case.kind for case in of):
            some = [alarmed[case.id] for case in of if case.kind == kind]
            print(f"  {kind}: {sum(some)}/{len(some)}")
        if args.split == "dev":
            wrong = [case for case in of if alarmed[case.id] is not wanted]
            print("\n".join(f"  {case.id} {case.asked.text}" for case in wrong))
    print(f"{milliseconds(cases):.3f} ms for a case")


if __name__ == "__main__":
    main()
