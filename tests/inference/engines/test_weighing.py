"""Weights of continuations: against the model's own log-probabilities, in both engines."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
import torch

from bentsao.core.errors import ModelError
from bentsao.core.formats import FORMATS
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Scorer, Weight
from bentsao.inference.engines import weighing
from bentsao.inference.engines.ctranslate2_engine import CTranslate2Engine
from bentsao.inference.engines.transformers_engine import TransformersEngine
from bentsao.models.converting import convert
from bentsao.models.fetching import locate
from bentsao.models.loading import Base, load_base
from tests.doubles import Kind
from tests.inference.bases import tiny_folder

PROMPTS = [[7, 300, 301, 302], [7, *range(280, 320)], [7, *range(290, 400)]]
LETTERS = [[[310], [311], [312]]] * 3
LONGER = [[[310, 311, 312], [310], []], [[330, 331], [332, 333, 334, 335]], [[310], [311]]]


@pytest.fixture(scope="module", params=["llama", "gemma3"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    kind = cast(Kind, request.param)
    return load_base(str(tiny_folder(tmp_path_factory.mktemp(kind), kind)), device="cpu")


@pytest.fixture(scope="module")
def converted(base: Base, tmp_path_factory: pytest.TempPathFactory) -> CTranslate2Engine:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BENTSAO_CACHE", str(tmp_path_factory.mktemp("cache")))
        located = locate(base.folder_or_id, lambda _: None)
        folder, account = convert(located, None, "float32", lambda: load_base(located, device="cpu"), lambda _: None)
    return CTranslate2Engine(folder, account, base.tokens, FORMATS["plain"], name="tiny", threads=1)


def by_hand(model: Any, prompt: list[int], option: list[int]) -> Weight:
    """One row, no padding, logits everywhere."""
    ids = [*prompt, *option]
    with torch.no_grad():
        logs = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    at = range(len(prompt) - 1, len(ids) - 1)
    picked = [float(logs[place, ids[place + 1]]) for place in at]
    return Weight(sum(picked), all(int(logs[place].argmax()) == ids[place + 1] for place in at), len(option))


def same(found: list[list[Weight]], expected: list[list[Weight]]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert [one.tokens for one in ours] == [one.tokens for one in theirs]
        assert [one.greedy for one in ours] == [one.greedy for one in theirs]
        assert [one.logprob for one in ours] == pytest.approx([one.logprob for one in theirs], abs=2e-4)


def expected(base: Base, options: list[list[list[int]]]) -> list[list[Weight]]:
    return [[by_hand(base.model, prompt, one) for one in own] for prompt, own in zip(PROMPTS, options, strict=True)]


@pytest.mark.parametrize("options", [LETTERS, LONGER])
@pytest.mark.parametrize("budget", [1, 1 << 27])
def test_transformers_weighs_as_the_model_does(
    base: Base, options: list[list[list[int]]], budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "LOGITS", budget)
    engine = TransformersEngine(base, FORMATS["plain"])
    assert isinstance(engine, Scorer)
    same(engine.weigh(PROMPTS, options), expected(base, options))


@pytest.mark.parametrize("options", [LETTERS, LONGER])
def test_ctranslate2_weighs_as_the_model_does(
    base: Base, converted: CTranslate2Engine, options: list[list[list[int]]]
) -> None:
    assert isinstance(converted, Scorer)
    same(converted.weigh(PROMPTS, options), expected(base, options))


def test_what_the_model_writes_itself_is_greedy(base: Base) -> None:
    engine = TransformersEngine(base, FORMATS["plain"])
    written = list(engine.generate([PROMPTS[0]], Decoding(max_new_tokens=4))[0].ids)
    own, other = engine.weigh([PROMPTS[0]], [[written, [*written[:-1], written[-1] - 1]]])[0]
    assert own.greedy
    assert not other.greedy
    assert own.logprob > other.logprob


def test_options_of_one_token_share_one_reading(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TransformersEngine(base, FORMATS["plain"])
    read: list[int] = []
    hook = base.model.register_forward_pre_hook(
        lambda _, __, named: read.append(named["input_ids"].shape[0]), with_kwargs=True
    )
    engine.weigh([PROMPTS[0]], [[[310], [311], [312], [313]]])
    hook.remove()
    assert read == [1]


def test_what_exceeds_the_context_is_refused(base: Base) -> None:
    engine = TransformersEngine(base, FORMATS["plain"])
    engine.context = 8
    with pytest.raises(ModelError, match="上下文"):
        engine.weigh([[7, 8, 9]], [[list(range(300, 307))]])


def test_beyond_the_window_several_tokens_are_refused(base: Base, converted: CTranslate2Engine) -> None:
    if base.model.config.model_type != "gemma3_text":
        pytest.skip("has no window")
    with pytest.raises(ModelError, match="滑动窗口"):
        converted.weigh([PROMPTS[2]], [[[310, 311]]])


def test_probabilities_sum_to_one(base: Base) -> None:
    engine = TransformersEngine(base, FORMATS["plain"])
    words = cast(Any, base.model).get_input_embeddings().weight.shape[0]
    weights = engine.weigh([PROMPTS[0]], [[[word] for word in range(words)]])[0]
    assert sum(2.718281828459045**one.logprob for one in weights) == pytest.approx(1, abs=1e-4)
    assert sum(one.greedy for one in weights) == 1
    assert all(a.tokens == b.tokens == 1 for a, b in pairwise(weights))
