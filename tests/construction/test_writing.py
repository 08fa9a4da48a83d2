"""Data sets on disk: the same bytes, splits that share nothing, filters, what is left out, and the manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from bentsao.construction.datasets import DATASETS
from bentsao.construction.filters import FILTERS
from bentsao.construction.report import read_refused
from bentsao.construction.writing import BuildOptions, build
from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file
from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase
from tests.construction.materials import small_kb

SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}


def made(base: Path, out: Path, dataset: str = "qa", rows: int = 60, **options: Any) -> dict[str, Any]:
    with KnowledgeBase.open(base) as kb:
        return build(
            kb, BuildOptions.model_validate({"dataset": dataset, "rows": rows, "shares": SHARES, **options}), out
        )


def rows_of(folder: Path, split: str = "*") -> list[dict[str, Any]]:
    lines = [file.read_text(encoding="utf-8").splitlines() for file in sorted(folder.glob(f"{split}.jsonl"))]
    return [json.loads(line) for file in lines for line in file if "reasons" not in json.loads(line)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_kb(tmp_path_factory.mktemp("kb"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred rows of each data set from the sample."""
    out = tmp_path_factory.mktemp("sample")
    for dataset in DATASETS:
        made(sample_kb(), out / dataset, dataset, 200)
    return out


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_are_read_back_and_passed_the_filters(sample: Path, dataset: str) -> None:
    for split in SHARES:
        read = read_conversations(sample / dataset / f"{split}.jsonl").conversations
        assert read
        for row in read:
            assert row.made is not None
            assert set(row.made.filters) >= set(FILTERS) - {"short"}
            assert row.made.split == split
    ids = [row["id"] for row in rows_of(sample / dataset)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dataset", DATASETS)
def test_splits_share_neither_entity_nor_question_pattern(sample: Path, dataset: str) -> None:
    groups: dict[str, set[str]] = defaultdict(set)
    patterns: dict[str, set[str]] = defaultdict(set)
    for split in SHARES:
        for row in rows_of(sample / dataset, split):
            if row["made"]["form"] != "vague":
                groups[row["group"]].add(split)
            for pattern in row["made"].get("patterns", ()):
                patterns[pattern].add("test" if split == "test" else "train")
            for item in row.get("evidence", ()):
                if row["made"]["form"] != "invented":
                    groups[item["fact"]["subject"]].add(split)
    assert {name for name, splits in groups.items() if len(splits) > 1} == set()
    assert {name for name, sides in patterns.items() if len(sides) > 1} == set()


def test_about_as_many_rows_as_wanted(sample: Path) -> None:
    for dataset in DATASETS:
        manifest = json.loads((sample / dataset / "manifest.json").read_text(encoding="utf-8"))
        assert abs(sum(manifest["rows"].values()) + sum(manifest["unfilled"].values()) - 200) <= 6
        assert sum(manifest["forms"].values()) == len(rows_of(sample / dataset))


def test_polarity_comes_in_pairs(sample: Path) -> None:
    sides = {row["id"]: row["made"] for row in rows_of(sample / "polarity")}
    for name, made_true in sides.items():
        if name.endswith("#true"):
            made_false = sides[name.replace("#true", "#false")]
            assert made_true["patterns"] == made_false["patterns"]
            assert (made_true["form"], made_false["form"]) == ("premise_true", "premise_false")


def test_the_manifest_accounts_for_everything(sample: Path) -> None:
    manifest = json.loads((sample / "qa" / "manifest.json").read_text(encoding="utf-8"))
    for name, digest in manifest["files"].items():
        assert sha256_file(sample / "qa" / name) == digest
    attributes = manifest["coverage"]["attributes"]
    for one in attributes.values():
        assert sum(one["forms"].values()) == sum(one["difficulties"].values()) == one["rows"]
    below = {
        name for name, one in attributes.items() if one["rows"] < manifest["coverage"]["minimum_rows_per_attribute"]
    }
    assert set(manifest["coverage"]["below_minimum"]) == below
    assert sum(manifest["sources"].values()) >= sum(manifest["rows"].values())
    assert manifest["filters"]["kept"] == sum(manifest["rows"].values())
    assert 0 < manifest["diversity"]["questions"]["distinct_2"] < 1
    assert manifest["diversity"]["rows"] == sum(manifest["rows"].values())


def test_the_same_bytes_whatever_the_hash_seed(base: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.construction.test_writing import made;"
        "[made(Path(sys.argv[1]), Path(sys.argv[2]) / name, name, 40) for name in sys.argv[3:]]"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "-c", code, str(base), str(tmp_path / seed), *DATASETS], check=True, env=environment
        )
    files = sorted(file.relative_to(tmp_path / "1") for file in (tmp_path / "1").rglob("*.json*"))
    assert len(files) >= 4 * len(DATASETS)
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes(), file


def test_another_seed_makes_other_rows(base: Path, tmp_path: Path) -> None:
    made(base, tmp_path / "a", seed=1)
    made(base, tmp_path / "b", seed=2)
    assert rows_of(tmp_path / "a") != rows_of(tmp_path / "b")


def test_excluded_entities_are_in_no_row(base: Path, tmp_path: Path) -> None:
    manifest = made(base, tmp_path / "qa", exclude=("流感", "银屑病", "没有这个病"))
    assert manifest["excluded_entities"] == ["流行性感冒", "银屑病"]
    for row in rows_of(tmp_path / "qa"):
        assert not {item["fact"]["subject"] for item in row["evidence"]} & {"流行性感冒", "银屑病"}


def test_only_some_kinds(base: Path, tmp_path: Path) -> None:
    made(base, tmp_path / "qa", kinds=("drug",))
    assert {item["fact"]["subject"] for row in rows_of(tmp_path / "qa") for item in row["evidence"]} <= {
        "奥司他韦", "沙丁胺醇", "异烟肼", "奥美拉唑", "卡泊三醇"
    }  # fmt: skip


def test_what_a_filter_refuses_is_replaced_and_kept_with_its_reason(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bentsao.construction import filters

    calls: list[str] = []

    def every_third(row: Any, _: Any) -> str | None:
        calls.append(row.id)
        return "试试：“拒收”" if len(calls) % 3 == 0 else None

    monkeypatch.setitem(filters.FILTERS, "leak", every_third)
    manifest = made(base, tmp_path / "qa", rows=50)
    assert sum(manifest["rows"].values()) + sum(manifest["unfilled"].values()) == 50
    assert manifest["filters"]["reasons"]["leak"]["试试"] > 10
    refused = [one for file in (tmp_path / "qa").glob("*.refused.jsonl") for one in read_refused(file)]
    assert len(refused) == manifest["filters"]["refused"]
    assert not {one.row.id for one in refused} & {row["id"] for row in rows_of(tmp_path / "qa")}


def test_without_filters(base: Path, tmp_path: Path) -> None:
    manifest = made(base, tmp_path / "qa", filters=())
    assert manifest["filters"]["names"] == []
    assert not any("filters" in row["made"] for row in rows_of(tmp_path / "qa"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dataset": "诗"}, "没有名为 '诗' 的数据集"),
        ({"shares": {"train": 0.5}}, "合起来是 1"),
        ({"filters": ("诗",)}, "没有名为 诗 的过滤器"),
        ({"kinds": ("body",)}, "没有能写成问答的事实"),
    ],
)
def test_what_cannot_be_built_is_told_and_leaves_nothing(
    base: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        made(base, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
