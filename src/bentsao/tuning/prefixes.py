"""What all rows of a micro-batch begin with, computed once.

A chat format puts the same words before every question (a fifth of a row of `llama_data.json` in the original's
format). They are read by one row, and the others go on from its keys and values, as answering does; gradients flow back
through these. The losses are the same. Only LoRA's dropout draws once for the shared words instead of once a row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST = 8
"""Fewer shared tokens than this are not worth a forward of their own."""


def shared_length(ids: Tensor, mask: Tensor) -> int:
    """How many tokens all rows begin with, at least one less than the shortest row; 0 where it is not worth it.

    ids, mask: [rows, length], padded on the right.
    """
    if ids.shape[0] == 1:
        return 0
    same = (ids == ids[:1]).all(dim=0).long().cumprod(dim=0).sum()
    shared = int(torch.minimum(same, mask.sum(dim=1).min() - 1))
    return shared if shared >= LEAST else 0


def with_shared_prefix(backbone: nn.Module, ids: Tensor, mask: Tensor, shared: int) -> Tensor:
    """The last hidden states, [rows, length, d], of rows whose first `shared` tokens are the same."""
    rows = ids.shape[0]
    first = backbone(input_ids=ids[:1, :shared], attention_mask=mask[:1, :shared], use_cache=True)
    cache = first.past_key_values
    cache.batch_repeat_interleave(rows)
    rest = backbone(input_ids=ids[:, shared:], attention_mask=mask, past_key_values=cache, use_cache=True)
    return torch.cat([first.last_hidden_state.expand(rows, -1, -1), rest.last_hidden_state], dim=1)
