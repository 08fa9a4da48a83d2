"""Whether an export still says what the model said: its prompts and greedy texts against the unmerged original's.

Where two texts part, the original is asked how much likelier its own token was there. Almost as likely: rounding. Much
likelier: the weights differ, and then the text itself tells how. The adapter's strength under which the original would
most likely write it is what was merged: none (the adapter was lost), alpha without r, or as it was tuned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

from peft import PeftModel
from peft.tuners.lora import LoraLayer

from bentsao.core.files import read_json_object
from bentsao.core.records import Message, Record
from bentsao.core.rendering import prompt_ids, stop_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engines.transformers_engine import TransformersEngine
from bentsao.inference.reopening import reopen
from bentsao.models.adapters import load_onto
from bentsao.models.exporting.source import Source
from bentsao.models.loading import Base, load_base

TOLERANCE: dict[str, float] = {
    "hf": 0.02,
    "llama": 0.02,
    "ct2-float32": 0.02,
    "ct2-int8": 1.0,
    "gguf-f16": 0.1,
    "gguf-q8_0": 1.0,
    "gguf-q4_k_m": math.inf,
}
"""By how much (nats) the original may like its own token better where a text parts from it, in each format."""

CLEARLY = 0.5
"""How much less surprising than under the right strength the texts must be under a wrong one to speak for it: rounding
to few bits blurs a model, which alone makes texts look a little as if the adapter were weaker."""

ROUNDED = 0.5
"""The same for exact formats that were written in 16 bits by request, or whose base is in 16 bits."""

QUESTIONS = (
    "感冒了应该怎么办？",
    "高血压患者平时要注意什么？",
    "糖尿病有哪些症状？",
    "小儿发热三天，体温三十八度五，怎么处理？",
    "肺炎需要做哪些检查？",
    "胃溃疡吃什么药？",
    "头痛挂什么科？",
    "乙肝会传染吗？",
    "肝癌早期有什么症状？",
    "冠心病如何预防？",
    "失眠怎么治疗？",
    "痛风患者不能吃什么？",
    "过敏性鼻炎能治好吗？",
    "骨质疏松是什么原因引起的？",
    "阑尾炎手术后多久可以出院？",
    "贫血要做什么检查？",
    "偏头痛和普通头痛有什么区别？",
    "哮喘发作时怎么急救？",
    "甲状腺结节严重吗？",
    "孕妇感冒可以吃药吗？",
)


class Compared(Record):
    """One question. shared: tokens before the texts part; None where they are the same.

    gap: by how much the original likes its own next token better there (nats).
    """

    question: str
    same_prompt: bool
    ours: str
    theirs: str
    shared: int | None
    tokens: int
    gap: float


class Parity(Record):
    """The gate's verdict. cause: why the texts part, in words; empty where they do not."""

    format: str
    rows: tuple[Compared, ...]
    tolerance: float | None
    cause: str
    passed: bool

    @property
    def same_texts(self) -> int:
        """Questions that are answered with the same text."""
        return sum(row.shared is None for row in self.rows)

    @property
    def same_prompts(self) -> int:
        """Questions whose prompt tokens are the same."""
        return sum(row.same_prompt for row in self.rows)

    @property
    def agreement(self) -> float:
        """The mean share of the original's tokens before the texts part."""
        return mean(1.0 if row.shared is None else row.shared / max(1, row.tokens) for row in self.rows)


def check_parity(
    form: str, folder: Path, source: Source, *, questions: Sequence[str], tokens: int, report: Callable[[str], None]
) -> Parity:
    """Open the export in `folder` and compare. tokens: the most of an answer; report: told of what takes long.

    Both models are in memory together, the original in float32. Raises ModelError where the export cannot be opened.
    """
    asked = [[Message(role="user", content=question)] for question in questions]
    prompts = [prompt_ids(messages, source.chat_format, source.tokens) for messages in asked]
    report(f"正在核对：{len(asked)} 个问题，先由原模型回答……")
    base = _original(source)
    reference = TransformersEngine(base, source.chat_format)
    ours = [list(answer.ids) for answer in reference.generate(prompts, Decoding(max_new_tokens=tokens))]
    report("再由导出的模型回答……")
    context = max(map(len, prompts)) + tokens + 8
    opened = reopen(form, folder, source, context)
    same = [opened.prompt(messages) == prompt for messages, prompt in zip(asked, prompts, strict=True)]
    stops = stop_ids(source.chat_format, source.tokens)
    theirs = [_until(ids, stops) for ids in opened.greedy(prompts, tokens)]
    gaps = [
        _gap(reference, prompt, own, other, source.tokens.end_id)
        for prompt, own, other in zip(prompts, ours, theirs, strict=True)
    ]
    rows = tuple(
        Compared(
            question=question,
            same_prompt=equal,
            ours=source.tokens.decode(own),
            theirs=source.tokens.decode(other),
            shared=None if own == other else _shared(own, other),
            tokens=len(own),
            gap=gap,
        )
        for question, equal, own, other, gap in zip(questions, same, ours, theirs, gaps, strict=True)
    )
    tolerance = _tolerance(form, folder)
    cause, lost = _cause(rows, tolerance, lambda: _merged_as(base, reference, prompts, theirs))
    passed = all(same) and not lost and all(row.gap <= tolerance for row in rows)
    shown = None if math.isinf(tolerance) else tolerance
    return Parity(format=form, rows=rows, tolerance=shown, cause=cause, passed=passed)


