"""The loss: cross entropy at the positions that have a target, and logits nowhere else.

With a vocabulary of 262k words the output head costs more than all layers of a small model together, and logits for a
batch take gigabytes. So the head is applied to labelled positions only, in chunks, and the gradient towards the hidden
states is formed while a chunk's logits are at hand; they are never kept and never computed twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bentsao.core.errors import ModelError
from bentsao.core.rendering import IGNORE

CHUNK_BYTES = 128 << 20
"""The most memory that one chunk of logits takes."""


@dataclass(frozen=True)
class Head:
    """The output head of a causal language model as arithmetic: logits = cap(scale · (h Wᵀ + b)).

    softcap: Gemma 2's `final_logit_softcapping`; None where the architecture has none.
    scale: Cohere's `logit_scale`, Granite's 1 / `logits_scaling`; 1 elsewhere.
    """

    weight: Tensor
    bias: Tensor | None
    softcap: float | None
    scale: float


class _FrozenHeadLoss(torch.autograd.Function):
    """Σ cross entropy over rows of `hidden` under a head that is not trained; the backward is written by hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: Head) -> Tensor:
        rows = max(1, CHUNK_BYTES // (4 * head.weight.shape[0]))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        wants_gradient = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wants_gradient else hidden
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            logits = nn.functional.linear(hidden[part], head.weight, head.bias).float()
            if head.scale != 1:
                logits.mul_(head.scale)
            slope = None
            if head.softcap is not None:
                logits.div_(head.softcap).tanh_()
                slope = 1 - logits * logits
                logits.mul_(head.softcap)
            wanted = targets[part, None]
            picked = logits.gather(1, wanted)
            peak = logits.amax(dim=1, keepdim=True)
            picked -= peak
            weights = logits.sub_(peak).exp_()
            mass = weights.sum(dim=1, keepdim=True)
            total += (mass.log() - picked).sum()
            if not wants_gradient:  # a validation
                continue
            weights.div_(mass)
            weights.scatter_add_(1, wanted, torch.full_like(picked, -1.0))  # softmax − one-hot
            if slope is not None:
                weights.mul_(slope)
            if head.scale != 1:
                weights.mul_(head.scale)
            torch.mm(weights.to(head.weight.dtype), head.weight, out=gradient[part])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_outputs[0].to(gradient.dtype), None, None


def frozen_head_loss(hidden: Tensor, targets: Tensor, head: Head) -> Tensor:
    """Sum of cross entropies in float32. hidden: [n, d]; targets: [n] int64, none of them IGNORE."""
    return cast(Tensor, _FrozenHeadLoss.apply(hidden, targets, head))


class LabelledLoss(nn.Module):
    """A causal language model with its loss, as one module, so that data-parallel wrappers see one forward.

    Raises ModelError at construction if the architecture has no backbone and head to be told apart.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.causal = _causal_model(model)
        self._backbone = _backbone(self.causal)

    @property
    def head_module(self) -> nn.Module:
        """The output head, with an adapter on it if there is one."""
        return cast(nn.Module, self.causal.get_output_embeddings())

    def head_is_trained(self) -> bool:
        """True if the head, or the embedding it is tied to, or an adapter on it is tuned."""
        return any(p.requires_grad for p in self.head_module.parameters())

    def forward(self, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Sum of the losses. ids, mask, targets: [rows, length]; targets already shifted, IGNORE where not learnt."""
        hidden = self.hidden(ids, mask)
        keep = targets != IGNORE
        chosen, wanted = hidden[keep], targets[keep]
        if self.head_is_trained():
            return self._trained_head_loss(chosen, wanted)
        return frozen_head_loss(chosen, wanted, self._head())

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last hidden states, [rows, length, d]."""
        return self._backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state

    def _head(self) -> Head:
        module = self.head_module
        weight = cast(Tensor, module.weight)
        if not weight.is_floating_point():
            raise ModelError("输出层被量化了，无法只在有标签的位置计算损失。请让 lm_head 保持浮点（不量化）。")
        return Head(weight.detach(), cast("Tensor | None", getattr(module, "bias", None)), *logit_shape(self.causal))

    def _trained_head_loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        softcap, scale = logit_shape(self.causal)

        def part_loss(part: Tensor, wanted: Tensor) -> Tensor:
            logits = self.head_module(part).float() * scale
            if softcap is not None:
                logits = torch.tanh(logits / softcap) * softcap
            return nn.functional.cross_entropy(logits, wanted, reduction="sum")

        vocabulary = cast(Tensor, self.causal.get_input_embeddings().weight).shape[0]
        rows = max(1, CHUNK_BYTES // (4 * vocabulary))
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            total = total + cast(Tensor, checkpoint(part_loss, hidden[part], targets[part], use_reentrant=False))
        return total


def check_against_model(objective: LabelledLoss, ids: Tensor) -> float:
    """The largest difference between our logits and the model's own on one row of ids ([length]).

    Architectures may do something to the hidden states or logits that `Head` does not know. Raises ModelError when
    they differ, so that a base is never tuned towards another objective than it answers with.
    """
    was_training = objective.training
    objective.eval()
    with torch.no_grad():
        mask = torch.ones_like(ids)[None]
        own = objective.model(input_ids=ids[None], attention_mask=mask, use_cache=False).logits[0].float()
        hidden = objective.hidden(ids[None], mask)[0]
        softcap, scale = logit_shape(objective.causal)
        ours = objective.head_module(hidden).float() * scale
        if softcap is not None:
            ours = torch.tanh(ours / softcap) * softcap
    objective.train(was_training)
    difference = (own - ours).abs().max().item()
    if not math.isfinite(difference) or difference > 1e-2 * max(1.0, own.abs().max().item()):
        name = type(objective.causal).__name__
        raise ModelError(
            f"{name} 的输出层与 BenTsao 的计算不一致（最大差 {difference:.3g}），不能训练。请报告这个架构。"
        )
    return difference


def logit_shape(causal: nn.Module) -> tuple[float | None, float]:
    """(softcap, scale) of an architecture's logits, from its config; see `Head`."""
    config = cast(Any, causal).config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    softcap = getattr(config, "final_logit_softcapping", None)
    scale = getattr(config, "logit_scale", None) or 1.0
    divisor = getattr(config, "logits_scaling", None) or 1.0
    return softcap, scale / divisor


def _causal_model(model: nn.Module) -> Any:
    """The transformers model below PEFT's wrappers."""
    getter = cast("Callable[[], nn.Module] | None", getattr(model, "get_base_model", None))
    return getter() if callable(getter) else model


def _backbone(causal: Any) -> nn.Module:
    backbone = causal.get_decoder() if hasattr(causal, "get_decoder") else None
    if backbone is None or backbone is causal:
        backbone = getattr(causal, causal.base_model_prefix, None)
    if not isinstance(backbone, nn.Module) or backbone is causal or causal.get_output_embeddings() is None:
        raise ModelError(f"{type(causal).__name__} 不是有独立输出层的因果语言模型，不能训练。")
    return backbone
