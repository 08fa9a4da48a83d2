"""Every system, on a small random model of its architecture: it loads, tunes, answers and stops, and its adapter keeps.

What the tests of each step leave open is asked here for all: that nothing on the way depends on one architecture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from bentsao.core.errors import ModelError
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids, stop_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engines.streaming import RowText
from bentsao.inference.engines.transformers_engine import TransformersEngine
from bentsao.models.checking import check_base
from bentsao.models.fetching import locate
from bentsao.models.loading import Base, load_base, load_tokens, resolve_format
from bentsao.models.merging import merge_adapter
from bentsao.tuning.recipe import load_recipe
from bentsao.tuning.run import tune
from tests.models.adapted import load_adapted
from tests.systems import SYSTEMS
from tests.tuning.test_run import Notes

STEPS = 20


@pytest.mark.parametrize("system", SYSTEMS)
def test_loads_tunes_answers_stops_and_merges(system: str, tmp_path: Path) -> None:
    folder = SYSTEMS[system](tmp_path / "base")
    assert [found for found in check_base(locate(str(folder), print)) if found.level == "error"] == []
    plain = load_base(str(folder), device="cpu")

    notes = Notes()
    outcome = tune(recipe(tmp_path, folder), notes)
    losses = [step.loss for step in notes.steps]
    assert outcome.finished
    assert len(losses) == STEPS
    assert losses[-1] < 0.7 * losses[0]

    if system in ("llama", "decapoda"):
        assert plain.tokens.start_ids == (1,), "transformers 5 leaves it out where tokenizer_config.json does not say"

    tuned, info = load_adapted(tmp_path / "adapter", device="cpu")
    assert info.chat_format is not None
    ids = probe(tuned, info.chat_format)
    before = logits(tuned, ids)
    change = float((before - logits(plain, ids)).abs().max())
    assert change > 0.1, "the adapter must do something"

    # One row learnt by heart: the answer is said, and then it stops.
    engine = TransformersEngine(tuned, info.chat_format, name=system)
    said = engine.generate([ids], Decoding(max_new_tokens=40))[0]
    assert (said.text, said.finish) == ("多喝水。", "end")

    merged = merge_adapter(tuned)
    assert float((logits(merged, ids) - before).abs().max()) < 1e-3 * change


def recipe(tmp_path: Path, base: Path) -> Any:
    data = tmp_path / "data.jsonl"
    row = {"instruction": "感冒怎么办？", "output": "多喝水。"}
    data.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    values: dict[str, Any] = {
        "base.name": str(base),
        "base.device": "cpu",
        "data.files": [str(data)],
        "data.validation": 0,
        "lora.rank": 16,
        "lora.alpha": 32,
        "training.epochs": STEPS,
        "training.steps": STEPS,
        "training.learning_rate": 3e-2,
        "training.warmup": 0.0,
        "training.save_every": 1000,
        "output": str(tmp_path / "adapter"),
    }
    return load_recipe(None, values)


def probe(base: Base, chat_format: Any) -> list[int]:
    return prompt_ids([Message(role="user", content="感冒怎么办？")], chat_format, base.tokens)


def logits(base: Base, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return cast(Any, base.model)(input_ids=torch.tensor([ids])).logits[0]


def test_what_only_a_system_has(tmp_path: Path) -> None:
    """The ends of answers that only the base's configuration, or only its vocabulary, tells."""
    ends = {
        "huozi": {"</s>", "<|endofutterance|>", "<|endoftext|>"},
        "glm": {"<|endoftext|>", "<|user|>", "<|observation|>"},
        "llama3": {"<|end_of_text|>", "<|eot_id|>"},
        "decapoda": {"</s>"},
        "minicpm3": {"</s>", "<|im_end|>"},
        "qwen3": {"<|im_end|>", "<|endoftext|>"},
    }
    for system, marks in ends.items():
        base = load_base(str(SYSTEMS[system](tmp_path / system)), device="cpu")
        found = stop_ids(base.default_format, base.tokens)
        assert set(base.tokens.tokenizer.convert_ids_to_tokens(sorted(found))) == marks, system


def test_qwen_thinks_if_it_is_let(tmp_path: Path) -> None:
    tokens = load_tokens(str(SYSTEMS["qwen3"](tmp_path / "qwen3")))
    question = [Message(role="user", content="感冒怎么办？")]
    at_once, thinking = resolve_format("base", tokens), resolve_format("base-thinking", tokens)
    thought = tokens.encode("<think>\n\n</think>\n\n", control=True)
    thinks = tokens.with_template(str(thinking.base_template))
    assert prompt_ids(question, at_once, tokens) == [*prompt_ids(question, thinking, thinks), *thought]
    assert at_once.hash != thinking.hash

    said = tokens.encode("<think>\n是感冒。\n</think>\n\n多喝水。", control=True)
    assert tokens.answer(said) == "多喝水。"
    assert tokens.answer(said[:5]) == "", "it still thinks"
    assert tokens.answer(tokens.encode("多喝水。")) == "多喝水。"
    sent: list[str] = []
    text = RowText(tokens.answer, lambda _, piece: sent.append(piece), 0)
    for token in said:
        text.add(token)
    text.end()
    assert "".join(sent) == "多喝水。"

    other = load_tokens(str(SYSTEMS["llama3"](tmp_path / "llama3")))
    with pytest.raises(ModelError, match="enable_thinking"):
        resolve_format("base-thinking", other)
