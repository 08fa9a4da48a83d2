"""Continuations to be weighed, by what the model must read for them: several of one prompt share one reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bentsao.core.errors import ModelError
from bentsao.inference.engine import check_prompts

Ids = Sequence[int]


@dataclass(frozen=True)
class Context:
    """What the model reads (`ids`: the prompt and all but the continuation's last token), and what is weighed there.

    start: the position whose logits foretell the first token of every continuation here. places: (prompt, which of
    its continuations) of each.
    """

    ids: tuple[int, ...]
    start: int
    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


def contexts_of(
    prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], words: int, context: int
) -> list[Context]:
    """The contexts, shortest first; empty continuations need none. words: rows of the vocabulary.

    Raises ModelError where one exceeds the context (in tokens), or an id has no row.
    """
    found: dict[tuple[tuple[int, ...], int], Context] = {}
    for row, (prompt, options) in enumerate(zip(prompts, continuations, strict=True)):
        if not prompt:
            raise ModelError("提示是空的，没有位置可以给出第一个 token 的概率。请换一个对话格式。")
        for place, option in enumerate(options):
            if not option:
                continue
            ids = (*prompt, *option[:-1])
            check_prompts([ids, [option[-1]]], words, context)
            key = (ids, len(prompt))
            found.setdefault(key, Context(ids, len(prompt) - 1)).places.append((row, place))
    return sorted(found.values(), key=lambda one: len(one.ids))
