"""Agreement against published examples and cases worked out by hand."""

from __future__ import annotations

import pytest

from bentsao.evaluation.statistics_agreement import Level, cohen_kappa, krippendorff_alpha

_ = None
# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units.
PUBLISHED = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3),
    (_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _),
)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_published_alpha(level: Level, alpha: float):
    found = krippendorff_alpha(PUBLISHED, level)
    assert found.n == 11
    assert found.value == pytest.approx(alpha, abs=5e-4)
    assert found.low is not None
    assert found.high is not None
    assert found.low < alpha < found.high <= 1


def test_alpha_has_no_value_where_nothing_can_be_said():
    assert krippendorff_alpha([[1, 1, 1], [1, 1, 1]], "nominal").value is None
    assert krippendorff_alpha([[1, _], [_, 2]], "interval").n == 0
    assert krippendorff_alpha([[1, 2, 3, 1], [1, 2, 3, 1]], "ordinal").value == 1


def test_kappa_by_hand():
    # 20 both yes, 15 both no, 5 and 10 apart: agreement 0.7, by chance 0.5.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_weighted_kappa_by_hand():
    # Pairs (1,1) (1,2) (2,2) (3,1): apart 0 1 0 2, squared 0 1 0 4. Marginals: 2 1 1 and 2 2 0.
    first, second = [1, 1, 2, 3], [1, 2, 2, 1]
    # By chance, linear: (2·2·0 + 2·2·1 + 1·2·1 + 1·2·0 + 1·2·2 + 1·2·1) / 4 = 3; squared: (4 + 2 + 8 + 2) / 4 = 4.
    assert cohen_kappa(first, second, "linear") == pytest.approx(1 - 3 / 3)
    assert cohen_kappa(first, second, "quadratic") == pytest.approx(1 - 5 / 4)
    assert cohen_kappa([2, 2], [2, 2]) is None
    assert cohen_kappa([], []) is None
