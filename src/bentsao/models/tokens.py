"""A Hugging Face tokenizer as the renderer wants it: `core.rendering.Tokens`, with what people say kept from control.

A tokenizer turns `<end_of_turn>` in a user's words into the same id that its own template writes. Here such words are
spelt out, whatever the tokenizer's backend: the text is encoded, and where a control id comes out, the mark that gave
it is cut in two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from bentsao.core.errors import ModelError
from bentsao.core.records import Message

_MARK = re.compile(r"<[|｜].*[|｜]>|<{1,2}/?\w+_\w+>{1,2}|<</?\w+>>|</?think>|\[/?\w+\]")
r"""Added tokens that act as control though the tokenizer does not call them special: `<start_of_turn>`, `<|im_start|>`,
`[INST]`, `<<SYS>>`, `<think>`. All others, such as Gemma's `\n\n` and `<sub>`, are text."""

_ENDS = ("<|endoftext|>", "<|endofutterance|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<eop>")
"""Marks that end a turn or a text in all bases that have them; 活字 and others name them nowhere as such."""

_ANCHORS = ("\n", "。", "0")
"""What stands before a continuation while it is encoded; the first that does not merge with the text is used."""

_TEMPLATE_SETTINGS = {"enable_thinking": False, "date_string": "26 Jul 2024"}
"""Variables of bases' templates: Qwen3 answers without a hidden monologue; Llama 3 states this date and not today's,
so that a prompt is the same tomorrow."""


