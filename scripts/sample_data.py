"""Draws rows of each form from what `bentsao build all` wrote: the data in `examples/`, for a first look.

bentsao build all --seed 42 --out DATA
python scripts/sample_data.py DATA examples
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from random import Random

ROWS = 10
"""Rows of each form."""


def main() -> None:
    """Draw the rows and say how many there are."""
    built, out = map(Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    for folder in sorted(path for path in built.iterdir() if (path / "train.jsonl").is_file()):
        forms: dict[str, list[str]] = defaultdict(list)
        for line in (folder / "train.jsonl").read_text("utf-8").splitlines():
            forms[json.loads(line)["made"]["form"]].append(line)
        rng = Random(1)
        drawn = [line for form in sorted(forms) for line in rng.sample(forms[form], min(ROWS, len(forms[form])))]
        (out / f"{folder.name}.jsonl").write_text("".join(f"{line}\n" for line in drawn), encoding="utf-8")
        print(f"{folder.name}: {len(drawn)} rows of {len(forms)} forms")


if __name__ == "__main__":
    main()
