"""Loading a base: what comes out, and what each broken one is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bentsao.core.errors import ConfigError, DataError, MissingError, ModelError
from bentsao.core.formats import FORMATS
from bentsao.models import loading
from bentsao.models.loading import default_format, load_base, load_tokens, resolve_format
from bentsao.models.presets import BASES
from bentsao.models.shapes import stored_parameters
from bentsao.models.tokens import HFTokens
from tests.doubles import END_ID, KINDS, TEMPLATE, Kind, tiny_base_folder, tiny_model, tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_base_folder(tmp_path / "base")


def change_json(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**value, **changes}), encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_base(kind: Kind, tmp_path: Path):
    folder = tiny_base_folder(tmp_path / "base", kind)
    base = load_base(str(folder), device="cpu")
    ids = torch.tensor([base.tokens.encode("感冒怎么办？")])
    same = tiny_model(kind, vocab_size=len(tiny_tokenizer()))
    with torch.no_grad():
        assert torch.equal(base.model(ids).logits, same(ids).logits)
    assert (base.name, base.folder_or_id, base.revision) == (str(folder), str(folder), None)
    assert (base.device, base.dtype) == (torch.device("cpu"), torch.float32)
    assert not base.model.training
    assert base.model.config.use_cache
    assert base.default_format == FORMATS["plain"]


def test_number_format_as_asked(folder: Path):
    base = load_base(str(folder), device="cpu", dtype="bfloat16")
    assert base.dtype == torch.bfloat16
    assert {p.dtype for p in base.model.parameters()} == {torch.bfloat16}


def test_tokens_without_weights(folder: Path):
    (folder / "model.safetensors").unlink()
    tokens = load_tokens(str(folder))
    assert tokens.encode("感冒") == HFTokens(tiny_tokenizer()).encode("感冒")


def test_chat_format_of_a_base_with_template(tmp_path: Path):
    base = load_base(str(tiny_base_folder(tmp_path / "base", chat_template=TEMPLATE)), device="cpu")
    assert base.default_format.base_template == TEMPLATE
    assert resolve_format("base", base.tokens) == base.default_format == resolve_format(None, base.tokens)
    assert resolve_format("alpaca", base.tokens) == FORMATS["alpaca"]


def test_chat_format_of_a_base_without_template():
    tokens = HFTokens(tiny_tokenizer())
    assert default_format(tokens) == FORMATS["plain"]
    assert default_format(tokens, BASES["llama-7b"]) == FORMATS["med_template"]
    assert resolve_format(None, tokens, FORMATS["alpaca"]) == FORMATS["alpaca"]
    with pytest.raises(ModelError, match="没有自带的对话模板"):
        resolve_format("base", tokens)


def test_end_token_stated_by_the_model_only(folder: Path):
    change_json(folder / "tokenizer_config.json", eos_token=None)
    change_json(folder / "generation_config.json", eos_token_id=[4, END_ID])
    assert load_tokens(str(folder)).end_id == 4
    change_json(folder / "generation_config.json", eos_token_id=None)
    assert load_tokens(str(folder)).end_id == END_ID, "config.json says it too"
    change_json(folder / "config.json", eos_token_id=None)
    with pytest.raises(ModelError, match="结束符"):
        load_tokens(str(folder))


def test_missing_weights_are_never_made_up(folder: Path):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"缺少 1 个（model\.layers\.1\.mlp\.up_proj\.weight"):
        load_base(str(folder), device="cpu")


def test_weights_of_another_shape(folder: Path):
    change_json(folder / "config.json", intermediate_size=32)
    with pytest.raises(ModelError, match=r"形状不符的有 6 个（model\.layers\.0\.mlp\.down_proj"):
        load_base(str(folder), device="cpu")


def test_configuration_that_is_no_json(folder: Path):
    (folder / "config.json").write_text('{\n"model_type": }', encoding="utf-8")
    with pytest.raises(DataError, match=r"config\.json:2"):
        load_base(str(folder), device="cpu")


def test_truncated_weights(folder: Path):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="已损坏"):
        load_base(str(folder), device="cpu")


def test_no_weights(folder: Path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no file named model\.safetensors"):
        load_base(str(folder), device="cpu")


def test_no_tokenizer(folder: Path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match="分词器"):
        load_base(str(folder), device="cpu")


def test_tokenizer_of_another_base(folder: Path):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["高血压", "糖尿病"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="不是一套"):
        load_base(str(folder), device="cpu")


def test_control_tokens_that_the_model_has_no_row_for_are_no_harm(folder: Path):
    """As Gemma 3's 1B has: its tokenizer knows the images of its larger kin."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(folder)
    tokens = load_base(str(folder), device="cpu").tokens
    assert len(tokens) == len(tiny_tokenizer()) + 1
    assert max(tokens.encode("吃<image>药")) < len(tiny_tokenizer())


def test_unknown_architecture(folder: Path):
    change_json(folder / "config.json", model_type="tomorrow")
    with pytest.raises(ModelError, match="tomorrow"):
        load_base(str(folder), device="cpu")


def test_code_of_a_base_is_not_run_unasked(folder: Path, tmp_path: Path):
    proof = tmp_path / "was-run"
    change_json(
        folder / "config.json",
        model_type="homemade",
        auto_map={"AutoConfig": "homemade.Config", "AutoModelForCausalLM": "homemade.Model"},
    )
    (folder / "homemade.py").write_text(f"open({str(proof)!r}, 'w').close()\n", encoding="utf-8")
    with pytest.raises(ModelError, match="--trust-remote-code"):
        load_base(str(folder), device="cpu")
    assert not proof.exists()


def test_too_large_for_the_memory_is_told_before(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def little(_: torch.device) -> tuple[int, int]:
        return 100_000, 200_000

    monkeypatch.setattr(loading, "memory", little)
    with pytest.raises(ModelError, match=r"需要 0\.0 GB，cpu 只剩 0\.0 GB.*bfloat16"):
        load_base(str(folder), device="cpu")


def test_memory_that_runs_out_on_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", fails)
    with pytest.raises(ModelError, match="内存放不下"):
        load_base(str(folder), device="cpu")


def test_parameters_are_counted_from_the_headers(folder: Path):
    assert stored_parameters(folder) == sum(
        p.numel() for p in tiny_model(vocab_size=len(tiny_tokenizer())).parameters()
    )
    (folder / "model.safetensors").write_bytes(b"\xff" * 4)
    assert stored_parameters(folder) is None


def test_quantisation_needs_cuda_or_a_cpu():
    with pytest.raises(ConfigError, match="4bit 量化需要 CUDA"):
        loading._quantization_settings("4bit", torch.device("mps"), torch.float16)  # pyright: ignore[reportPrivateUsage]


def test_a_base_is_held_in_4_bit_on_a_cpu(folder: Path):
    pytest.importorskip("bitsandbytes")
    quantised = load_base(str(folder), device="cpu", quantization="4bit")
    weights = {name: weight.dtype for name, weight in quantised.model.named_parameters()}
    assert weights["model.layers.0.mlp.up_proj.weight"] == torch.uint8
    assert weights["model.embed_tokens.weight"] == torch.float32


def test_quantisation_needs_its_package(monkeypatch: pytest.MonkeyPatch):
    def none(_: str) -> None:
        return None

    monkeypatch.setattr(loading, "find_spec", none)
    with pytest.raises(MissingError, match=r"bentsao\[gpu\]"):
        loading._quantization_settings("8bit", torch.device("cuda"), torch.bfloat16)  # pyright: ignore[reportPrivateUsage]
