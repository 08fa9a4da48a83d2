"""Small honest stand-ins that all tests share: tokenizers by character, two-layer random models, a base in a folder.

All are built in memory, need no network, and do what the real ones do, only on little: nothing here is canned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bentsao.core.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Kind = Literal["llama", "gemma3", "bloom", "qwen3", "glm"]
KINDS: tuple[Kind, ...] = ("llama", "gemma3", "bloom", "qwen3", "glm")

CONTROLS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
"""The control marks of both tokenizers, in order of id from 0."""
PAD_ID, END_ID, START_ID, TURN_ID, TURN_END_ID = range(len(CONTROLS))

TEMPLATE = (
    "{{ bos_token }}"
    "{% for m in messages %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] }}<end_of_turn>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
"""A chat template in Jinja with Gemma's marks; `write_turns` is the same in Python."""


def write_turns(messages: Sequence[Message], ask: bool) -> str:
    """What TEMPLATE writes."""
    names = {"assistant": "model"}
    turns = "".join(f"<start_of_turn>{names.get(m.role, m.role)}\n{m.content}<end_of_turn>\n" for m in messages)
    return "<bos>" + turns + ("<start_of_turn>model\n" if ask else "")


class CharTokens:
    """A tokenizer by character that fulfils `core.rendering.Tokens`: a character's id is its code point + 5.

    template: what `apply_template` calls (`write_turns` is one); None: a base without a chat template.
    start: whether the base wants its start token before a text.
    blank: put "▁" before a text that continues no other, as SentencePiece's LLaMA tokenizer does.
    """

    def __init__(
        self,
        template: Callable[[Sequence[Message], bool], str] | None = None,
        *,
        start: bool = True,
        blank: bool = False,
    ) -> None:
        self._template = template
        self._blank = blank
        self.start_ids: tuple[int, ...] = (START_ID,) if start else ()
        self.prompt_end_ids: tuple[int, ...] = ()
        self.end_id = END_ID
        self.stop_ids = frozenset({END_ID})
        self.pad_id = PAD_ID
        self.control_ids = frozenset(range(len(CONTROLS)))
        self.template = None if template is None else TEMPLATE

    def __len__(self) -> int:
        return len(CONTROLS) + 0x110000

    def encode(self, text: str, *, control: bool = False, after: bool = False) -> list[int]:
        """Ids of the characters; with `control`, the marks of CONTROLS are one id each."""
        if self._blank and text and not after:
            text = "▁" + text
        parts = re.split("(" + "|".join(map(re.escape, CONTROLS)) + ")", text) if control else [text]
        ids: list[int] = []
        for part in parts:
            ids += [CONTROLS.index(part)] if control and part in CONTROLS else [ord(c) + len(CONTROLS) for c in part]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text, control tokens left out."""
        return "".join(chr(i - len(CONTROLS)) for i in ids if i >= len(CONTROLS))

    def apply_template(self, messages: Sequence[Message], *, ask: bool) -> str:
        """The messages as the template writes them."""
        assert self._template is not None, "this base has no chat template"
        return self._template(messages, ask)


HAN = (
    "的是不一有人病症状治疗医生药物检查可能什么怎么办吃发热感冒咳嗽头痛胃炎肺肝癌"
    "早期问答题回运用学知识来正确提下面个，。？：、！"
)
"""Chinese characters that the tiny tokenizer has a token for; all others are spelt in UTF-8 bytes."""


def tiny_tokenizer(
    *, chat_template: str | None = None, start: bool = True, blank: bool = False
) -> PreTrainedTokenizerFast:
    """A real fast tokenizer (BPE with byte fallback, a token a character) of some 400 tokens, built in memory.

    CONTROLS have the same ids as in `CharTokens`; as in Gemma, the turn marks are added tokens that are *not* special.
    start: put "<bos>" before a text. blank: put "▁" before a text and write blanks as "▁", as LLaMA does.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    characters = [chr(c) for c in range(0x20, 0x7F)] + ["\n", "▁", *dict.fromkeys(HAN)]
    symbols = [*CONTROLS, *(f"<0x{b:02X}>" for b in range(256)), *characters]
    # Merges that cross what joins there: the blank with a letter, and two characters of Chinese.
    merges = [("▁", "a"), ("感", "冒"), ("\n", "\n")]
    vocabulary = {symbol: number for number, symbol in enumerate([*symbols, *("".join(pair) for pair in merges)])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    steps: list[Any] = [decoders.ByteFallback(), decoders.Fuse()]
    if blank:
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        steps = [decoders.Replace("▁", " "), *steps, decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)
    inner.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in CONTROLS[:3]])
    inner.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in CONTROLS[3:]])
    if start:
        inner.post_processor = processors.TemplateProcessing(
            single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", START_ID)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", padding_side="left"
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def tiny_model(kind: Kind = "llama", vocab_size: int = 512, seed: int = 0) -> PreTrainedModel:
    """A random float32 model of two layers, hidden 32, context 512, in eval mode. The same seed, the same weights."""
    import torch
    import transformers as hf

    ids: dict[str, Any] = {"pad_token_id": PAD_ID, "eos_token_id": END_ID, "bos_token_id": START_ID}
    common: dict[str, Any] = {
        **ids,
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "llama":
            model = hf.LlamaForCausalLM(hf.LlamaConfig(**common))
        elif kind == "gemma3":
            model = hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**common, query_pre_attn_scalar=8, sliding_window=64))
        elif kind == "qwen3":
            model = hf.Qwen3ForCausalLM(hf.Qwen3Config(**common))
        elif kind == "glm":
            model = hf.GlmForCausalLM(hf.GlmConfig(**common))
        else:
            shape: dict[str, Any] = {**ids, "vocab_size": vocab_size, "hidden_size": 32, "n_layer": 2, "n_head": 4}
            model = hf.BloomForCausalLM(hf.BloomConfig(**shape))
    return model.eval()


def tiny_base_folder(
    path: Path, kind: Kind = "llama", *, chat_template: str | None = None, start: bool = True, seed: int = 0
) -> Path:
    """A base as a folder: `tiny_model` and `tiny_tokenizer` saved there. Returns `path`."""
    tokenizer = tiny_tokenizer(chat_template=chat_template, start=start)
    tiny_model(kind, vocab_size=len(tokenizer), seed=seed).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
