from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.knowledge.linking.stretches import MOST_ALIKE, HashIndex, Stretches, codes_of, hashes_of

_texts = st.text(alphabet="甲乙丙丁a1\ue001𠀀", max_size=12)


def _hash(text: str) -> int:
    return int(hashes_of(codes_of(text).reshape(1, -1))[0])


@settings(deadline=None)
@given(_texts, st.integers(1, 14))
def test_every_stretch_has_the_hash_of_its_text(text: str, longest: int) -> None:
    stretches = Stretches(codes_of(text), longest)
    spans = list(zip(stretches.starts.tolist(), stretches.ends.tolist(), strict=True))
    expected = [(a, b) for a in range(len(text)) for b in range(a + 1, min(a + longest, len(text)) + 1)]
    assert sorted(spans) == expected
    for (start, end), value in zip(spans, stretches.hashes().tolist(), strict=True):
        assert value == _hash(text[start:end])


@settings(deadline=None)
@given(_texts.filter(lambda text: len(text) > 1))
def test_a_shortened_stretch_has_the_hash_of_what_is_left(text: str) -> None:
    stretches = Stretches(codes_of(text), len(text))
    longer = np.flatnonzero(stretches.ends - stretches.starts > 1)
    which, hashes = stretches.shortened(longer)
    found = sorted(zip(which.tolist(), hashes.tolist(), strict=True))
    expected: list[tuple[int, int]] = []
    for place in longer.tolist():
        part = text[stretches.starts[place] : stretches.ends[place]]
        expected += [(place, _hash(part[:at] + part[at + 1 :])) for at in range(len(part))]
    assert found == sorted(expected)


def test_an_index_finds_what_is_in_it_and_nothing_else() -> None:
    names = ["阑尾炎", "胃炎", "糖尿病", "糖尿病"]
    hashes = np.array([_hash(name) for name in names], dtype=np.uint64)
    index = HashIndex.of(HashIndex.build(hashes, np.arange(len(names), dtype=np.uint32), "exact"), "exact")
    wanted = np.array([_hash("胃炎"), _hash("肺炎"), _hash("糖尿病")], dtype=np.uint64)
    assert sorted(index.find(wanted)) == [(0, 1), (2, 2), (2, 3)]


def test_an_empty_index_finds_nothing() -> None:
    arrays = HashIndex.build(np.zeros(0, np.uint64), np.zeros(0, np.uint32), "exact")
    assert HashIndex.of(arrays, "exact").find(np.array([_hash("胃炎")], dtype=np.uint64)) == []


def test_one_hash_does_not_flood_the_hits() -> None:
    hashes = np.full(MOST_ALIKE * 3, _hash("炎"), dtype=np.uint64)
    arrays = HashIndex.build(hashes, np.arange(len(hashes), dtype=np.uint32), "exact")
    assert len(HashIndex.of(arrays, "exact").find(hashes[:1])) == MOST_ALIKE
