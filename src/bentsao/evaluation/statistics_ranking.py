"""Ranking several systems by pairwise preference: Bradley-Terry strengths with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bentsao.core.records import Record
from bentsao.evaluation.statistics import RESAMPLES

PRIOR = 0.5
"""Wins that each system starts with against each other: who never won has a finite strength."""
STEPS, CLOSE, RIDGE = 50, 1e-8, 1e-9


class Match(Record):
    """What came of one comparison. winner: `first`, `second`, or "" for a tie; group: what hangs together."""

    first: str
    second: str
    winner: str
    group: str


class Strength(Record):
    """A system's strength: ln of its odds, centred at 0 over all systems; 95 % interval and the rank (1: strongest).

    `best`: share of the resamples in which it came first.
    """

    system: str
    value: float
    low: float
    high: float
    rank: int
    best: float


def bradley_terry(matches: Sequence[Match], *, seed: int = 0) -> list[Strength]:
    """Strengths such that P(a beats b) = 1 / (1 + e^(b − a)) (Bradley and Terry 1952), strongest first.

    A tie is half a win for each. The interval is the percentile bootstrap's over groups, 10,000 times. Without
    PRIOR it were the maximum likelihood, which exists only if in every division of the systems both sides have won.
    """
    systems = list(dict.fromkeys(name for match in matches for name in (match.first, match.second)))
    if len(systems) < 2:
        return []
    place = {name: number for number, name in enumerate(systems)}
    groups = {name: number for number, name in enumerate(dict.fromkeys(match.group for match in matches))}
    wins = np.zeros((len(groups), len(systems), len(systems)))
    for match in matches:
        one, other, at = place[match.first], place[match.second], groups[match.group]
        won = 0.5 if not match.winner else float(match.winner == match.first)
        wins[at, one, other] += won
        wins[at, other, one] += 1 - won
    base = PRIOR * (1 - np.eye(len(systems)))
    values = _fit((wins.sum(axis=0) + base)[None])[0]
    rng = np.random.default_rng(seed)
    drawn: list[NDArray[np.float64]] = []
    flat = wins.reshape(len(groups), -1)
    step = max(1, 1_000_000 // max(len(groups), len(systems) ** 2))
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        times = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=size)
        drawn.append(_fit((times @ flat).reshape(size, len(systems), len(systems)) + base))
    resampled = np.concatenate(drawn)
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    best = np.bincount(resampled.argmax(axis=1), minlength=len(systems)) / len(resampled)
    order = np.argsort(-values, kind="stable")
    return [
        Strength(
            system=systems[at],
            value=float(values[at]),
            low=float(low[at]),
            high=float(high[at]),
            rank=rank,
            best=float(best[at]),
        )
        for rank, at in enumerate(order.tolist(), start=1)
    ]


def _fit(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln strengths (tables × systems) of tables of wins (tables × systems × systems): Newton's steps on the likelihood.

    A step is at most 1, so that none overshoots; without a prior a strength that has no limit stops at STEPS.
    """
    played = wins + wins.transpose(0, 2, 1)
    won = wins.sum(axis=2)
    systems = wins.shape[1]
    # Strengths are known up to a constant: the added matrix holds their mean at 0, and keeps the rest invertible.
    fixed = np.ones((systems, systems)) + RIDGE * np.eye(systems)
    found = np.zeros(won.shape)
    for _ in range(STEPS):
        beats = 1 / (1 + np.exp(found[:, None, :] - found[:, :, None]))
        slope = won - (played * beats).sum(axis=2)
        weight = played * beats * (1 - beats)
        bend = np.eye(systems) * weight.sum(axis=2)[:, :, None] - weight + fixed
        step = np.clip(np.linalg.solve(bend, slope[:, :, None])[:, :, 0], -1, 1)
        found += step
        if float(np.abs(step).max()) < CLOSE:
            break
    return found - found.mean(axis=1, keepdims=True)
