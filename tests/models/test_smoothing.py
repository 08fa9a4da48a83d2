from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from bentsao.models.smoothing import smooth
from tests.doubles import Kind, tiny_model

IDS = [2, *range(300, 340)]


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0]


def uneven(kind: Kind) -> Any:
    """A model with norms and biases of their own, some of whose channels are much larger than the others."""
    model = cast(Any, tiny_model(kind))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight.add_(torch.rand(weight.shape, generator=generator))
            if "norm" in name and weight.dim() == 1:
                weight[:3] += 20
    return model


def spread(model: Any, kind: Kind) -> float:
    """How far the largest channel that the first layer reads stands out of the others."""
    found: list[Tensor] = []
    reader = "transformer.h.0.self_attention.query_key_value" if kind == "bloom" else "model.layers.0.mlp.up_proj"
    with model.get_submodule(reader).register_forward_pre_hook(lambda _, given: found.append(given[0].abs())):
        logits(model)
    sizes = found[0].flatten(0, -2).amax(0)
    return float(sizes.max() / sizes.median())


@pytest.mark.parametrize("kind", ["llama", "gemma3", "bloom", "qwen3"])
def test_the_model_computes_the_same_from_more_even_channels(kind: Kind) -> None:
    model = uneven(kind)
    before, wide, words = logits(model), spread(model, kind), model.get_input_embeddings().weight.clone()
    smooth(model, IDS)
    assert torch.equal(model.get_input_embeddings().weight, words), "the head's alone are changed"
    torch.testing.assert_close(logits(model), before, atol=1e-3, rtol=1e-3)
    assert spread(model, kind) < wide / 2


def test_an_architecture_that_is_not_known_stays_as_it_is() -> None:
    model = uneven("glm")
    before = [weight.clone() for weight in model.parameters()]
    smooth(model, IDS)
    assert all(torch.equal(weight, old) for weight, old in zip(model.parameters(), before, strict=True))
