"""An adapter merged into its base: one plain model that computes what both did, for engines that know no adapters."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, cast

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer

from bentsao.core.errors import ModelError
from bentsao.models.loading import Base


def merge_adapter(base: Base) -> Base:
    """The base with its adapter merged into the weights; one without an adapter as it is.

    The weights change in place, so the base that was given is used up. What the model computes stays the same but for
    the rounding of one addition a weight; so it must be in float32 (ValueError): in 16 bits, most of an adapter's
    small changes would be rounded away. Raises ModelError for adapters that are no change of weights.
    """
    adapted: Any = base.model
    if not isinstance(adapted, PeftModel):
        return base
    if base.dtype != torch.float32:
        raise ValueError("an adapter is merged in float32")
    _untie(cast(Any, adapted.base_model).model)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Input and output embeddings are no longer tied")
            merged = cast(Any, adapted).merge_and_unload(safe_merge=True)
    except (AttributeError, NotImplementedError, ValueError, TypeError) as error:
        raise ModelError(
            f"这种适配器（{_kind(adapted)}）不能合并进基座的权重：{error}。请用 --engine transformers，它不需要合并。"
        ) from None
    return replace(base, model=merged.eval())


def _untie(model: Any) -> None:
    """Let the embedding and the head have weights of their own where an adapter changes one of them.

    While they share them, the change of one would become the other's too.
    """
    ends: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    if any(isinstance(end, BaseTunerLayer) for end in ends):
        first, last = (cast(Any, end).base_layer if isinstance(end, BaseTunerLayer) else end for end in ends)
        if first.weight is last.weight:
            last.weight = torch.nn.Parameter(last.weight.detach().clone(), requires_grad=False)
            model.config.tie_word_embeddings = False


def _kind(adapted: PeftModel) -> str:
    kind = adapted.active_peft_config.peft_type
    return str(getattr(kind, "value", kind))
