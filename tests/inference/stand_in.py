"""An engine without a model: what it answers follows from the prompt and the decoding, and it keeps count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bentsao.core.formats import FORMATS, ChatFormat
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, MemoryShortageError
from tests.doubles import CharTokens


class StandInEngine:
    """Answers with the last line but one of the prompt backwards, at most `max_new_tokens` characters of it.

    asked: how often each prompt was. batches: the prompts' lengths, a list for each call.
    most: with more prompts than this at once, memory runs out. dies_after: after so many batches comes Ctrl-C.
    """

    def __init__(
        self,
        *,
        name: str = "stand-in",
        chat_format: ChatFormat = FORMATS["plain"],
        context: int = 200,
        most: int = 1000,
        dies_after: int | None = None,
    ) -> None:
        self.name = name
        self.tokens = CharTokens()
        self.chat_format = chat_format
        self.context = context
        self.asked: Counter[str] = Counter()
        self.batches: list[list[int]] = []
        self._most = most
        self._dies_after = dies_after

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        if self._dies_after is not None and len(self.batches) >= self._dies_after:
            raise KeyboardInterrupt
        if len(prompts) > self._most:
            raise MemoryShortageError("内存不足")
        self.batches.append([len(prompt) for prompt in prompts])
        out: list[Generated] = []
        for row, prompt in enumerate(prompts):
            text = self.tokens.decode(prompt)
            self.asked[text] += 1
            reply = " " + text.split("\n")[-2].removeprefix("问：")[::-1]
            said = reply[: decoding.max_new_tokens]
            if on_text:
                for character in said:
                    on_text(row, character)
            ids = tuple(self.tokens.encode(said))
            out.append(Generated(ids, said, "length" if len(said) < len(reply) else "end"))
        return out
