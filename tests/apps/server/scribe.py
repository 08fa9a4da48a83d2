"""An engine without a model that writes at a pace one can watch, and stops when it is told to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from bentsao.core.errors import ModelError
from bentsao.core.formats import FORMATS
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, MemoryShortageError, Weight
from tests.doubles import END_ID, CharTokens


class Scribe:
    """Writes `said` after every prompt, a character a step; sampled, its digits are drawn from the seed.

    pause: seconds a step. most: with more prompts at once, memory runs out. batches: the prompts of each call, as text.
    written: characters that all calls have written. breaks: fails as no engine should.
    """

    def __init__(self, said: str, *, pause: float = 0.0, most: int = 1000, context: int = 600) -> None:
        self.name = "scribe"
        self.tokens = CharTokens()
        self.chat_format = FORMATS["plain"]
        self.context = context
        self.said = said
        self.pause = pause
        self.batches: list[list[str]] = []
        self.prompts: list[list[int]] = []
        self.written = 0
        self.breaks = False
        self._most = most

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        if self.breaks:
            raise ZeroDivisionError("病人的话")
        if len(prompts) > self._most:
            raise MemoryShortageError("内存不足")
        self.batches.append([self.tokens.decode(prompt) for prompt in prompts])
        self.prompts += map(list, prompts)
        texts = [""] * len(prompts)
        on = set(range(len(prompts)))
        wholes = [self.said] * len(prompts)
        if decoding.temperature > 0:  # the rows of a batch draw from one source
            wholes = [f"{100000 + (decoding.seed * 7919 + row) % 100003}" for row in range(len(prompts))]
        for step in range(min(decoding.max_new_tokens, len(wholes[0]))):
            time.sleep(self.pause)
            for row in sorted(on):
                texts[row] += wholes[row][step]
                self.written += 1
                if on_text:
                    on_text(row, wholes[row][step])
            on -= {row for row in on if called_off and called_off(row)}
            if not on:
                break
        return [
            Generated(tuple(self.tokens.encode(text)), text, "end" if text == whole else "length")
            for text, whole in zip(texts, wholes, strict=True)
        ]

    def weigh(
        self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[Weight]]:
        """A model that thinks each character is followed by itself (1/2), and everything else equally unlikely."""
        out: list[list[Weight]] = []
        for prompt, options in zip(prompts, continuations, strict=True):
            if len(prompt) + max(map(len, options)) > self.context:
                raise ModelError("太长")
            out.append([self._weight([*prompt, *option], len(option)) for option in options])
        return out

    def _weight(self, ids: list[int], count: int) -> Weight:
        pairs = list(zip(ids[-count - 1 : -1], ids[-count:], strict=True)) if count else []
        each = tuple(math.log(0.5) if now == before else math.log(0.001) for before, now in pairs)
        best = tuple((before, math.log(0.5)) for before, _ in pairs)
        return Weight(sum(each), all(now == before for before, now in pairs), count, each, best)


ENDS = END_ID
"""The id that no text may become."""
