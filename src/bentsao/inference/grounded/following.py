"""Whether answers follow the knowledge base: values are exchanged in it, and the answers must change with them."""

from __future__ import annotations

from collections.abc import Sequence

from bentsao.core.records import Record
from bentsao.inference.grounded.answering import Answerer
from bentsao.inference.grounded.records import Aim, GroundedAnswer, GroundedQuestion
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.swapping import Swap


class Following(Record):
    """How many of the swaps the answers followed.

    followed: the answer had the old value before, and after the swap has the new one and not the old. said_before: the
    answer had the old value before at all. lagging: the swaps that were not followed.
    """

    swaps: int
    said_before: int
    followed: int
    lagging: tuple[Swap, ...]


def follow_swaps(before: Answerer, after: Answerer, swaps: Sequence[Swap]) -> Following:
    """Ask for each swapped value, of the base as it was and of the copy (`knowledge.swapping.swapped_copy`).

    With the path "oracle" the answerers are told what is asked; with the others they find it out.
    """
    questions = [_question(number, swap, before.policy.path == "oracle") for number, swap in enumerate(swaps)]
    pairs = list(zip(swaps, before.answer(questions), after.answer(questions), strict=True))
    said = [_says(old, swap.old) for swap, old, _ in pairs]
    followed = [
        known and _says(new, swap.new) and not _says(new, swap.old)
        for known, (swap, _, new) in zip(said, pairs, strict=True)
    ]
    return Following(
        swaps=len(swaps),
        said_before=sum(said),
        followed=sum(followed),
        lagging=tuple(swap for swap, good in zip(swaps, followed, strict=True) if not good),
    )


def _question(number: int, swap: Swap, told: bool) -> GroundedQuestion:
    aim = Aim(entities=(swap.entity,), attributes=(swap.attribute,)) if told else None
    return GroundedQuestion(id=str(number), question=f"{swap.entity}的{swap.attribute}有哪些？", aim=aim)


def _says(answer: GroundedAnswer, value: str) -> bool:
    return normalise(value).text in normalise(answer.answer).text
