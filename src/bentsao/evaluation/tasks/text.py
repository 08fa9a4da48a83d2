"""What can be said of any answer without knowing medicine: shared by the tasks whose answers are free text."""

from __future__ import annotations

import math
from typing import Any

from bentsao.core.repetition import loops
from bentsao.evaluation.metrics import bleu, chrf, distinct, echo, ngrams, rouge_l
from bentsao.evaluation.tasks.task import Item, Measure, Response

ECHO = 0.9
"""From this share of its bigrams on that stand in the question, an answer only says the question again."""

FORM: dict[str, Measure] = {
    "ended": Measure("自己说完", "ended", about="以结束符结束的回答的比例；空回答不算说完"),
    "repeats": Measure("一段话重复", "repeats", better="low", about="有 12 个字的片段出现三次以上的回答的比例"),
    "empty": Measure("空回答", "empty", better="low", about="一个字也没有的回答的比例"),
    "echoes": Measure(
        "照抄问题", "echoes", better="low", about=f"二元组有 {ECHO:.0%} 以上出自问题本身的回答的比例"
    ),
    "length": Measure("字数", "length", kind="number", better="", about="每个回答的字数（不计空白）"),
    "distinct_1": Measure(
        "distinct-1", whole=lambda texts: distinct(texts, 1), about="全部回答里不同的字的比例（Li 等 2016）"
    ),
    "distinct_2": Measure(
        "distinct-2", whole=lambda texts: distinct(texts, 2), about="全部回答里不同的二元组的比例（Li 等 2016）"
    ),
}  # fmt: skip

NEARNESS: dict[str, Measure] = {
    "bleu": Measure("BLEU（字）", "bleu", about="逐句 BLEU-4 的平均，以字为单位（sacrebleu：tokenize=char，平滑 exp）"),
    "rouge_l": Measure("ROUGE-L（字）", "rouge_l", about="最长公共子序列的 F1，以字为单位（Lin 2004）"),
    "chrf": Measure("chrF（字）", "chrf", about="字 n 元组（1–6）的 F 值，β = 2（Popović 2015；sacrebleu）"),
}

REFERENCE: dict[str, Measure] = {
    "perplexity": Measure(
        "参考回答的困惑度", "nll", "tokens", kind="number", better="low", exp=True,
        about="exp(参考回答的负对数似然之和 / token 数)；分词器不同的模型不能比较",
    ),
    "bits": Measure(
        "参考回答每字比特", "bits", "characters", kind="number", better="low",
        about="参考回答的负对数似然（以 2 为底）/ 字数；可以在分词器不同的模型之间比较",
    ),
}  # fmt: skip


def form_scores(item: Item[Any], response: Response) -> dict[str, float | None]:
    """The scores of FORM."""
    answer = response.answer
    length = len(ngrams(answer.text, 1))
    scores: dict[str, float | None] = {
        "ended": float(answer.finish == "end" and length > 0),
        "empty": float(length == 0),
        "length": float(length),
        "echoes": float(echo(answer.text, " ".join((*item.history, item.shown))) >= ECHO),
    }
    if length:
        scores["repeats"] = float(loops(answer.text))
    return scores


def nearness_scores(item: Item[Any], answer: str) -> dict[str, float | None]:
    """The scores of NEARNESS; none without a reference.

    References often say the question's words again. To say them is no answer: the question, word by word, is taken out
    of the answer first, and an answer that only echoes it has 0.
    """
    reference = item.reference
    if not reference:
        return {}
    said = answer
    for asked in (*item.history, item.shown):
        said = _besides(said, asked)
    return {"bleu": bleu(said, reference), "rouge_l": rouge_l(said, reference), "chrf": chrf(said, reference)}


def _besides(answer: str, question: str) -> str:
    """What an answer says besides the question. Few of its words alone (右边, to 左边还是右边？) can be an answer."""
    words = question.strip().rstrip("？?。.！!")
    if echo(answer, question) >= ECHO and 2 * len(answer.strip()) > len(words):
        return ""
    return answer.replace(words, "")


def reference_scores(item: Item[Any], response: Response) -> dict[str, float | None]:
    """The scores of REFERENCE, for items whose first weighed continuation is the reference."""
    if response.unweighed:
        return {"nll": None, "bits": None}
    if not response.weights or not item.reference:
        return {}
    weight = response.weights[0]
    return {
        "nll": -weight.logprob,
        "tokens": float(weight.tokens),
        "bits": -weight.logprob / math.log(2),
        "characters": float(len(item.reference)),
    }
