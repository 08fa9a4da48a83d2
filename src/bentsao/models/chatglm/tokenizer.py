"""ChatGLM-6B's tokenizer: SentencePiece (`ice_text.model`), with line breaks and runs of blanks as pieces of their own.

Ids are the piece's number, behind those of 20,000 pictures in the first release (150,528 words), without in the later
one (130,528 words).
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, cast

from sentencepiece import SentencePieceProcessor
from transformers.tokenization_python import PreTrainedTokenizer

FILE = "ice_text.model"

MARKS = ("[MASK]", "[gMASK]", "[sMASK]", "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>")
"""The pieces that structure a text, one behind the other in the model; [gMASK] and <sop> end a prompt."""

PICTURES = 20_000
"""Where tokenizer_config.json does not say how many: that of the first release did not."""

_LONGEST = 80
"""The longest run of blanks that has a piece."""

_WRITTEN = {f"<|blank_{length}|>": " " * length for length in range(2, _LONGEST + 1)} | {"<n>": "\n", "<|tab|>": "\t"}
"""What the pieces for white space stand for."""

_INSIDE = re.compile(r"(?<=<)(?=(?:n|\|tab\||\|blank_\d+\|)>)")
"""Where such a piece's name in a text is cut, so that who writes it does not break a line."""


class ChatGLMTokenizer(PreTrainedTokenizer):
    """See the module. Raises ValueError for a model file without the marks, as the very first one was."""

    vocab_files_names = {"vocab_file": FILE}  # noqa: RUF012
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012

    def __init__(self, vocab_file: str, num_image_tokens: int = PICTURES, **more: Any) -> None:
        self.vocab_file = vocab_file
        self.num_image_tokens = num_image_tokens
        self._pieces = cast(Any, SentencePieceProcessor)(model_file=vocab_file)
        missing = [mark for mark in MARKS[:6] if self._pieces.piece_to_id(mark) == self._pieces.unk_id()]
        if missing:
            raise ValueError(f"{FILE} 里没有 {'、'.join(missing)}（最早一次发布的，要 icetk）。请换后来发布的文件")
        # By name and not by what tokenizer_config.json says, which was wrong in some releases.
        named = {"bos_token": "<sop>", "eos_token": "<eop>", "unk_token": "<unk>", "pad_token": "<pad>"}
        named |= {"mask_token": "[MASK]"}
        own = [mark for mark in (*MARKS, "<s>", "</s>") if mark not in named.values()]
        extra = [mark for mark in own if self._pieces.piece_to_id(mark) != self._pieces.unk_id()]
        dropped = (*named, "extra_special_tokens", "additional_special_tokens", "auto_map", "end_token", "gmask_token")
        more = {name: value for name, value in more.items() if name not in dropped}
        if self._pieces.piece_to_id("<pad>") == self._pieces.unk_id():
            del named["pad_token"]
        super().__init__(num_image_tokens=num_image_tokens, **named, additional_special_tokens=extra, **more)

    @property
    def vocab_size(self) -> int:
        """All ids, those of pictures too."""
        return self.num_image_tokens + self._pieces.get_piece_size()

    @property
    def prompt_end_ids(self) -> tuple[int, ...]:
        """What ends a prompt: [gMASK] <sop>."""
        return tuple(cast("list[int]", self.convert_tokens_to_ids(["[gMASK]", "<sop>"])))

    def get_vocab(self) -> dict[str, int]:
        """Ids by piece."""
        return {self._convert_id_to_token(number): number for number in range(self.vocab_size)}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        first, *others = _INSIDE.split(text)
        out = self._spelt(first)
        for part in others:
            out += self._spelt("\n" + part)[2:]  # without the blank that SentencePiece puts first, and the line break
        return out

    def _spelt(self, text: str) -> list[str]:
        text = text.replace("\n", "<n>").replace("\t", "<|tab|>")
        text = re.sub(rf" {{2,{_LONGEST}}}", lambda run: f"<|blank_{len(run[0])}|>", text)
        return self._pieces.encode(text, out_type=str)

    def _convert_token_to_id(self, token: str) -> int:
        return self._pieces.piece_to_id(token) + self.num_image_tokens

    def _convert_id_to_token(self, index: int) -> str:
        number = index - self.num_image_tokens
        return f"<image_{index}>" if number < 0 else self._pieces.id_to_piece(number)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of pieces; pictures have none."""
        words = [token for token in tokens if not token.startswith("<image_")]
        return self._pieces.decode_pieces([_WRITTEN.get(token, token) for token in words])

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """A prompt, and the answer to it if there is one."""
        prompt = [*token_ids_0, *self.prompt_end_ids]
        return prompt if token_ids_1 is None else [*prompt, *token_ids_1, cast(int, self.eos_token_id)]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Copy the model file; the path of the copy."""
        path = Path(save_directory) / (f"{filename_prefix}-{FILE}" if filename_prefix else FILE)
        if path.resolve() != Path(self.vocab_file).resolve():
            shutil.copyfile(self.vocab_file, path)
        return (str(path),)
