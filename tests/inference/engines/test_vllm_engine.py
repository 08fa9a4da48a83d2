"""The vLLM engine on a double with vLLM's signatures (`vllm_double.py`), against the reference on the same weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from bentsao.core.errors import ConfigError, MissingError, ModelError
from bentsao.core.formats import FORMATS
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, EngineName, Generated, Scorer
from bentsao.inference.engines import vllm_base
from bentsao.inference.engines.opening import open_engine
from tests.doubles import END_ID
from tests.inference.bases import tiny_folder
from tests.inference.engines import vllm_double
from tests.inference.engines.test_opening import save_adapter
from tests.inference.engines.test_transformers_engine import QUESTIONS

GREEDY = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    at = tmp_path_factory.mktemp("adapters")
    return [save_adapter(at / str(seed), folder, seed=seed, chat_format="plain") for seed in (1, 2)]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> type[vllm_double.LLM]:
    monkeypatch.setattr(vllm_base, "_LOADED", [])
    return vllm_double.install(monkeypatch)


def opened(engine: EngineName, folder: Path, adapter: Path | None = None, **how: Any) -> Engine:
    device = {} if engine == "vllm" else {"device": "cpu"}
    base = None if adapter else str(folder)
    return open_engine(
        adapter=adapter, base=base, chat_format="plain", report=lambda _: None, engine=engine, **device, **how
    )


def prompts_of(engine: Engine) -> list[list[int]]:
    return [prompt_ids([Message(role="user", content=text)], FORMATS["plain"], engine.tokens) for text in QUESTIONS]


def test_greedy_answers_are_the_references_with_adapters_and_without(
    vllm: type[vllm_double.LLM], folder: Path, adapters: list[Path]
) -> None:
    said: list[list[Generated]] = []
    engines = {adapter: opened("vllm", folder, adapter) for adapter in (*adapters, None)}
    for adapter, engine in engines.items():
        reference = opened("transformers", folder, adapter)
        prompts = prompts_of(engine)
        said.append(engine.generate(prompts, GREEDY))
        assert said[-1] == reference.generate(prompts, GREEDY)
        assert engine.name.replace("vllm auto", "transformers float32") == reference.name
    assert said[0] != said[1] != said[2] != said[0]
    (one,) = vllm.opened
    assert len(one.llm_engine.loaded) == 2, "all of them stand on one base"
    assert one.settings == {"dtype": "auto", "prefix": True, "length": -1}
    opened("vllm", folder, adapters[0], dtype="float32")
    assert len(vllm.opened) == 2, "another number format is another base"


@pytest.mark.parametrize(
    "settings",
    [{"repetition_penalty": 1.5}, {"no_repeat_ngram": 2}, {"repetition_penalty": 1.2, "no_repeat_ngram": 3}],
)
def test_control_of_repetition_is_the_references(
    vllm: type[vllm_double.LLM], folder: Path, settings: dict[str, Any]
) -> None:
    engine, reference = opened("vllm", folder), opened("transformers", folder)
    prompts, decoding = prompts_of(engine), Decoding(max_new_tokens=20, **settings)
    assert engine.generate(prompts, decoding) == reference.generate(prompts, decoding)
    assert engine.generate(prompts, decoding) != engine.generate(prompts, Decoding(max_new_tokens=20))


def test_sampling_repeats_by_its_seed_and_narrows_to_greedy(vllm: type[vllm_double.LLM], folder: Path) -> None:
    engine = opened("vllm", folder)
    prompts = prompts_of(engine)[:1] * 3

    def said(**settings: Any) -> list[Generated]:
        every: dict[str, Any] = {"temperature": 1.5, "seed": 1, **settings}
        return engine.generate(prompts, Decoding(max_new_tokens=12, **every))

    greedy = engine.generate(prompts, GREEDY)
    assert said() == said() != said(seed=(1 << 63) - 1)
    assert len({one.ids for one in said()}) == 3, "equal prompts draw for themselves"
    assert said(top_k=1) == said(top_p=1e-6) == said(temperature=0.01) == greedy
    assert said(top_k=3) != said(top_p=0.2) != said()
    with pytest.raises(ConfigError, match=r"束搜索.*--engine transformers"):
        engine.generate(prompts, Decoding(beams=2))


def test_streamed_pieces_are_the_answers_and_what_is_called_off_ends(vllm: type[vllm_double.LLM], folder: Path) -> None:
    engine = opened("vllm", folder)
    prompts = prompts_of(engine)
    whole = engine.generate(prompts, GREEDY)
    told: list[list[str]] = [[] for _ in prompts]
    found = engine.generate(
        prompts,
        GREEDY,
        on_text=lambda row, piece: told[row].append(piece),
        called_off=lambda row: row == 1 and len(told[1]) >= 5,
    )
    assert (len(found[1].ids), found[1].finish) == (5, "length")
    assert found[1].ids == whole[1].ids[:5]
    assert [found[row] for row in (0, 2, 3)] == [whole[row] for row in (0, 2, 3)]
    assert ["".join(pieces) for pieces in told] == [generated.text for generated in found]
    assert len(vllm.opened[0].llm_engine.aborted) == 1, "vLLM was told"
    before = vllm.opened[0].llm_engine.steps
    with pytest.raises(KeyboardInterrupt):
        engine.generate(prompts, GREEDY, on_text=interrupt)
    assert vllm.opened[0].llm_engine.steps == before + 1
    assert len(vllm.opened[0].llm_engine.aborted) == 1 + len(prompts)
    assert engine.generate(prompts, GREEDY) == whole, "nothing is left over from what was interrupted"


def interrupt(row: int, piece: str) -> None:
    raise KeyboardInterrupt


def test_only_our_stop_tokens_stop(vllm: type[vllm_double.LLM], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened("vllm", folder)
    prompts = prompts_of(engine)[:1]
    said = engine.generate(prompts, GREEDY)[0].ids
    at = next(place for place in range(3, 12) if said[place] not in said[:place])
    monkeypatch.setattr(engine, "_stops", frozenset({said[at], END_ID}))
    told: list[str] = []
    (found,) = engine.generate(prompts, GREEDY, on_text=lambda _, piece: told.append(piece))
    assert (found.ids, found.finish, "".join(told)) == (said[:at], "end", found.text)
    monkeypatch.setattr(vllm.opened[0].llm_engine._plain.config, "eos_token_id", said[2])  # pyright: ignore
    assert engine.generate(prompts, GREEDY)[0] == found


def test_weights_are_the_references(vllm: type[vllm_double.LLM], folder: Path, adapters: list[Path]) -> None:
    engine, reference = opened("vllm", folder, adapters[0]), opened("transformers", folder, adapters[0])
    assert isinstance(engine, Scorer)
    assert isinstance(reference, Scorer)
    prompts = [[7, 300, 301], [7, *range(280, 310)]]
    greedy = engine.generate(prompts[:1], Decoding(max_new_tokens=3))[0].ids
    options = [[[310], [311, 312], [], greedy], [[330, 331, 332]]]
    for ours, theirs in zip(engine.weigh(prompts, options), reference.weigh(prompts, options), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert (one.tokens, one.greedy) == (other.tokens, other.greedy)
            assert one.each == pytest.approx(other.each, abs=1e-4)
            assert [token for token, _ in one.best] == [token for token, _ in other.best]
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
    assert engine.weigh(prompts, options)[0][3].greedy
    with pytest.raises(ModelError, match="提示是空的"):
        engine.weigh([[]], [[[310]]])


def test_the_context_is_never_overrun(vllm: type[vllm_double.LLM], folder: Path) -> None:
    engine = opened("vllm", folder)
    assert engine.context == 512
    (found,) = engine.generate([[7] * 505], GREEDY)
    assert (len(found.ids), found.finish) == (7, "length")
    with pytest.raises(ModelError, match="没有留给回答的位置"):
        engine.generate([[7] * 512], GREEDY)
    with pytest.raises(ModelError, match="超出了模型的词表"):
        engine.generate([[7, 99999]], GREEDY)
    assert engine.generate([], GREEDY) == []


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_without_vllm_the_way_out_is_told(folder: Path) -> None:
    with pytest.raises(MissingError, match=r"vllm.*bentsao\[vllm\].*--engine vllm"):
        opened("vllm", folder)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"device": "cuda"}, "CUDA_VISIBLE_DEVICES"),
        ({"quantization": "4bit"}, "--quantization"),
        ({"gpus": 0}, "--gpus 0"),
    ],
)
def test_what_vllm_has_not_is_refused(folder: Path, how: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_engine(adapter=None, base=str(folder), chat_format=None, report=lambda _: None, engine="vllm", **how)
    with pytest.raises(ConfigError, match="--engine vllm"):
        opened("transformers", folder, gpus=2)


def test_what_vllm_cannot_load_is_told(vllm: type[vllm_double.LLM], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Tensor parallel size 2.*--engine transformers"):
        opened("vllm", folder, gpus=2)
    wide = save_adapter(tmp_path / "wide", folder, chat_format="plain", rank=600)
    with pytest.raises(ModelError, match="秩是 600"):
        opened("vllm", folder, wide)
