"""Loaded bases of two random layers, as `models.loading` would give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from bentsao.core.formats import FORMATS
from bentsao.models.loading import Base
from bentsao.models.tokens import HFTokens
from tests.doubles import CONTROLS, TEMPLATE, Kind, tiny_model, tiny_tokenizer


def tiny_base(kind: Kind = "llama", *, seed: int = 0) -> Base:
    """A base in float32 on the CPU, with TEMPLATE as its chat template and some words that the tokenizer has not."""
    tokenizer = tiny_tokenizer(chat_template=TEMPLATE, start=kind in ("llama", "gemma3"))
    model = tiny_model(kind, vocab_size=len(tokenizer) + 7, seed=seed)
    _find_a_voice(model, seed)
    return Base(
        name=f"tiny-{kind}",
        revision=None,
        folder_or_id=f"tiny-{kind}",
        model=model,
        tokens=HFTokens(tokenizer),
        device=torch.device("cpu"),
        dtype=torch.float32,
        default_format=FORMATS["plain"],
    )


def tiny_folder(path: Path, kind: Kind = "llama", *, seed: int = 0) -> Path:
    """`tiny_base` as a folder."""
    base = tiny_base(kind, seed=seed)
    base.model.config.tie_word_embeddings = False
    base.model.save_pretrained(path)
    base.tokens.tokenizer.save_pretrained(path)
    return path


def _find_a_voice(model: PreTrainedModel, seed: int) -> None:
    """Make what a random model says depend on all it has read, and let it say characters only: no control, no bytes."""
    head = cast(Any, model.get_output_embeddings())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and "embed" not in name:
                weight.mul_(8)
        voice = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(seed))
    voice[: len(CONTROLS) + 256] = 0
    head.weight = torch.nn.Parameter(voice)  # its own, where it was tied to the input
