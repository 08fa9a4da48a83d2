"""ChatGLM-6B's network computes what the published code computes.

`chatglm_reference.json` was made with that code (the release of 130,528 words, under transformers 4.30, float32) on
small weights of 28 layers that are drawn here again: logits of the first 16 words, and greedy answers.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from bentsao.models.chatglm.configuration import ChatGLMConfig
from bentsao.models.chatglm.modeling import ChatGLMForConditionalGeneration

REFERENCE: dict[str, Any] = json.loads(Path(__file__).with_name("chatglm_reference.json").read_text(encoding="utf-8"))
CASES: dict[str, dict[str, Any]] = REFERENCE["cases"]


@pytest.fixture(scope="module")
def model() -> Any:
    """The network with weights that follow from their names."""
    made = ChatGLMForConditionalGeneration(ChatGLMConfig(**REFERENCE["config"])).eval()
    for name, weight in made.state_dict().items():
        noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(weight.shape))
        loudness = 1.0 if "embed" in name or "head" in name else 0.8 if "query" in name else 0.6
        drawn = noise * (0.1 if weight.ndim == 1 else loudness) + (1.0 if "layernorm.weight" in name else 0.0)
        weight.copy_(torch.tensor(drawn, dtype=torch.float32))
    return cast(Any, made)


@pytest.mark.parametrize("name", CASES)
def test_logits(model: Any, name: str) -> None:
    with torch.no_grad():
        found = model(input_ids=torch.tensor([CASES[name]["ids"]])).logits[0, :, :16]
    torch.testing.assert_close(found, torch.tensor(CASES[name]["logits"]), atol=2e-4, rtol=0)


@pytest.mark.parametrize("cached", [True, False])
def test_greedy_answers_in_a_padded_batch(model: Any, cached: bool) -> None:
    prompts = [case["prompt"] for case in CASES.values()]
    longest = max(map(len, prompts))
    ids = torch.tensor([[3] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    settings = GenerationConfig(max_new_tokens=12, do_sample=False, use_cache=cached, eos_token_id=55, pad_token_id=55)
    found = model.generate(ids, attention_mask=mask, generation_config=settings)[:, longest:].tolist()
    for row, case in zip(found, CASES.values(), strict=True):
        assert row[: len(case["greedy"])] == case["greedy"]
