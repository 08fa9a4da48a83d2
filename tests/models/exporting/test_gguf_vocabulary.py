"""Byte-level tokenizers, as of Qwen and Llama 3, must be read by llama.cpp as Hugging Face's library reads them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from bentsao.core.errors import ModelError
from bentsao.inference.parity import check_parity
from bentsao.models.exporting.exporting import Target, export
from bentsao.models.exporting.source import open_source
from tests.doubles import tiny_model

_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
CUTS = {"qwen2": rf"{_WORDS}\p{{N}}|{_REST}", "llama-bpe": rf"{_WORDS}\p{{N}}{{1,3}}|{_REST}"}
QUESTIONS = ("感冒38.5度，吃 Aspirin 100mg  行吗？", "I'll take 2024 pills\n\n对吗", "头痛")


def byte_level(cut: str) -> PreTrainedTokenizerFast:
    """Trained on the spot, so that merges cross characters and digits wherever the cutting lets them."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(cut), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([*QUESTIONS * 5, "2024 2023 1001 100 385 38"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def base_of(folder: Path, cut: str) -> Path:
    tokenizer = byte_level(cut)
    tiny_model("qwen3", vocab_size=448).save_pretrained(folder)  # more rows than words, as Qwen has
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed: pip install 'bentsao[export]'")
@pytest.mark.parametrize("name", CUTS)
def test_llama_cpp_reads_text_alike(name: str, tmp_path: Path) -> None:
    base = base_of(tmp_path / "base", CUTS[name])
    source = open_source(adapter=None, base=str(base), chat_format="med_template", report=lambda _: None)
    export("gguf-f16", source, tmp_path / "out", Target())
    parity = check_parity("gguf-f16", tmp_path / "out", source, questions=QUESTIONS, tokens=8, report=lambda _: None)
    assert parity.same_prompts == 3
    assert parity.passed, parity.cause


def test_the_two_ways_of_cutting_differ() -> None:
    one, other = (byte_level(cut).encode("2024年 1001片") for cut in CUTS.values())
    assert one != other, "or the test above could not tell them apart"


def test_an_unknown_way_of_cutting_is_refused(tmp_path: Path) -> None:
    base = base_of(tmp_path / "base", r"\p{L}+|\s+")
    source = open_source(adapter=None, base=str(base), chat_format="plain", report=lambda _: None)
    with pytest.raises(ModelError, match="切词方式"):
        export("gguf-f16", source, tmp_path / "out", Target())
