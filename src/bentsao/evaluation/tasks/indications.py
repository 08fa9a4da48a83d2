"""Drug indications: which of the indications that a knowledge base has of a drug the answer says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentsao.construction.grammar import load_grammar
from bentsao.construction.subjects import gather, values_of
from bentsao.core.errors import ConfigError
from bentsao.core.grounding import without_marks
from bentsao.core.records import Message
from bentsao.evaluation.tasks.task import (
    Item,
    Measure,
    Response,
    Source,
    Task,
    Verdict,
    each,
    failed,
    limited,
    needed_kb,
    verdict,
)
from bentsao.knowledge.normalise import normalise

ATTRIBUTE = "适应症"

LONGEST = 10
"""Characters of a value at most: longer ones are sentences, which an answer may say in other words."""


@dataclass(frozen=True)
class Drug:
    """A drug as it may be called, and its indications."""

    names: tuple[str, ...]
    values: tuple[str, ...]


def load(source: Source) -> list[Item[Drug]]:
    """A question for each drug of the knowledge base whose indications are names."""
    if source.files:
        raise ConfigError("任务 indications 的题目由知识库写成，不读 --data。请用 --kb 给出知识库。")
    kb = needed_kb(source, "indications")
    items: list[Item[Drug]] = []
    for subject in gather(kb, load_grammar(), kinds=["drug"]).subjects:
        values = tuple(value for value in values_of(subject.facts.get(ATTRIBUTE, ())) if len(value) <= LONGEST)
        if values and not source.learnt(subject.name):
            asked = Message(role="user", content=f"{subject.name}可以用来治疗哪些疾病或症状？")
            names = tuple(dict.fromkeys((subject.name, *subject.names)))
            items.append(Item(subject.name, subject.name, (asked,), Drug(names, values)))
    if not items:
        raise ConfigError("知识库里没有写明适应症、又没有在训练数据里出现过的药物。请换一个知识库。")
    return limited(items, source)


def _one(item: Item[Drug], response: Response) -> Verdict:
    values = item.key.values
    if broken := failed(item, response):
        return broken.model_copy(update={"expected": "；".join(values)})
    text = _bare(without_marks(response.answer.text))
    for name in sorted(item.key.names, key=len, reverse=True):
        # 感冒灵颗粒 says 感冒 of itself.
        text = text.replace(_bare(name), "　")
    said = [value for value in values if _bare(value) in text]
    scores: dict[str, float | None] = {
        "said": float(len(said)),
        "values": float(len(values)),
        "any": float(bool(said)),
        "all": float(len(said) == len(values)),
    }
    return verdict(item, response).model_copy(
        update={
            "expected": "；".join(values),
            "said": "；".join(said) or "一个也没有说出",
            "right": bool(said),
            "scores": scores,
        }
    )


def _bare(text: str) -> str:
    return re.sub(r"[\s，。；、,.;：:]", "", normalise(text).text)


TASK: Task[Drug] = Task(
    name="indications",
    title="药物适应症",
    about="知识库写明的适应症，回答里说出了多少。说错的不在此计，见任务 knowledge。",
    load=load,
    judge=each(_one),
    measures={
        "recall": Measure(
            "适应症召回率", "said", "values", about="说出的适应症 / 知识库里的适应症，按药物重抽样；药名里的字不算"
        ),
        "any": Measure("说对至少一个", "any"),
        "all": Measure("全部说出", "all"),
    },
    headline=("recall",),
    data="kb",
    tokens=128,
    grounded=True,
)  # fmt: skip
