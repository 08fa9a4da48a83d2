"""A tokenizer of Hugging Face's as GGUF's metadata: words, kinds, and scores or merges."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gguf import GGUFWriter, TokenType

from bentsao.core.errors import ModelError
from bentsao.models.tokens import HFTokens

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")

_LAST = -1e6
"""The score of words that no merge gives: they are not put together out of text."""


def add_vocabulary(writer: GGUFWriter, dress: Path, tokens: HFTokens, *, rows: int, stops: frozenset[int]) -> None:
    """Write the tokenizer of a folder into a GGUF file; `rows`: of the model's embedding.

    stops: the tokens that end an answer. Raises ModelError for a tokenizer of another kind than llama.cpp's two:
    SentencePiece's BPE with bytes to fall back on, and byte-level BPE with Qwen's or Llama 3's way of cutting words.
    """
    file = dress / "tokenizer.json"
    if not file.is_file():
        raise ModelError(f"{dress} 没有 tokenizer.json，不能写成 GGUF。请换用带快速分词器的基座。")
    whole: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    model = whole["model"]
    if model.get("type") != "BPE":
        raise ModelError(f"llama.cpp 没有 {model.get('type')} 分词器，不能写成 GGUF。可以的是 BPE。")
    words, kinds = _words(whole, tokens, rows)
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ", 1)) for m in model["merges"]]
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    if model.get("byte_fallback"):
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_scores(_scores(words, merges))
        writer.add_add_space_prefix(_puts_blank(tokens))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_cutting(whole))
        writer.add_token_merges([" ".join(pair) for pair in merges])
    _add_special(writer, tokens, rows, stops)


def _words(whole: Mapping[str, Any], tokens: HFTokens, rows: int) -> tuple[list[str], list[int]]:
    """Word and kind of each of the embedding's rows; rows without a word get one that no text has."""
    found: dict[int, str] = {number: word for word, number in whole["model"]["vocab"].items()}
    added = {token["id"]: token["content"] for token in whole.get("added_tokens", [])}
    added |= {number: token.content for number, token in cast(Any, tokens.tokenizer).added_tokens_decoder.items()}
    words, kinds = [], []
    for number in range(rows):
        word = added.get(number, found.get(number))
        if word is None:
            words.append(f"[PAD{number}]")
            kinds.append(TokenType.UNUSED)
            continue
        words.append(word)
        if number in tokens.control_ids:
            kinds.append(TokenType.CONTROL)
        elif word == whole["model"].get("unk_token"):
            kinds.append(TokenType.UNKNOWN)
        elif number in added:
            kinds.append(TokenType.USER_DEFINED)
        else:
            kinds.append(TokenType.BYTE if _BYTE.fullmatch(word) else TokenType.NORMAL)
    return words, [int(kind) for kind in kinds]


def _scores(words: list[str], merges: list[tuple[str, ...]]) -> list[float]:
    """SentencePiece puts together what gives the word of the best score; merges go in their order. Both are the same
    where a word's score is the place of its first merge.
    """
    first: dict[str, float] = {}
    for place, pair in enumerate(merges):
        first.setdefault("".join(pair), -float(place))
    return [first.get(word, _LAST) for word in words]


def _puts_blank(tokens: HFTokens) -> bool:
    spelt = tokens.tokenizer.convert_ids_to_tokens(tokens.encode("0"))
    return cast("list[str]", spelt)[0].startswith("▁")


def _cutting(whole: Mapping[str, Any]) -> str:
    """llama.cpp's name for the way in which a byte-level tokenizer cuts text into words, told by its digits."""
    text = json.dumps(whole.get("pre_tokenizer"), ensure_ascii=False)
    if "ByteLevel" in text and "\\\\p{L}" in text:
        if "\\\\p{N}{1,3}" in text:
            return "llama-bpe"
        if "|\\\\p{N}|" in text:
            return "qwen2"
    raise ModelError("这个分词器的切词方式在 GGUF 里没有对应的名字。请换一种导出格式。")


def _add_special(writer: GGUFWriter, tokens: HFTokens, rows: int, stops: frozenset[int]) -> None:
    tokenizer = tokens.tokenizer
    writer.add_eos_token_id(tokens.end_id)
    others = sorted(stops - {tokens.end_id})
    if others:
        writer.add_eot_token_id(others[0])
    start = tokens.start_ids[0] if tokens.start_ids else cast("int | None", tokenizer.bos_token_id)
    if start is not None and start < rows:
        writer.add_bos_token_id(start)
    pad, unknown = cast("int | None", tokenizer.pad_token_id), cast("int | None", tokenizer.unk_token_id)
    if pad is not None and pad < rows:
        writer.add_pad_token_id(pad)
    if unknown is not None and unknown < rows:
        writer.add_unk_token_id(unknown)
    writer.add_add_bos_token(bool(tokens.start_ids))
    writer.add_add_eos_token(False)
