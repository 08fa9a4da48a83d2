"""The frozen output head with its loss: cross entropy and its gradient, a chunk of positions at a time.

A chunk's logits are never kept and never computed twice: the gradient towards the hidden states is formed while they
are at hand. There are three ways through the head (`training.head` of a recipe):

- `full`: all words, exactly.
- `screened`: a rough pass over all words finds those that matter at any position of the chunk; the loss is over these.
- `trimmed`: the loss is over the words that `likely_words` found before training, and there is no pass over all.

Of the last two, docs/tuning.md says what they change: the gradient by some 0.1 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from bentsao.core.grounding import PARTS

CHUNK_BYTES = 128 << 20
"""The most memory that one chunk of logits takes."""

FAR = math.log(1e6)
"""A word is left out of a chunk where the likeliest is more likely than it by this (in nats) at every position."""

LIKELY = 1e-6
"""A word is trimmed where it is less probable than this at every position that was looked at."""


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

    @property
    def chunk_rows(self) -> int:
        """Positions of a chunk."""
        return max(1, CHUNK_BYTES // (4 * self.weight.shape[0]))

    def of(self, words: Tensor) -> Head:
        """The head of these words alone. words: [k] ids."""
        return Head(self.weight[words], None if self.bias is None else self.bias[words], self.softcap, self.scale)

    def to(self, number: torch.dtype) -> Head:
        """The same head in another number format."""
        return Head(
            self.weight.to(number), None if self.bias is None else self.bias.to(number), self.softcap, self.scale
        )

    def shaped(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """From h Wᵀ + b to logits, in place; with it, where they are capped, the cap's slope at each."""
        if self.scale != 1:
            logits.mul_(self.scale)
        if self.softcap is None:
            return logits, None
        logits.div_(self.softcap).tanh_()
        slope = 1 - logits * logits
        return logits.mul_(self.softcap), slope


class Losses(NamedTuple):
    """Sums of cross entropies over the targets of a batch.

    total: weighted, float32; what is differentiated. by_part: [len(PARTS)] float64, not weighted, without gradient.
    """

    total: Tensor
    by_part: Tensor


@dataclass(frozen=True)
class Wanted:
    """What is to be predicted, for n positions: [n] each.

    targets: int64, none of them IGNORE. parts: the numbers of the parts they count for. weights: float32; None means
    all 1.
    """

    targets: Tensor
    parts: Tensor
    weights: Tensor | None

    def chunks(self, rows: int) -> Iterator[tuple[slice, Wanted]]:
        """The positions in chunks of so many."""
        for start in range(0, self.targets.shape[0], rows):
            at = slice(start, start + rows)
            yield at, Wanted(self.targets[at], self.parts[at], None if self.weights is None else self.weights[at])

    def by_part(self, losses: Tensor) -> Tensor:
        """The sums by part of what was lost at each position ([n])."""
        numbers = torch.arange(len(PARTS), device=losses.device)
        return torch.where(self.parts[:, None] == numbers, losses.detach()[:, None], 0).sum(0, dtype=torch.float64)


ChunkLoss = Callable[[Tensor, Wanted, "Tensor | None"], Tensor]
"""Of a chunk: hidden [n, d], what is wanted, and where the gradient goes ([n, d]; None: not asked for) → losses [n]."""


def full_chunk(head: Head) -> ChunkLoss:
    """All words of the head."""

    def chunk(hidden: Tensor, wanted: Wanted, gradient: Tensor | None) -> Tensor:
        return _chunk(hidden, wanted.targets, wanted.weights, head, gradient)

    return chunk


def trimmed_chunk(head: Head, words: Tensor) -> ChunkLoss:
    """Only these words ([k] ids, ascending, every target among them), as if there were no others."""
    small = head.of(words)

    def chunk(hidden: Tensor, wanted: Wanted, gradient: Tensor | None) -> Tensor:
        return _chunk(hidden, torch.searchsorted(words, wanted.targets), wanted.weights, small, gradient)

    return chunk


