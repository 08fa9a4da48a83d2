"""How an answer is drawn from the model's probabilities. Every field has an effect in every engine, or is refused."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from bentsao.core.errors import ConfigError
from bentsao.core.records import Record


class Decoding(Record):
    """The decoding settings of a run; the descriptions are the command line's help.

    Repetition is counted within the answer only: the name of the disease that was asked about may always be said.
    Raises ConfigError with everything that is wrong at once.
    """

    max_new_tokens: int = Field(default=256, description="一个回答最多生成多少个 token")
    temperature: float = Field(default=0.0, description="采样温度；0 为贪心，每步取概率最大的 token")
    top_p: float = Field(default=1.0, description="只在累计概率达到此值的 token 里采样；1 为不限")
    top_k: int = Field(default=0, description="只在概率最大的这么多个 token 里采样；0 为不限")
    beams: int = Field(default=1, description="束搜索的束数；1 为不用")
    repetition_penalty: float = Field(default=1.0, description="对回答中已出现的 token 的惩罚；1 为不惩罚")
    no_repeat_ngram: int = Field(default=0, description="回答中不重复出现这么多个 token 的片段；0 为不限")
    seed: int = Field(default=0, description="采样的随机种子")

    @model_validator(mode="after")
    def _check(self) -> Decoding:
        rules: list[tuple[str, bool, str]] = [
            ("max_new_tokens", self.max_new_tokens >= 1, "应不小于 1。"),
            (
                "temperature",
                self.temperature == 0 or 0.01 <= self.temperature < math.inf,
                "应为 0（贪心）或不小于 0.01。",
            ),
            ("top_p", 0 < self.top_p <= 1, "应大于 0、不大于 1（1 为不限）。"),
            ("top_k", self.top_k >= 0, "应不小于 0（0 为不限）。"),
            ("beams", self.beams >= 1, "应不小于 1（1 为不用束搜索）。"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "应大于 0（1 为不惩罚）。"),
            ("no_repeat_ngram", self.no_repeat_ngram >= 0, "应不小于 0（0 为不限）。"),
            ("seed", 0 <= self.seed < 1 << 63, "应不小于 0、小于 2 的 63 次方。"),
        ]
        wrong = [f"  {name} = {getattr(self, name)!r}  {rule}" for name, holds, rule in rules if not holds]
        if self.temperature == 0:
            unused: dict[str, Any] = {"top_p": 1, "top_k": 0}
            wrong += [
                f"  {name} = {getattr(self, name)!r}  在 temperature = 0（贪心）时不起作用。请同时给出 temperature。"
                for name, off in unused.items()
                if getattr(self, name) != off
            ]
        if wrong:
            raise ConfigError("\n".join(["解码参数有误：", *wrong]))
        return self
