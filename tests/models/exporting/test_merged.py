from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from bentsao.core.errors import ConfigError, ModelError
from bentsao.models.exporting import merged
from bentsao.models.exporting.deltas import read_changes
from bentsao.models.exporting.exporting import ACCOUNT, Target, export
from bentsao.models.exporting.source import open_source
from bentsao.models.exporting.stored import write_safetensors
from bentsao.models.loading import load_base
from tests.doubles import KINDS, Kind
from tests.models.adapted import load_adapted
from tests.models.exporting.adapted import adapted_folders, logits, source_of

SILENT = pytest.mark.filterwarnings(
    "ignore:Model has `tie_word_embeddings=True`", "ignore:Setting `save_embedding_layers`", "ignore:Model with"
)


def same_as_peft(source: Any, out: Path) -> None:
    """The exported folder must compute what base and adapter compute together, and not what the base does alone."""
    assert source.info is not None
    together = logits(load_adapted(source.info.folder, base=source.located.name, device="cpu")[0].model)
    alone = logits(load_base(source.located.name, device="cpu").model)
    found = logits(load_base(str(out), device="cpu").model)
    torch.testing.assert_close(found, together, atol=2e-5, rtol=1e-4)
    assert (together - alone).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_is_merged_as_peft_does_it(kind: Kind, tmp_path: Path) -> None:
    source = source_of(tmp_path, kind)
    export("hf", source, tmp_path / "out", Target())
    same_as_peft(source, tmp_path / "out")


CASES: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "rank-stabilised": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj|k_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj|v_proj": 3}},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "embedding, dora": {"target_modules": ["embed_tokens"], "use_dora": True},
    "head": {"target_modules": ["lm_head"]},
    "head saved whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "both ends saved whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]},
}


@SILENT
@pytest.mark.parametrize("kind", ["gemma3", "llama"])  # with tied ends, and without
@pytest.mark.parametrize("case", CASES)
def test_adapters_of_every_kind(case: str, kind: Kind, tmp_path: Path) -> None:
    source = source_of(tmp_path, kind, **CASES[case])
    export("hf", source, tmp_path / "out", Target())
    same_as_peft(source, tmp_path / "out")


def test_weights_that_lie_the_other_way_round(tmp_path: Path) -> None:
    _, adapter = adapted_folders(tmp_path, "llama", target_modules=["q_proj"])
    name = "model.layers.0.self_attn.q_proj.weight"
    weight = torch.randn(32, 32)
    straight = read_changes(adapter)[name].apply(weight)
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "fan_in_fan_out": True}), encoding="utf-8")
    torch.testing.assert_close(read_changes(adapter)[name].apply(weight.T), straight.T)


def test_in_shards_and_in_16_bits(tmp_path: Path) -> None:
    source = source_of(tmp_path, "qwen3")
    export("hf", source, tmp_path / "out", Target(dtype=torch.bfloat16, shard_bytes=20_000))
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text(encoding="utf-8"))
    files = sorted((tmp_path / "out").glob("*.safetensors"))
    assert len(files) > 2
    assert set(index["weight_map"].values()) == {file.name for file in files}
    weights = {name: value for file in files for name, value in load_file(file).items()}
    assert set(weights) == set(index["weight_map"])
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in weights.values())
    assert json.loads((tmp_path / "out/config.json").read_text(encoding="utf-8"))["dtype"] == "bfloat16"
    found, whole = logits(load_base(str(tmp_path / "out"), device="cpu").model), source
    together = logits(load_adapted(whole.info.folder, base=whole.located.name, device="cpu")[0].model)  # type: ignore[union-attr]
    assert torch.corrcoef(torch.stack([found.flatten(), together.flatten()]))[0, 1] > 0.999


