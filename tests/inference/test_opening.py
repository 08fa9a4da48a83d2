from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, get_peft_model

from bentsao.core.errors import ConfigError
from bentsao.core.files import write_json
from bentsao.core.formats import FILE_NAME, FORMATS, from_base
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.opening import open_engine
from bentsao.inference.transformers_engine import TransformersEngine
from bentsao.models.loading import load_base
from tests.doubles import TEMPLATE, tiny_base_folder

GREEDY = Decoding(max_new_tokens=10)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base_folder(tmp_path_factory.mktemp("base"), chat_template=TEMPLATE)


def save_adapter(folder: Path, base: Path, *, seed: int = 0, chat_format: str | None = "med_template") -> Path:
    """A PEFT folder with random weights, and the format it says it was tuned with."""
    torch.manual_seed(seed)
    config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    model = cast(Any, get_peft_model(cast(Any, load_base(str(base)).model), config))
    model.save_pretrained(folder)
    if chat_format:
        write_json(folder / FILE_NAME, FORMATS[chat_format].model_dump())
    return folder


def opened(told: list[str] | None = None, **settings: Any) -> TransformersEngine:
    every: dict[str, Any] = {"adapter": None, "base": None, "chat_format": None, **settings}
    return open_engine(report=(told if told is not None else []).append, **every)


def said(engine: TransformersEngine) -> tuple[int, ...]:
    prompt = prompt_ids([Message(role="user", content="头痛怎么办")], FORMATS["plain"], engine.tokens)
    return engine.generate([prompt], GREEDY)[0].ids


def test_the_adapter_brings_its_base_its_weights_and_its_format(base: Path, tmp_path: Path) -> None:
    told: list[str] = []
    engine = opened(told, adapter=save_adapter(tmp_path / "a", base))
    assert engine.chat_format.hash == FORMATS["med_template"].hash
    assert not told
    assert said(engine) != said(opened(base=str(base)))


def test_another_format_is_told_loudly_and_the_same_is_not(base: Path, tmp_path: Path) -> None:
    adapter, told = save_adapter(tmp_path / "a", base), list[str]()
    assert opened(told, adapter=adapter, chat_format="alpaca").chat_format == FORMATS["alpaca"]
    (warning,) = told
    assert warning.startswith("警告")
    assert "med_template" in warning
    assert "alpaca" in warning
    told.clear()
    opened(told, adapter=adapter, chat_format="med_template")
    assert not told


def test_an_adapter_without_a_format_is_told_unless_one_is_given(base: Path, tmp_path: Path) -> None:
    adapter, told = save_adapter(tmp_path / "a", base, chat_format=None), list[str]()
    assert opened(told, adapter=adapter).chat_format == from_base(TEMPLATE)
    assert len(told) == 1
    assert "没有记下对话格式" in told[0]
    told.clear()
    assert opened(told, adapter=adapter, chat_format="bloom_deploy").chat_format == FORMATS["bloom_deploy"]
    assert not told


def test_an_untuned_base_has_its_own_format_or_the_one_asked_for(base: Path) -> None:
    assert opened(base=str(base)).chat_format == from_base(TEMPLATE)
    assert opened(base=str(base), chat_format="plain").chat_format == FORMATS["plain"]
    with pytest.raises(ConfigError, match="--base embedded"):
        opened()


def test_the_name_tells_weights_apart(base: Path, tmp_path: Path) -> None:
    names = [
        opened(adapter=save_adapter(tmp_path / "a", base, seed=seed), dtype=dtype).name
        for seed, dtype in ((0, None), (0, None), (1, None), (1, "bfloat16"))
    ]
    assert names[0] == names[1]
    assert len({*names, opened(base=str(base)).name}) == 4