class HFTokens:
    """Fulfils `core.rendering.Tokens` for a transformers tokenizer.

    template: the text of the base's chat template; None takes the tokenizer's own (which may be none either).
    end_id: used where the tokenizer names no end of text; usually from the model's generation config.
    stated: all end tokens that the model's own configuration names.
    Raises ModelError when there is no end token at all.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        template: str | None = None,
        end_id: int | None = None,
        stated: Sequence[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template or (tokenizer.get_chat_template() if tokenizer.chat_template else None)
        own_end = cast("int | None", tokenizer.eos_token_id)
        end = end_id if own_end is None else own_end
        if end is None:
            raise ModelError(
                f"分词器 {tokenizer.name_or_path or type(tokenizer).__name__} 没有结束符，模型不会知道何时停。"
                "请在它的 tokenizer_config.json 里写上 eos_token，或换一个基座。"
            )
        self.end_id = end
        self.pad_id = end
        """Padding is masked and never a target, so any id will do; some bases' own pad id has no row in the model."""
        self.prompt_end_ids: tuple[int, ...] = tuple(getattr(tokenizer, "prompt_end_ids", ()))
        self.start_ids = self._find_start()
        self.control_ids = self._find_control()
        self._stated = tuple(stated)
        self.stop_ids = self._find_stops()
        self._think_start, self._think_end = (self._marked(mark) for mark in ("<think>", "</think>"))

    def __len__(self) -> int:
        """The size of the vocabulary with all added tokens."""
        return len(cast(Any, self.tokenizer))

    def with_template(self, template: str) -> HFTokens:
        """The same tokenizer with another chat template."""
        return HFTokens(self.tokenizer, template=template, end_id=self.end_id, stated=self._stated)

    def _find_start(self) -> tuple[int, ...]:
        """What the tokenizer itself puts before a text: Gemma and LLaMA their BOS, BLOOM and Qwen nothing."""
        text = self._raw("0")
        whole = self.tokenizer.encode("0")
        for at in range(len(whole) - len(text) + 1):
            if whole[at : at + len(text)] == text:
                return tuple(whole[:at])
        return ()

    def _find_control(self) -> frozenset[int]:
        """Special tokens and what looks like a turn mark.

        Not the token for unknown text where the tokenizer cannot spell every character: there it is text.
        """
        tokenizer = self.tokenizer
        added = cast("dict[int, Any]", tokenizer.added_tokens_decoder).items()
        marks = {number for number, token in added if token.special or _MARK.fullmatch(token.content)}
        special = tokenizer.all_special_ids
        unknown = {cast("int | None", tokenizer.unk_token_id)} - {self.end_id}
        return frozenset({*special, *marks, self.end_id} - unknown.intersection(self._raw("\U0010fffd")))

    def _find_stops(self) -> frozenset[int]:
        """What ends an answer: the end of text, what the model's configuration names, and known ends of turns.

        A stated id that is no control token, or is where a text starts, is another's: the LLaMA of 2023 states such.
        """
        start: Any = self.tokenizer.bos_token_id
        stated: set[int] = {number for number in self._stated if number in self.control_ids} - {*self.start_ids, start}
        known = {number for number in self.control_ids if self._written({number})[0] in _ENDS}
        return frozenset({self.end_id, *known} | stated)

    def encode(self, text: str, *, control: bool = False, after: bool = False) -> list[int]:
        """Token ids without start or end. `control`: read control tokens in the text; else they are spelt out.

        `after`: the text continues another one, so no start-of-text blank is put before it.
        Raises ModelError for a single character that the tokenizer itself takes for a control token.
        """
        ids = self._continued(text) if after and self._puts_blank else self._raw(text)
        found = set() if control else self.control_ids.intersection(ids)
        if not found:
            return ids
        out: list[int] = []
        for number, piece in enumerate(_cut_open(text, self._written(found))):
            out += self.encode(piece, after=after or number > 0)
        return out

    def decode(self, ids: Sequence[int]) -> str:
        """The text, control tokens left out."""
        kept = [number for number in ids if number not in self.control_ids]
        return cast(str, self.tokenizer.decode(kept, clean_up_tokenization_spaces=False))

    def answer(self, ids: Sequence[int]) -> str:
        """The text of an answer, without what a thinking model thought before it; empty while it still thinks."""
        kept = list(ids)
        if self._think_end in kept:
            last = len(kept) - 1 - kept[::-1].index(self._think_end)
            return self.decode(kept[last + 1 :]).lstrip("\n")
        return "" if self._think_start in kept else self.decode(kept)

    def apply_template(self, messages: Sequence[Message], *, ask: bool) -> str:
        """The messages through the base's chat template; `ask` adds what opens the answer. Raises ModelError."""
        if self.template is None:
            raise ModelError("这个基座没有自带的对话模板。请换一个对话格式，例如 plain。")
        try:
            text = cast(Any, self.tokenizer).apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=ask,
                **_TEMPLATE_SETTINGS,
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:  # a template is a program
            raise ModelError(f"基座自带的对话模板不接受这段对话：{error}。请换一个对话格式。") from None
        return cast(str, text)

    def _raw(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    @cached_property
    def _puts_blank(self) -> bool:
        """Whether a blank is put before a text, as SentencePiece does for LLaMA."""
        anchor = _ANCHORS[0]
        return any(self._raw(anchor + text) != self._raw(anchor) + self._raw(text) for text in ("0", "问"))

    def _continued(self, text: str) -> list[int]:
        """Ids of a text as they are behind another: encoded behind an anchor, whose ids are cut off again."""
        for anchor in _ANCHORS:
            known, ids = self._raw(anchor), self._raw(anchor + text)
            if ids[: len(known)] == known:
                return ids[len(known) :]
        return self._raw(text)

    def _marked(self, mark: str) -> int:
        """The id of a control mark; -1 where the tokenizer has none."""
        number = cast("int | None", self.tokenizer.convert_tokens_to_ids(mark))
        return number if number in self.control_ids and self._written({number})[0] == mark else -1

    def _written(self, ids: set[int] | frozenset[int]) -> list[str]:
        return [cast(str, self.tokenizer.convert_ids_to_tokens(number)) for number in ids]


def _cut_open(text: str, marks: Sequence[str]) -> list[str]:
    """The text in pieces, cut after the first character of each mark in it.

    A mark that is not there as written came from characters that the tokenizer holds for the same (full-width forms);
    then the text is cut in half, until what gave the mark is torn.
    """
    places = {hit.start() + 1 for mark in marks for hit in re.finditer(f"(?={re.escape(mark)})", text)} - {len(text)}
    if not places:
        if len(text) < 2:
            raise ModelError(f"分词器把字符 {text!r} 当作控制符，不能作为文本输入。请删去它。")
        places = {len(text) // 2}
    edges = [0, *sorted(places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]
