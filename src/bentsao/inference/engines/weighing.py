"""Weights of continuations with transformers: the head is applied where a continuation is foretold, nowhere else.

With a vocabulary of 262k words the logits of one row of 500 tokens take half a gigabyte; those of four options that
are one token each take one megabyte for all four.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from bentsao.inference.contexts import Context, Ids, contexts_of
from bentsao.inference.engine import Weight

LOGITS = 1 << 27
"""The most logits (in numbers, of 4 bytes) that are held at once, unless a single continuation needs more."""

TOKENS = 4096
"""The most tokens, padding included, that are read at once."""


@torch.inference_mode()
def weigh(
    model: nn.Module, words: int, context: int, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]]
) -> list[list[Weight]]:
    """See `engine.Scorer.weigh`. words: rows of the vocabulary; context: the most tokens."""
    found = [[Weight(0.0, True, 0) for _ in options] for options in continuations]
    for batch in _batches(contexts_of(prompts, continuations, words, context), continuations, words):
        rows, positions = _logits(model, batch, continuations)
        for one, logits in zip(batch, rows, strict=True):
            at = positions.index(one.start)
            for row, place in one.places:
                option = continuations[row][place]
                found[row][place] = _weight(logits[at : at + len(option)].float(), option)
    return found


def _weight(logits: Tensor, option: Ids) -> Weight:
    """logits: [tokens, words], each row foretelling the next token of the option."""
    wanted = torch.tensor(list(option), device=logits.device)
    total = logits.logsumexp(dim=1)
    logs = logits.gather(1, wanted[:, None])[:, 0] - total
    peak = logits.max(dim=1)
    return Weight(
        float(logs.double().sum()),
        bool((peak.indices == wanted).all()),
        len(option),
        tuple(logs.tolist()),
        tuple(zip(peak.indices.tolist(), (peak.values - total).tolist(), strict=True)),
    )


def _span(one: Context, continuations: Sequence[Sequence[Ids]]) -> range:
    """The positions that foretell something here."""
    longest = max(len(continuations[row][place]) for row, place in one.places)
    return range(one.start, one.start + longest)


def _batches(
    contexts: Sequence[Context], continuations: Sequence[Sequence[Ids]], words: int
) -> Iterator[list[Context]]:
    """Contexts of about one length, within TOKENS and LOGITS."""
    batch: list[Context] = []
    positions: set[int] = set()
    for one in contexts:
        wider = positions | set(_span(one, continuations))
        rows = len(batch) + 1
        if batch and (rows * len(one.ids) > TOKENS or rows * len(wider) * words > LOGITS):
            yield batch
            batch, wider = [], set(_span(one, continuations))
        batch, positions = [*batch, one], wider
    if batch:
        yield batch


def _logits(
    model: nn.Module, batch: Sequence[Context], continuations: Sequence[Sequence[Ids]]
) -> tuple[Tensor, list[int]]:
    """Logits [rows, positions, words] and the positions. Padding stands at the right, where nothing attends to it."""
    device = cast(Any, model).get_input_embeddings().weight.device
    longest = max(len(one.ids) for one in batch)
    ids = torch.tensor([[*one.ids, *[one.ids[0]] * (longest - len(one.ids))] for one in batch], device=device)
    mask = torch.tensor([[1] * len(one.ids) + [0] * (longest - len(one.ids)) for one in batch], device=device)
    positions = sorted({position for one in batch for position in _span(one, continuations)})
    kept = torch.tensor(positions, device=device)
    inner = cast(Any, model).get_base_model() if hasattr(model, "get_base_model") else model
    if "logits_to_keep" in inspect.signature(inner.forward).parameters:
        out = cast(Any, model)(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=kept)
        return out.logits, positions
    return cast(Any, model)(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, kept], positions