def _original(source: Source) -> Base:
    how: Any = {"device": "cpu", "dtype": "float32"}
    if source.info is None:
        return load_base(source.located, **how)
    return load_onto(source.located, source.info, **how)


def _tolerance(form: str, folder: Path) -> float:
    account = read_json_object(folder / "config.json") if form == "hf" else {}
    half = str(account.get("dtype", account.get("torch_dtype"))) in ("bfloat16", "float16")
    return ROUNDED if half else TOLERANCE[form]


def _until(ids: Sequence[int], stops: frozenset[int]) -> list[int]:
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    return list(ids[:end])


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _gap(
    reference: TransformersEngine, prompt: Sequence[int], ours: Sequence[int], theirs: Sequence[int], end: int
) -> float:
    """How much likelier the original's own token was where the texts part; 0 where they do not."""
    if list(ours) == list(theirs):
        return 0.0
    place = _shared(ours, theirs)
    token = theirs[place] if place < len(theirs) else end
    weight = reference.weigh([[*prompt, *ours[:place]]], [[[token]]])[0][0]
    return max(0.0, weight.best[0][1] - weight.each[0])


def _cause(rows: Sequence[Compared], tolerance: float, merged_as: Callable[[], str | None]) -> tuple[str, bool]:
    """In words, why the texts part; and whether the adapter was lost or merged with another strength."""
    found: list[str] = []
    wrong = sum(not row.same_prompt for row in rows)
    if wrong:
        found.append(f"{wrong} 个问题的提示 token 不同：对话模板或分词器没有原样带过去")
    parted = [row for row in rows if row.shared is not None]
    if not parted:
        return "；".join(found), False
    lost = merged_as()
    if lost is not None:
        found.append(lost)
        return "；".join(found), True
    worst = max(row.gap for row in parted)
    if worst <= tolerance:
        told = f"分开处原模型偏向自己的词至多 {worst:.3f} nat，是这种精度会有的"
        found.append(f"{len(parted)} 段文字从某处起不同，{told}")
    else:
        found.append(f"分开处原模型明显偏向自己的词（相差 {worst:.2f} nat）：权重不同，不只是精度")
    return "；".join(found), False


def _merged_as(
    base: Base, reference: TransformersEngine, prompts: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]
) -> str | None:
    """With which strength the adapter must have been merged for these texts to be likeliest; None: as it was tuned."""
    if not isinstance(base.model, PeftModel):
        return None
    config: Any = base.model.active_peft_config
    layers = [module for module in base.model.modules() if isinstance(module, LoraLayer)]
    size = next((value for layer in layers for value in layer.scaling.values()), 1.0)
    root = math.sqrt(config.r)
    strengths: dict[str, float] = {
        "": 1.0,
        "导出的文字更像没有适配器的基座写的：适配器没有合并进去": 0.0,
        "导出的文字更像丢了 alpha/r 的适配器写的：合并时的系数不对": 1.0 / size,
        "导出的文字更像 alpha/r 与 alpha/√r（rsLoRA）弄混的适配器写的": 1 / root if config.use_rslora else root,
    }
    regret: dict[str, float] = {}
    rows = [(p, t) for p, t in zip(prompts, theirs, strict=True) if t]
    for cause, strength in strengths.items():
        if cause and strength == 1.0:
            continue
        with _strength(base.model, strength):
            weights = [row[0] for row in reference.weigh([p for p, _ in rows], [[t] for _, t in rows])]
        regret[cause] = sum(best - own for w in weights for own, (_, best) in zip(w.each, w.best, strict=True))
    least = min(regret, key=lambda cause: regret[cause])
    return least if regret[least] < CLEARLY * regret[""] else None


@contextmanager
def _strength(model: PeftModel, factor: float) -> Generator[None]:
    """The adapter with its scaling multiplied for a while."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scaling.update({name: value * factor for name, value in layer.scaling.items()})
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.scaling.update(own)
