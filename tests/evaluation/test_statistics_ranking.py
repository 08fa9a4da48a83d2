"""Bradley-Terry against a published fit."""

from __future__ import annotations

import numpy as np
import pytest

from bentsao.evaluation import statistics_ranking
from bentsao.evaluation.statistics_ranking import Match, bradley_terry

# The American League's East in 1987 (Agresti 1990, table 10.10): wins of the row over the column.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)


def games() -> list[Match]:
    out: list[Match] = []
    for one, row in zip(TEAMS, WINS, strict=True):
        for other, wins in zip(TEAMS, row, strict=True):
            out += [Match(first=one, second=other, winner=one, group=f"{one}-{other}-{game}") for game in range(wins)]
    return out


def test_published_strengths(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics_ranking, "PRIOR", 0.0)
    found = {item.system: item for item in bradley_terry(games())}
    # Agresti gives them with Baltimore at 0.
    published = {
        "Milwaukee": 1.5814,
        "Detroit": 1.4364,
        "Toronto": 1.2945,
        "New York": 1.2476,
        "Boston": 1.1077,
        "Cleveland": 0.6839,
    }
    for team, value in published.items():
        assert found[team].value - found["Baltimore"].value == pytest.approx(value, abs=5e-4)
    assert found["Milwaukee"].rank == 1
    assert all(item.low < item.value < item.high for item in found.values())
    assert found["Milwaukee"].best < 0.9
    # Published standard error of Cleveland against Baltimore: 0.3319; of the centred strengths it is somewhat smaller.
    assert 0.15 < (found["Cleveland"].high - found["Cleveland"].low) / 3.92 < 0.34


def test_two_systems_are_a_share(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics_ranking, "PRIOR", 0.0)
    matches = [Match(first="a", second="b", winner="a" if n < 30 else "b", group=str(n)) for n in range(40)]
    one, other = bradley_terry(matches)
    assert (one.system, other.system) == ("a", "b")
    assert one.value - other.value == pytest.approx(np.log(3))


def test_who_never_won_has_a_finite_strength_and_ties_are_halves():
    lost = bradley_terry([Match(first="a", second="b", winner="a", group=str(n)) for n in range(5)])
    assert np.isfinite([lost[0].low, lost[0].high, lost[1].low, lost[1].high]).all()
    tied = bradley_terry([Match(first="a", second="b", winner="", group=str(n)) for n in range(5)])
    assert tied[0].value == pytest.approx(0)
    assert bradley_terry([]) == []
