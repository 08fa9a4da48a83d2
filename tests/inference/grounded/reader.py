"""An engine without a model that reads: it finds names in the question and writes sentences from the prompt's facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bentsao.core.formats import FORMATS, ChatFormat
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, MemoryShortageError
from tests.doubles import CharTokens


@dataclass(frozen=True)
class Line:
    """A fact as it stands in the prompt: `[number] said：values`."""

    number: int
    said: str
    values: tuple[str, ...]


Writer = Callable[[Sequence[Line]], str]


def right(lines: Sequence[Line]) -> str:
    """Every value, each with its mark."""
    return "".join(f"{line.said}是{'、'.join(line.values)}[{line.number}]。" for line in lines)


def without_marks(lines: Sequence[Line]) -> str:
    """Every value and no mark."""
    return re.sub(r"\[\d+\]", "", right(lines))


def then(extra: str) -> Writer:
    """`right`, and then a sentence of its own."""
    return lambda lines: right(lines) + extra


NAMES = ("偏头痛", "偏头疼", "胃溃疡", "布洛芬", "芬必得", "阿尔茨海默病", "特应性皮炎", "AD", "蓝血病", "穿孔")
WORDS = {
    "症状": "临床症状及体征", "检查": "检查", "吃什么药": "药物治疗", "怎么治": "治疗方案", "治愈": "治愈率",
    "怎么吃": "用法用量", "副作用": "不良反应", "并发": "并发症", "挂什么科": "所属科室", "费用": "治疗费用",
}  # fmt: skip
_TURNS = {"entity": "下面的问题问的是", "attribute": "问的是它的哪些方面？", "answer": "资料：\n"}


class Reader:
    """Answers the three turns of grounded answering from their words.

    write: what it makes of the facts. named, asked: what it says the question is about, and which attributes it asks
    for, in place of what it finds there.
    prompts: all that it was given, in order. most: with more prompts than this at once, memory runs out.
    """

    def __init__(
        self,
        write: Writer = right,
        *,
        named: str | None = None,
        asked: str | None = None,
        tokens: CharTokens | None = None,
        chat_format: ChatFormat = FORMATS["plain"],
        context: int = 4000,
        most: int = 1000,
        name: str = "reader",
    ) -> None:
        self.name = name
        self.tokens = tokens or CharTokens()
        self.chat_format = chat_format
        self.context = context
        self.prompts: list[list[int]] = []
        self._write = write
        self._named = named
        self._asked = asked
        self._most = most

    @property
    def texts(self) -> list[str]:
        """The prompts as text."""
        return list(map(self.tokens.decode, self.prompts))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        if len(prompts) > self._most:
            raise MemoryShortageError("内存不足")
        self.prompts += map(list, prompts)
        out: list[Generated] = []
        for prompt in prompts:
            reply = self._reply(self.tokens.decode(prompt))
            said = reply[: decoding.max_new_tokens]
            ids = tuple(self.tokens.encode(said))
            out.append(Generated(ids, said, "end" if said == reply else "length"))
        return out

    def _reply(self, text: str) -> str:
        turn = max(_TURNS, key=lambda name: text.rfind(_TURNS[name]))
        question = text.split("问题：", 1)[1].split("\n", maxsplit=1)[0]
        earlier = re.findall("上文：(.*)", text)
        if turn == "entity":
            found = [name for said in (question, *reversed(earlier)) for name in NAMES if name in said][:1]
            return self._named if self._named is not None else (found or ["无"])[0]
        if turn == "attribute":
            if self._asked is not None:
                return self._asked
            return "｜".join(own for word, own in WORDS.items() if word in question) or "无"
        facts = text[text.rfind(_TURNS["answer"]) :]
        lines = re.findall(r"^\[(\d+)\] (.*?)：(.*)$", facts, re.MULTILINE)
        return self._write([Line(int(number), said, tuple(values.split("；"))) for number, said, values in lines])
