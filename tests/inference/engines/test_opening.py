from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, get_peft_model

from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.files import write_json
from bentsao.core.formats import FILE_NAME, FORMATS, from_base
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine
from bentsao.inference.engines.ctranslate2_engine import CTranslate2Engine
from bentsao.inference.engines.opening import open_engine
from bentsao.inference.engines.transformers_engine import TransformersEngine
from bentsao.models import machine
from bentsao.models.loading import load_base
from tests.doubles import TEMPLATE, tiny_base_folder

GREEDY = Decoding(max_new_tokens=10)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base_folder(tmp_path_factory.mktemp("base"), chat_template=TEMPLATE)


def save_adapter(
    folder: Path, base: Path, *, seed: int = 0, chat_format: str | None = "med_template", rank: int = 2
) -> Path:
    """A PEFT folder with random weights, and the format it says it was tuned with."""
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    model = cast(Any, get_peft_model(cast(Any, load_base(str(base)).model), config))
    model.save_pretrained(folder)
    if chat_format:
        write_json(folder / FILE_NAME, FORMATS[chat_format].model_dump())
    return folder


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "devices", lambda: [torch.device("cpu")])


def opened(told: list[str] | None = None, **settings: Any) -> Engine:
    every: dict[str, Any] = {"engine": "transformers", "adapter": None, "base": None, "chat_format": None, **settings}
    return open_engine(report=(told if told is not None else []).append, **every)


def said(engine: Engine) -> tuple[int, ...]:
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


def test_the_name_tells_weights_and_engines_apart(base: Path, tmp_path: Path) -> None:
    names = [
        opened(adapter=save_adapter(tmp_path / "a", base, seed=seed), **how).name
        for seed, how in cast(
            "list[tuple[int, dict[str, Any]]]",
            [
                (0, {}),
                (0, {}),
                (1, {}),
                (1, {"dtype": "bfloat16"}),
                (1, {"engine": "ctranslate2"}),
                (1, {"engine": "ctranslate2", "dtype": "float32"}),
            ],
        )
    ]
    assert names[0] == names[1]
    assert len({*names, opened(base=str(base)).name}) == 6
    assert "transformers bfloat16" in names[3]
    assert "ctranslate2 int8" in names[4]
    assert "ctranslate2 float32" in names[5]


def test_a_cpu_answers_with_ctranslate2_and_as_the_reference_does(base: Path, tmp_path: Path) -> None:
    adapter, told = save_adapter(tmp_path / "a", base), list[str]()
    engine = opened(told, adapter=adapter, engine="auto", dtype="float32")
    assert isinstance(engine, CTranslate2Engine)
    reference = opened(adapter=adapter)
    assert said(engine) == said(reference) != said(opened(base=str(base)))
    assert engine.chat_format == reference.chat_format
    assert all("警告" not in line for line in told)
    again = list[str]()
    assert said(opened(again, adapter=adapter, engine="auto", dtype="float32")) == said(engine)
    assert not again, "the conversion was kept"
    save_adapter(tmp_path / "a", base, seed=77)  # no other test converts these
    assert said(opened(again, adapter=adapter, engine="auto", dtype="float32")) != said(engine)
    assert again, "and made again for other weights"


@pytest.mark.parametrize(
    ("how", "precision"),
    [
        ({}, "int8"),
        ({"quantization": "8bit"}, "int8"),
        ({"dtype": "float32"}, "float32"),
        ({"dtype": "bfloat16"}, None),
    ],
)
def test_auto_takes_what_ctranslate2_can(base: Path, how: dict[str, Any], precision: str | None) -> None:
    engine = opened(base=str(base), engine="auto", **how)
    assert isinstance(engine, TransformersEngine) == (precision is None)
    assert (f"ctranslate2 {precision}" in engine.name) == (precision is not None)


def test_an_architecture_that_does_not_convert_has_transformers(tmp_path: Path) -> None:
    glm, told = str(tiny_base_folder(tmp_path, "glm")), list[str]()
    assert isinstance(opened(told, base=glm, engine="auto"), TransformersEngine)
    assert "改用 transformers" in told[0]
    with pytest.raises(ModelError, match=r"glm.*--engine transformers"):
        opened(base=glm, engine="ctranslate2")


def test_what_ctranslate2_cannot_is_refused_where_it_is_asked_for(base: Path) -> None:
    settings: list[dict[str, Any]] = [{"dtype": "bfloat16"}, {"quantization": "4bit"}]
    for how in settings:
        with pytest.raises(ConfigError, match="--engine transformers"):
            opened(base=str(base), engine="ctranslate2", **how)


@pytest.mark.parametrize("engine", ["transformers", "ctranslate2"])
def test_a_format_from_a_file_brings_its_own_template(base: Path, tmp_path: Path, engine: str) -> None:
    other = TEMPLATE.replace("start_of_turn", "end_of_turn")
    write_json(tmp_path / "format.json", from_base(other).model_dump())
    found = opened(base=str(base), chat_format=str(tmp_path / "format.json"), engine=engine)
    ask = [Message(role="user", content="头痛")]
    assert found.tokens.apply_template(ask, ask=True) != opened(base=str(base)).tokens.apply_template(ask, ask=True)
    assert "<end_of_turn>user" in found.tokens.apply_template(ask, ask=True)