def test_killed_it_goes_on_behind_the_last_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = source_of(tmp_path, "llama"), tmp_path / "out"
    made: list[str] = []
    real = merged.write_safetensors

    def dying(file: Path, tensors: Any, make: Any) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.extend([file.name])
        real(file, tensors, make)

    monkeypatch.setattr(merged, "write_safetensors", dying)
    with pytest.raises(KeyboardInterrupt):
        export("hf", source, out, Target(shard_bytes=20_000))
    assert not out.exists(), "nothing half done may lie where the export will be"
    (tmp_path / ".out.partial/.model-00003.tmp").write_bytes(b"left by a kill")
    made.clear()
    monkeypatch.setattr(merged, "write_safetensors", lambda *given: (made.append("more"), real(*given)))
    export("hf", source, out, Target(shard_bytes=20_000))
    assert len(made) == len(list(out.glob("*.safetensors"))) - 2
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".out")]
    assert not list(out.glob(".*"))
    same_as_peft(source, out)


def test_of_another_adapter_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = source_of(tmp_path, "llama"), tmp_path / "out"
    monkeypatch.setattr(merged, "_write_config", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        export("hf", source, out, Target())
    monkeypatch.undo()
    (tmp_path / "other").mkdir()
    other = source_of(tmp_path / "other", "llama", lora_alpha=2)
    export("hf", other, out, Target())
    same_as_peft(other, out)


def test_what_is_no_export_is_not_overwritten(tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="不是导出的目录"):
        export("hf", source, mine, Target())
    out = tmp_path / "out"
    export("hf", source, out, Target())
    (out / ACCOUNT).touch()
    export("hf", source, out, Target())  # an export may be made anew


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    source = source_of(tmp_path / "one", "llama")
    bloom, _ = adapted_folders(tmp_path, "bloom")
    wrong = open_source(
        adapter=source.info.folder if source.info else None, base=str(bloom), chat_format="plain", report=lambda _: None
    )
    with pytest.raises(ModelError, match="不相配"):
        export("hf", wrong, tmp_path / "out", Target())


def test_numbers_out_of_range_are_told(tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama", lora_alpha=10**45)
    with pytest.raises(ModelError, match="NaN 或无穷大"):
        export("hf", source, tmp_path / "out", Target())


def test_the_card_says_where_it_came_from(tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama")
    export("hf", source, tmp_path / "out", Target())
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "不构成诊断" in card
    assert "plain" in card
    assert "bentsao export hf" in card


def test_a_safetensors_file_is_what_the_library_reads(tmp_path: Path) -> None:
    weights = {"a": torch.randn(3, 5), "b": torch.arange(4), "c": torch.randn(2).to(torch.bfloat16)}
    told = {name: (value.dtype, tuple(value.shape)) for name, value in weights.items()}
    write_safetensors(tmp_path / "x", told, lambda name: weights[name])
    with safe_open(tmp_path / "x", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        for name in file.keys():  # noqa: SIM118
            torch.testing.assert_close(file.get_tensor(name), weights[name])
    with pytest.raises(ValueError, match="instead of"):
        write_safetensors(tmp_path / "y", {"a": (torch.float32, (5, 3))}, lambda _: weights["a"])


@pytest.mark.parametrize(("dtype", "share"), [(None, 1.0), (torch.bfloat16, 0.5)])
@pytest.mark.parametrize("pickled", [False, True])
def test_room_is_looked_for_by_what_will_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None, share: float, pickled: bool
) -> None:
    source = source_of(tmp_path, "llama")
    (weights,) = source.located.folder.glob("*.safetensors")
    stored = weights.stat().st_size
    if pickled:  # how many numbers it holds is not told without opening it
        weights.rename(weights.with_name("pytorch_model.bin"))
    needed = stored if pickled else stored * share
    for free, room in ((needed * 0.9, False), (needed * 1.01, True)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        with pytest.raises(Exception, match="写不成" if room else "磁盘只剩"):
            monkeypatch.setattr("bentsao.models.exporting.exporting._unfinished", _no_writing)
            export("hf", source, tmp_path / "out", Target(dtype=dtype))


def _no_writing(*_: Any) -> Any:
    raise RuntimeError("写不成")
