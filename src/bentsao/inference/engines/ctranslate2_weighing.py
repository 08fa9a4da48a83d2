"""Weights of continuations with CTranslate2.

A continuation of one token (the letter of an option) takes one step of generation, whose logits come for all options
of a prompt at once. Longer ones take a pass over the whole row, with logits at every position, a row at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bentsao.core.errors import ModelError
from bentsao.inference.contexts import Context, Ids, contexts_of
from bentsao.inference.engine import MemoryShortageError, Weight
from bentsao.models.converting import Converted
from bentsao.models.machine import memory


def weigh(
    model: Any, account: Converted, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]]
) -> list[list[Weight]]:
    """See `engine.Scorer.weigh`. model: a `ctranslate2.Generator`."""
    found = [[Weight(0.0, True, 0) for _ in options] for options in continuations]
    for one in contexts_of(prompts, continuations, account.vocabulary, account.context):
        longest = max(len(continuations[row][place]) for row, place in one.places)
        if longest == 1:
            logits = _next(model, one.ids, account.window)[None]
        else:
            logits = _everywhere(model, one, account)[one.start : one.start + longest]
        for row, place in one.places:
            option = continuations[row][place]
            found[row][place] = _weight(logits[: len(option)], option)
    return found


def _next(model: Any, ids: Ids, window: int | None) -> NDArray[np.float32]:
    """The logits after these ids, [words]."""
    rows = [[str(number) for number in ids]]
    if window and len(ids) > window:
        rows.append(rows[0][:window])  # only its length is then read at once: see `CTranslate2Engine._continue`
    first = model.generate_batch(rows, max_length=1, include_prompt_in_result=False, return_logits_vocab=True)[0]
    # One entry a step: those that read the rest of the prompt come before the one that generates.
    return np.asarray(first.logits[0][-1], dtype=np.float32)


def _everywhere(model: Any, one: Context, account: Converted) -> NDArray[np.float32]:
    """The logits after each of the context's ids, [length, words]."""
    if account.window and len(one.ids) > account.window:
        raise ModelError(
            f"题目与参考回答共 {len(one.ids)} 个 token，超过了模型的滑动窗口（{account.window}）；ctranslate2 引擎"
            "这时不能给出多个 token 的概率。请用 --engine transformers。"
        )
    needed = 2 * 4 * len(one.ids) * account.vocabulary
    if needed > memory(torch.device("cpu"))[0]:
        raise MemoryShortageError(f"内存不足：{len(one.ids)} 个 token 的概率放不下。请用 --engine transformers。")
    import ctranslate2  # not every machine has it

    # By number: as text the ids would be looked up in a vocabulary.
    row = ctranslate2.StorageView.from_array(np.array([list(one.ids)], dtype=np.int32))
    lengths = ctranslate2.StorageView.from_array(np.array([len(one.ids)], dtype=np.int32))
    return np.array(model.forward_batch(row, lengths), dtype=np.float32)[0]


def _weight(logits: NDArray[np.float32], option: Ids) -> Weight:
    """logits: [tokens, words], each row foretelling the next token of the option."""
    wanted = np.asarray(option)
    peak = logits.max(axis=1)
    total = peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1, dtype=np.float64))
    logs = logits[np.arange(len(wanted)), wanted] - total
    best = logits.argmax(axis=1)
    return Weight(
        float(logs.sum()),
        bool((best == wanted).all()),
        len(option),
        tuple(logs.tolist()),
        tuple(zip(best.tolist(), (peak - total).tolist(), strict=True)),
    )
