from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import ctranslate2
import numpy as np
import pytest
import torch
import transformers as hf

from bentsao.core.errors import ModelError
from bentsao.core.files import read_json, write_json
from bentsao.models import converting
from bentsao.models.converting import ARCHITECTURES, WEIGHTS, ConversionError, Converted, Precision, convert
from bentsao.models.fetching import Located, locate
from bentsao.models.loading import load_base
from tests.doubles import Kind, tiny_base_folder, tiny_tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": len(tiny_tokenizer()),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "pad_token_id": 0,
}
OTHERS: dict[str, Callable[[], Any]] = {
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SHAPE, sliding_window=64)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**SHAPE)),
}
"""Tiny models of the architectures that tests/doubles.py has none of."""


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path_factory.mktemp("cache")))


def base_of(kind: str, folder: Path) -> Located:
    if kind in OTHERS:
        torch.manual_seed(0)
        OTHERS[kind]().save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)
    else:
        tiny_base_folder(folder, cast(Kind, kind.removesuffix("_text")))
    return locate(str(folder), lambda _: None)


def converted(
    located: Located, precision: Precision = "float32", told: list[str] | None = None
) -> tuple[Path, Converted]:
    return convert(
        located, None, precision, lambda: load_base(located, device="cpu"), (told if told is not None else []).append
    )


def next_logits(folder: Path, ids: list[int], precision: str) -> np.ndarray[Any, Any]:
    """What the converted model says after a prompt."""
    model = cast(Any, ctranslate2).Generator(str(folder), compute_type=precision)
    found = model.generate_batch(
        [[str(number) for number in ids]], max_length=1, include_prompt_in_result=False, return_logits_vocab=True
    )
    return np.array(found[0].logits[0][0]).ravel()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_is_converted_computes_the_same(kind: str, tmp_path: Path) -> None:
    located = base_of(kind, tmp_path)
    ids = [2, *np.random.default_rng(0).integers(5, 400, 40).tolist()]
    with torch.no_grad():
        expected = cast(Any, load_base(located, device="cpu").model)(torch.tensor([ids])).logits[0, -1].numpy()
    folder, account = converted(located)
    np.testing.assert_allclose(next_logits(folder, ids, "float32"), expected, atol=1e-5, rtol=1e-4)
    assert (account.vocabulary, account.precision) == (len(tiny_tokenizer()), "float32")
    assert account.context == (2048 if kind == "bloom" else 512)
    assert account.window == (64 if kind in ("gemma3_text", "mistral") else None)
    small, _ = converted(located, "int8")
    assert small != folder
    near = next_logits(small, ids, "int8")
    assert 0.95 < np.corrcoef(near, expected)[0, 1] < 0.999999, "rounded, and only that"
    assert (small / WEIGHTS).stat().st_size < (folder / WEIGHTS).stat().st_size / 2


def test_a_conversion_is_made_once_and_again_when_anything_changed(tmp_path: Path) -> None:
    located, told = base_of("llama", tmp_path / "a"), list[str]()
    folder, account = converted(located, told=told)
    assert len(told) == 2
    assert "转换" in told[0]
    assert convert(located, None, "float32", pytest.fail, told.append) == (folder, account)
    assert len(told) == 2
    (folder / WEIGHTS).write_bytes(b"half")
    assert converted(located, told=told) == (folder, account)
    assert (folder / WEIGHTS).stat().st_size == account.weight_bytes
    tiny_base_folder(tmp_path / "a", seed=1)
    assert converted(located)[0] != folder


def test_nothing_is_left_of_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    located = base_of("llama", tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(converting, "_compare", _interrupted)
        converted(located, "int8")
    folder, _ = converted(located, "int8")
    assert {path.name for path in folder.parent.iterdir() if folder.name in path.name} <= {
        folder.name,
        f"{folder.name}.lock",
    }


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_architecture_without_a_converter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"glm.*qwen3"):
        converted(base_of("glm", tmp_path))


def test_a_model_that_is_converted_wrongly_is_refused(tmp_path: Path) -> None:
    """CTranslate2's converter of Gemma 3 knows no other scale of queries than that of the head's size."""
    tokenizer = tiny_tokenizer()
    config = hf.Gemma3TextConfig(**SHAPE, head_dim=8, query_pre_attn_scalar=300, sliding_window=64)
    torch.manual_seed(0)
    model = hf.Gemma3ForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and "embed" not in name:
                weight.mul_(8)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    located = locate(str(tmp_path), lambda _: None)
    for precision in ("float32", "int8"):
        with pytest.raises(ConversionError, match="相关系数"):
            converted(located, precision)


def test_an_error_of_the_converter_is_ours(tmp_path: Path) -> None:
    located = base_of("llama", tmp_path)
    scaled = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
    config = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", {**config, "rope_parameters": scaled})
    with pytest.raises(ModelError, match="不能转换"):
        converted(located)
