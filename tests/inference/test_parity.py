from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bentsao.inference.parity import QUESTIONS, Parity, check_parity
from bentsao.models.exporting.exporting import FORMATS, Target, export
from bentsao.models.exporting.source import Source, open_source
from tests.doubles import Kind
from tests.models.exporting.adapted import source_of

llama_cpp = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("xllamacpp"),
    reason="xllamacpp is not installed: pip install 'bentsao[export]'",
)
EACH = [pytest.param(form, marks=llama_cpp) if form.startswith("gguf") else form for form in FORMATS]


def checked(form: str, out: Path, source: Source) -> Parity:
    return check_parity(form, out, source, questions=QUESTIONS[:4], tokens=16, report=lambda _: None)


@pytest.mark.parametrize("form", EACH)
def test_each_format_says_what_the_model_said(form: str, tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama")
    export(form, source, tmp_path / "out", Target())
    parity = checked(form, tmp_path / "out", source)
    assert parity.passed, parity.cause
    assert parity.same_prompts == 4
    if form in ("hf", "llama", "ct2-float32"):
        assert parity.same_texts == 4
        assert parity.agreement == 1
    assert (parity.cause == "") == (parity.same_texts == 4)


@llama_cpp
@pytest.mark.parametrize("kind", ["qwen3", "gemma3"])
def test_llama_cpp_computes_the_other_architectures(kind: Kind, tmp_path: Path) -> None:
    source = source_of(tmp_path, kind)
    export("gguf-f16", source, tmp_path / "out", Target())
    parity = checked("gguf-f16", tmp_path / "out", source)
    assert parity.passed, parity.cause
    assert parity.agreement > 0.5


def test_a_lost_adapter_is_told(tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama")
    export("hf", replace(source, info=None), tmp_path / "out", Target())
    parity = checked("hf", tmp_path / "out", source)
    assert not parity.passed
    assert "没有合并" in parity.cause


@pytest.mark.parametrize(("rank_stabilised", "cause"), [(False, "丢了 alpha/r"), (True, "rsLoRA")])
def test_a_wrong_strength_is_told(rank_stabilised: bool, cause: str, tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama")
    assert source.info is not None
    config = source.info.folder / "adapter_config.json"
    told = json.loads(config.read_text(encoding="utf-8"))
    wrong = {**told, "use_rslora": True} if rank_stabilised else {**told, "lora_alpha": told["r"]}
    config.write_text(json.dumps(wrong), encoding="utf-8")
    export("hf", source, tmp_path / "out", Target())
    config.write_text(json.dumps(told), encoding="utf-8")
    parity = checked("hf", tmp_path / "out", source)
    assert not parity.passed
    assert cause in parity.cause


def test_another_template_is_told(tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama")
    assert source.info is not None
    other = open_source(
        adapter=source.info.folder, base=source.located.name, chat_format="alpaca", report=lambda _: None
    )
    export("hf", other, tmp_path / "out", Target())
    parity = checked("hf", tmp_path / "out", source)
    assert not parity.passed
    assert parity.same_prompts == 0
    assert "对话模板或分词器" in parity.cause