def screened_chunk(head: Head, rough_type: torch.dtype) -> ChunkLoss:
    """Of each chunk only the words that come near the likeliest at some position, as if there were no others.

    rough_type: the number format of the pass over all words that finds them.
    """
    rough = head.to(rough_type)

    def chunk(hidden: Tensor, wanted: Wanted, gradient: Tensor | None) -> Tensor:
        logits, _ = rough.shaped(nn.functional.linear(hidden.to(rough_type), rough.weight, rough.bias))
        near = logits.sub_(logits.amax(dim=1, keepdim=True)).amax(dim=0) > -FAR
        near[wanted.targets] = True
        words = near.nonzero()[:, 0]
        return _chunk(hidden, torch.searchsorted(words, wanted.targets), wanted.weights, head.of(words), gradient)

    return chunk


def _chunk(hidden: Tensor, targets: Tensor, weights: Tensor | None, head: Head, gradient: Tensor | None) -> Tensor:
    """Losses [n]; the gradient of their weighted sum goes into `gradient`."""
    logits, slope = head.shaped(nn.functional.linear(hidden, head.weight, head.bias).float())
    picked = logits.gather(1, targets[:, None])
    peak = logits.amax(dim=1, keepdim=True)
    picked = picked - peak
    slopes = logits.sub_(peak).exp_()
    mass = slopes.sum(dim=1, keepdim=True)
    losses = (mass.log() - picked)[:, 0]
    if gradient is not None:
        weight = torch.ones_like(mass) if weights is None else weights[:, None]
        slopes.div_(mass / weight)
        slopes.scatter_add_(1, targets[:, None], -weight)  # weight · (softmax − one-hot)
        if slope is not None:
            slopes.mul_(slope)
        if head.scale != 1:
            slopes.mul_(head.scale)
        gradient.copy_(slopes.to(head.weight.dtype) @ head.weight)
    return losses


class _FrozenHeadLoss(torch.autograd.Function):
    """Σ cross entropy over rows of `hidden` under a head that is not trained; the backward is written by hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, wanted: Wanted, chunk: ChunkLoss, rows: int) -> tuple[Tensor, Tensor]:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        by_part = torch.zeros(len(PARTS), dtype=torch.float64, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None  # None: a validation
        for at, part in wanted.chunks(rows):
            losses = chunk(hidden[at], part, None if gradient is None else gradient[at])
            by_part += part.by_part(losses)
            total += losses.sum() if part.weights is None else (losses * part.weights).sum()
        ctx.save_for_backward(hidden if gradient is None else gradient)
        ctx.mark_non_differentiable(by_part)
        return total, by_part

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_outputs[0].to(gradient.dtype), None, None, None


def frozen_head_loss(hidden: Tensor, wanted: Wanted, chunk: ChunkLoss, rows: int) -> Losses:
    """The losses at n positions, in float32. hidden: [n, d]; rows: positions of a chunk (`Head.chunk_rows`)."""
    return Losses(*cast("tuple[Tensor, Tensor]", _FrozenHeadLoss.apply(hidden, wanted, chunk, rows)))


@torch.no_grad()
def likely_words(head: Head, hidden: Tensor, also: Tensor, least: float = LIKELY) -> Tensor:
    """Ids (ascending) of the words with a probability of at least `least` at any of n positions, and those in `also`.

    hidden: [n, d]. also: ids.
    """
    chosen = torch.zeros(head.weight.shape[0], dtype=torch.bool, device=hidden.device)
    chosen[also] = True
    for start in range(0, hidden.shape[0], head.chunk_rows):
        part = hidden[start : start + head.chunk_rows]
        logits, _ = head.shaped(nn.functional.linear(part, head.weight, head.bias).float())
        chosen |= logits.softmax(dim=1).amax(dim=0) >= least
    return chosen.nonzero()[:, 0]
