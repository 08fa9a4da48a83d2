"""Systems against one another: the same items, the right sign, and no more certainty than there is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bentsao.evaluation.gaps import Gap, corrected, gaps
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks.task import Verdict

CHOICE = TASKS["choice"]


def answered(right: Sequence[bool | None], *, learnt: int = -1, groups: int | None = None) -> list[Verdict]:
    """Verdicts of multiple choice by letter; None: it could not be read."""
    return [
        Verdict(
            id=str(place),
            group=str(place % groups) if groups else str(place),
            question="问",
            answer="答",
            tags={"科目": "内科" if place % 2 else "外科"},
            scores={"letter": None if one is None else float(one)},
            contaminated="逐字相同" if place == learnt else "",
        )
        for place, one in enumerate(right)
    ]


def whole(found: Sequence[Gap]) -> Gap:
    (one,) = [one for one in found if one.measure == "letter" and not one.part]
    return one


def test_a_gap_is_the_later_minus_the_earlier_by_mcnemar() -> None:
    found = whole(gaps(CHOICE, {"基座": answered([False] * 8 + [True] * 2), "微调": answered([True] * 10)}))
    assert (found.first, found.second, found.difference.value) == ("微调", "基座", pytest.approx(0.8))
    assert found.p == 2 * 0.5**8
    assert corrected([found])[0].shown


def test_only_items_that_both_have_a_score_for_and_neither_has_learnt() -> None:
    one = answered([True, None, True, True], learnt=3)
    other = answered([False, False, None, False])
    assert whole(gaps(CHOICE, {"甲": one, "乙": other}, coverage=0.3)).difference.n == 1
    assert gaps(CHOICE, {"甲": one, "乙": other}, coverage=0.4) == [], "one of three is too few to say"
    assert gaps(CHOICE, {"甲": answered([None]), "乙": answered([True])}) == []


def test_questions_of_one_group_are_one() -> None:
    found = whole(gaps(CHOICE, {"甲": answered([False] * 12, groups=2), "乙": answered([True] * 12, groups=2)}))
    assert (found.difference.groups, found.p) == (2, 0.5)


def test_every_two_systems_and_every_part() -> None:
    some = {name: answered([True, False] * 6 + [True]) for name in "甲乙丙"}
    found = [one for one in gaps(TASKS["choice"], some) if one.measure == "letter"]
    assert [(one.first, one.second) for one in found] == [("乙", "甲"), ("丙", "甲"), ("丙", "乙")]
    by = TASKS["choice"].headline[0]
    weighed = {
        name: [one.model_copy(update={"scores": {by: 1.0}}) for one in verdicts] for name, verdicts in some.items()
    }
    parts = [one.part for one in gaps(TASKS["choice"], weighed) if one.first == "乙"]
    assert parts == ["", "内科", "外科"]
    few = {name: verdicts[:11] for name, verdicts in weighed.items()}
    assert [one.part for one in gaps(TASKS["choice"], few) if one.first == "乙"] == ["", "外科"], (
        "5 of 内科 can show nothing"
    )


def test_ratios_are_compared_as_ratios() -> None:
    def said(counts: Sequence[tuple[int, int]]) -> list[Verdict]:
        return [
            Verdict(id=str(n), group=str(n), question="问", answer="答", scores={"said": float(a), "values": float(b)})
            for n, (a, b) in enumerate(counts)
        ]

    systems = {"甲": said([(0, 1), (9, 9)]), "乙": said([(1, 1), (0, 9)])}
    (found,) = gaps(TASKS["indications"], systems)
    assert found.difference.value == pytest.approx(0.1 - 0.9), "of 10 values, not the mean of two shares"


def test_many_gaps_are_corrected_and_what_is_not_shown_says_how_many_items_it_would_take() -> None:
    one, other = answered([True] * 7 + [False] * 20), answered([True] + [False] * 26)
    found = [whole(gaps(CHOICE, {"甲": one, "乙": other}))]
    assert found[0].p == pytest.approx(0.03125)
    assert corrected(found)[0].shown
    three = corrected(found * 3)
    assert [one.shown for one in three] == [False] * 3
    assert three[0].p_corrected == pytest.approx(3 * 0.03125)
    assert three[0].needed == pytest.approx((1.96 + 0.8416) ** 2 * (6 / 27 * 21 / 27 * 27 / 26) / (6 / 27) ** 2, abs=1)
    # Those of parts are another family.
    part = found[0].model_copy(update={"tag": "科目", "part": "内科"})
    assert corrected([*found, part, part])[0].p_corrected == pytest.approx(0.03125)
