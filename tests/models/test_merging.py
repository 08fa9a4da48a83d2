from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, get_peft_model
from torch import Tensor

from bentsao.core.errors import ModelError
from bentsao.models.loading import Base, load_base
from bentsao.models.merging import merge_adapter
from tests.doubles import KINDS, Kind, tiny_base_folder
from tests.models.adapted import load_adapted

IDS = torch.tensor([[2, 300, 310, 7, 45, 320, 301, 88]])


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits[0]


def adapted(folder: Path, kind: Kind, **settings: Any) -> Base:
    """A base with an adapter of random weights, saved and opened again."""
    base = tiny_base_folder(folder / "base", kind)
    config: dict[str, Any] = {"r": 4, "target_modules": "all-linear", "init_lora_weights": False, **settings}
    torch.manual_seed(0)
    get_peft_model(cast(Any, load_base(str(base)).model), LoraConfig(**config)).save_pretrained(str(folder / "adapter"))
    return load_adapted(folder / "adapter", base=str(base), device="cpu")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_merged_model_computes_what_the_two_did(kind: Kind, tmp_path: Path) -> None:
    base = adapted(tmp_path, kind)
    before, plain = logits(base.model), logits(load_base(str(tmp_path / "base")).model)
    merged = merge_adapter(base)
    assert not isinstance(merged.model, PeftModel)
    torch.testing.assert_close(logits(merged.model), before, atol=2e-5, rtol=1e-4)
    assert (before - plain).abs().max() > 0.01, "the adapter must do something, or this shows nothing"


CASES: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "rank-stabilised": {"use_rslora": True},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "head": {"target_modules": ["lm_head"]},
    "head saved whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
}


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize("case", CASES)
def test_adapters_on_tied_ends_and_of_other_kinds(case: str, tmp_path: Path) -> None:
    base = adapted(tmp_path, "gemma3", **CASES[case])
    before = logits(base.model)
    torch.testing.assert_close(logits(merge_adapter(base).model), before, atol=2e-5, rtol=1e-4)


def test_a_base_without_an_adapter_stays_as_it_is(tmp_path: Path) -> None:
    base = load_base(str(tiny_base_folder(tmp_path)), device="cpu")
    assert merge_adapter(base) is base


def test_what_cannot_be_merged_is_refused_with_the_way_out(tmp_path: Path) -> None:
    base = load_base(str(tiny_base_folder(tmp_path)), device="cpu")
    put_on: Callable[..., Any] = get_peft_model
    prefix = put_on(base.model, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    with pytest.raises(ModelError, match=r"PREFIX_TUNING.*--engine transformers"):
        merge_adapter(replace(base, model=prefix))
    with pytest.raises(ValueError, match="float32"):
        merge_adapter(replace(base, model=prefix, dtype=torch.bfloat16))
