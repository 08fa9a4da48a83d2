"""Tokenizers such as Qwen's, Llama 3's and Gemma's must be read by llama.cpp as Hugging Face's library reads them."""

from __future__ import annotations

from collections.abc import Callable
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


def sentencepiece() -> PreTrainedTokenizerFast:
    """As Gemma's: blanks as "▁", bytes to fall back on, and words that compete for the same characters."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    characters = dict.fromkeys("▁\n" + "".join(QUESTIONS).replace(" ", ""))
    words = [
        "感冒",
        "冒3",
        "3",
        "38",
        "8.",
        "8.5",
        ".5",
        "5度",
        "头痛",
        "▁A",
        "sp",
        "pir",
        "Aspir",
        "ir",
        "in",
        "▁1",
        "00",
        "100",
    ]
    known = [*(f"<0x{byte:02X}>" for byte in range(256)), *characters]
    merges: list[tuple[str, str]] = []
    for word in words:
        splits = [(word[:at], word[at:]) for at in range(1, len(word))]
        merges += [pair for pair in splits if set(pair) <= set(known)]
        known += [] if word in known else [word]
    marks = ["<bos>", "<eos>", "<unk>"]
    vocabulary = {word: number for number, word in enumerate([*marks, *known])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    inner.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")


def base_of(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    tiny_model("qwen3", vocab_size=448).save_pretrained(folder)  # more rows than words, as Qwen has
    tokenizer.save_pretrained(folder)
    return folder


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "qwen2": lambda: byte_level(CUTS["qwen2"]),
    "llama-bpe": lambda: byte_level(CUTS["llama-bpe"]),
    "sentencepiece": sentencepiece,
}


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed: pip install 'bentsao[export]'")
@pytest.mark.parametrize("name", TOKENIZERS)
def test_llama_cpp_reads_text_alike(name: str, tmp_path: Path) -> None:
    base = base_of(tmp_path / "base", TOKENIZERS[name]())
    source = open_source(adapter=None, base=str(base), chat_format="med_template", report=lambda _: None)
    export("gguf-f16", source, tmp_path / "out", Target())
    parity = check_parity("gguf-f16", tmp_path / "out", source, questions=QUESTIONS, tokens=8, report=lambda _: None)
    assert parity.same_prompts == 3
    assert parity.passed, parity.cause


def test_the_two_ways_of_cutting_differ() -> None:
    one, other = (byte_level(cut).encode("2024年 1001片") for cut in CUTS.values())
    assert one != other, "or the test above could not tell them apart"


def test_an_unknown_way_of_cutting_is_refused(tmp_path: Path) -> None:
    base = base_of(tmp_path / "base", byte_level(r"\p{L}+|\s+"))
    source = open_source(adapter=None, base=str(base), chat_format="plain", report=lambda _: None)
    with pytest.raises(ModelError, match="切词方式"):
        export("gguf-f16", source, tmp_path / "out", Target())
