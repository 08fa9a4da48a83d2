"""The loss: cross entropy at the positions that have a target, and logits nowhere else.

With a vocabulary of 262k words the output head costs more than all layers of a small model together, and logits for a
batch take gigabytes. So the head is applied to labelled positions only, in chunks (see heads.py), and what all rows
of a micro-batch begin with is computed once (see prefixes.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bentsao.core.errors import ModelError
from bentsao.core.grounding import PARTS
from bentsao.core.rendering import IGNORE
from bentsao.models.machine import computes_bfloat16
from bentsao.tuning import heads
from bentsao.tuning.heads import ChunkLoss, Head, Losses, Wanted, frozen_head_loss
from bentsao.tuning.layers import Below
from bentsao.tuning.prefixes import shared_length, with_shared_prefix


class LabelledLoss(nn.Module):
    """A causal language model with its loss, as one module, so that data-parallel wrappers see one forward.

    below: the frozen layers whose results a forward may be given (see frozen.py); None where none are kept.
    shares_prefix: whether what all rows of a micro-batch begin with is computed once (see prefixes.py).
    Raises ModelError at construction if the architecture has no backbone and head to be told apart.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.causal = _causal_model(model)
        self.backbone = _backbone(self.causal)
        self.below: Below | None = None
        self.shares_prefix = False
        self._quick: ChunkLoss | None = None

    @property
    def head_module(self) -> nn.Module:
        """The output head, with an adapter on it if there is one."""
        return cast(nn.Module, self.causal.get_output_embeddings())

    def head_is_trained(self) -> bool:
        """True if the head, or the embedding it is tied to, or an adapter on it is tuned."""
        return any(p.requires_grad for p in self.head_module.parameters())

    def screen(self) -> None:
        """Compute unlikely words roughly while training (`training.head = "screened"`); the head must be frozen."""
        head = self._head()
        quick = computes_bfloat16(head.weight.device)
        self._quick = heads.screened_chunk(head, torch.bfloat16 if quick else head.weight.dtype)

    def trim(self, words: Tensor) -> None:
        """Train as if there were only these words ([k] ids, ascending; every target among them)."""
        self._quick = heads.trimmed_chunk(self._head(), words)

    def likely_words(self, hidden: Tensor, also: Tensor) -> Tensor:
        """As `heads.likely_words` for this model's head."""
        return heads.likely_words(self._head(), hidden, also)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        targets: Tensor,
        parts: Tensor,
        part_weights: Tensor | None = None,
        *,
        given: Tensor | None = None,
    ) -> Losses:
        """Sums of the losses. ids, mask, targets, parts: [rows, length], as in `MicroBatch`.

        targets: already shifted, IGNORE where not learnt. part_weights: [len(PARTS)] float32; None means all 1.
        given: as for `hidden`.
        """
        return self.loss(self.hidden(ids, mask, given), targets, parts, part_weights)

    def loss(self, hidden: Tensor, targets: Tensor, parts: Tensor, part_weights: Tensor | None = None) -> Losses:
        """As `forward`, from the last hidden states, [rows, length, d]."""
        keep = targets != IGNORE
        chosen, of = hidden[keep], parts[keep]
        wanted = Wanted(targets[keep], of, None if part_weights is None else part_weights[of])
        if self.head_is_trained():
            return self._trained_head_loss(chosen, wanted)
        head = self._head()
        quick = self._quick if self.training else None
        return frozen_head_loss(chosen, wanted, quick or heads.full_chunk(head), head.chunk_rows)

    def hidden(self, ids: Tensor, mask: Tensor, given: Tensor | None = None) -> Tensor:
        """The last hidden states, [rows, length, d]. given: what `below` makes of these ids, if it is known already."""
        if self.shares_prefix and given is None and (shared := shared_length(ids, mask)):
            return with_shared_prefix(self.backbone, ids, mask, shared)
        skipping = nullcontext() if given is None or self.below is None else self.below.given(given)
        with skipping:
            return self.backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state

    def _head(self) -> Head:
        module = self.head_module
        weight = cast(Tensor, module.weight)
        if not weight.is_floating_point():
            raise ModelError("输出层被量化了，无法只在有标签的位置计算损失。请让 lm_head 保持浮点（不量化）。")
        return Head(weight.detach(), cast("Tensor | None", getattr(module, "bias", None)), *logit_shape(self.causal))

    def _trained_head_loss(self, hidden: Tensor, wanted: Wanted) -> Losses:
        softcap, scale = logit_shape(self.causal)

        def chunk_loss(part: Tensor, targets: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
            logits = self.head_module(part).float() * scale
            if softcap is not None:
                logits = torch.tanh(logits / softcap) * softcap
            logs = nn.functional.log_softmax(logits, dim=1)
            losses = -logs.gather(1, targets[:, None])[:, 0]
            if weights is None:
                return nn.functional.nll_loss(logs, targets, reduction="sum"), losses.detach()
            return (losses * weights).sum(), losses.detach()

        vocabulary = cast(Tensor, self.causal.get_input_embeddings().weight).shape[0]
        rows = max(1, heads.CHUNK_BYTES // (4 * vocabulary))
        total = hidden.new_zeros((), dtype=torch.float32)
        by_part = torch.zeros(len(PARTS), dtype=torch.float64, device=hidden.device)
        for at, chunk in wanted.chunks(rows):
            lost, losses = cast(
                "tuple[Tensor, Tensor]",
                checkpoint(chunk_loss, hidden[at], chunk.targets, chunk.weights, use_reentrant=False),
            )
            total = total + lost
            by_part += chunk.by_part(losses)
        return Losses(total, by_part)


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
