"""Preferences → figures: wins, ties and what the place decided, whether the judge leans to a place, and ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from bentsao.core.records import Record
from bentsao.evaluation.answers import Answers
from bentsao.evaluation.judging.pairing import Compared
from bentsao.evaluation.judging.score_figures import COVERAGE, needed
from bentsao.evaluation.statistics import Figure, share, wilson
from bentsao.evaluation.statistics_paired import LEVEL, Difference, difference, holm, mcnemar
from bentsao.evaluation.statistics_ranking import Match, Strength, bradley_terry

VERDICTS = ("first", "second", "tie", "position")


class Preferences(Record):
    """How two systems did against each other. Only wins in both orders count.

    rates: share of the first's wins (`first`), the second's, ties, and verdicts that changed with the place
    (`position`); empty below the least coverage. net: wins − losses, a question each, with its test.
    """

    first: str
    second: str
    items: int
    coverage: float
    unscored: dict[str, int]
    counts: dict[str, int]
    rates: dict[str, Figure]
    net: Difference | None = None
    p_corrected: float | None = None
    needed: int | None = None


class Place(Record):
    """Whether the judge goes by the place. chosen_first: of the calls that named one, how many named the first.

    leans_first, leans_second: questions on which the two orders together favour that place; p: of a judge without
    leaning being so uneven. biased: what is to be said of it; '' where nothing is.
    """

    chosen_first: Figure
    leans_first: int
    leans_second: int
    p: float
    biased: str


class Ranking(Record):
    """All pairs together. strengths: empty where a pair has too little coverage."""

    pairs: list[Preferences]
    strengths: list[Strength]
    place: Place


def pair_figures(compared: Sequence[Compared], found: Answers, *, least: float = COVERAGE, seed: int = 0) -> Ranking:
    """Preferences of every two systems, and the strengths of all."""
    groups = {item.id: item.group for item in found.items}
    pairs: list[Preferences] = []
    matches: list[Match] = []
    for one, other in combinations([system.name for system in found.systems], 2):
        some = [pair for pair in compared if (pair.first, pair.second) == (one, other)]
        pairs.append(_preferences(one, other, some, groups, least=least, seed=seed))
        winners = {"first": one, "second": other}
        matches += [
            Match(first=one, second=other, winner=winners.get(pair.verdict, ""), group=groups[pair.id])
            for pair in some
            if pair.verdict is not None
        ]
    corrected = holm([one.net.p if one.net else None for one in pairs])
    pairs = [one.model_copy(update={"p_corrected": p}) for one, p in zip(pairs, corrected, strict=True)]
    complete = all(one.rates for one in pairs)
    return Ranking(pairs=pairs, strengths=bradley_terry(matches, seed=seed) if complete else [], place=place(compared))


def _preferences(
    one: str, other: str, some: Sequence[Compared], groups: dict[str, str], *, least: float, seed: int
) -> Preferences:
    scored = [pair for pair in some if pair.verdict is not None]
    counts = Counter(str(pair.verdict) for pair in scored)
    out = Preferences(
        first=one,
        second=other,
        items=len(some),
        coverage=len(scored) / len(some) if some else 0.0,
        unscored=dict(Counter(pair.unscored for pair in some if pair.verdict is None)),
        counts={name: counts[name] for name in VERDICTS},
        rates={},
    )
    if out.coverage < least or not scored:
        return out
    used = [groups[pair.id] for pair in scored]
    won, lost = ([float(pair.verdict == name) for pair in scored] for name in ("first", "second"))
    net = difference(won, lost, used, seed=seed)
    rates = {name: share([pair.verdict == name for pair in scored], used, seed=seed) for name in VERDICTS}
    return out.model_copy(update={"rates": rates, "net": net, "needed": needed(net)})


def place(compared: Sequence[Compared]) -> Place:
    """Whether the judge goes by the place: a judge that does not favours each as often where its orders disagree."""
    chosen = [one for pair in compared for one in pair.chosen if one != "tie"]
    figure = Figure(n=0)
    if chosen:
        low, high = wilson(chosen.count("A"), len(chosen))
        figure = Figure(n=len(chosen), value=chosen.count("A") / len(chosen), low=low, high=high)
    leaning = [gap for pair in compared if (gap := pair.chosen.count("A") - pair.chosen.count("B"))]
    p = mcnemar([gap > 0 for gap in leaning], [gap < 0 for gap in leaning]).p
    first = sum(gap > 0 for gap in leaning)
    biased = ""
    if p < LEVEL:
        side = "先" if first > len(leaning) / 2 else "后"
        biased = (
            f"这个裁判偏向{side}出现的回答：两种顺序合起来，{len(leaning)} 处随位置而变的判断里 "
            f"{max(first, len(leaning) - first)} 处偏向它（p = {p:.2g}）。胜负只计两种顺序一致的。"
        )
    return Place(chosen_first=figure, leans_first=first, leans_second=len(leaning) - first, p=p, biased=biased)
