"""What a teacher wrote, on disk: filtered, split and written as the composer's data sets are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bentsao.construction.filtering import Refused, Tally, judged, refused_path
from bentsao.construction.filters import Context
from bentsao.construction.shares import SPLITS, Split, split_of
from bentsao.construction.writing import MANIFEST_NAME, BuildOptions
from bentsao.core.files import sha256_file, whole_folder, write_json
from bentsao.core.records import Conversation


def write_taught(
    rows: Iterable[Conversation], options: BuildOptions, account: dict[str, Any], out: Path
) -> dict[str, Any]:
    """Write a teacher's rows into the folder `out`, whole or not at all; returns the manifest.

    Of the options the seed, the shares and the filters count: the same group is in the same split as in a composed data
    set of the same seed. account: what the run came to, for the manifest.
    """
    files: dict[Split, list[str]] = {split: [] for split in SPLITS}
    refused: dict[Split, list[str]] = {split: [] for split in SPLITS}
    forms: Counter[str] = Counter()
    tally = Tally()
    for one in judged(rows, options.filters, Context()):
        tally.count(one)
        group = one.row.group if isinstance(one, Refused) else one.group
        split = split_of(group, options.seed, options.shares)
        if isinstance(one, Refused):
            refused[split].append(one.model_dump_json())
            continue
        made = one.made.model_copy(update={"split": split}) if one.made else None
        forms[made.form if made else ""] += 1
        row = one.model_copy(update={"made": made}).model_dump(mode="json", exclude_defaults=True)
        files[split].append(json.dumps(row, ensure_ascii=False))
    with whole_folder(out) as folder:
        for split, lines in files.items():
            if options.shares.get(split):
                _write(folder / f"{split}.jsonl", lines)
        for split, lines in refused.items():
            if lines:
                _write(refused_path(folder / f"{split}.jsonl"), lines)
        manifest: dict[str, Any] = {
            "dataset": options.dataset,
            "writer": "teacher",
            "options": options.model_dump(mode="json"),
            "rows": {split: len(lines) for split, lines in files.items()},
            "forms": dict(forms.most_common()),
            "filters": {"names": list(options.filters), **tally.as_json()},
            "teacher": account,
            "files": {file.name: sha256_file(file) for file in sorted(folder.glob("*.jsonl"))},
        }
        write_json(folder / MANIFEST_NAME, manifest)
    return manifest


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")
