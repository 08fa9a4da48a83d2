from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.rendering import IGNORE, Row
from bentsao.tuning.batches import epoch_steps, micro_batches, share, stack


def make_rows(lengths: list[int]) -> list[Row]:
    return [Row(tuple(range(1, n + 1)), (IGNORE,) * (n - 1) + (9,)) for n in lengths]


lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_has_every_row_once_and_follows_from_its_seed(rows: int, size: int, seed: int, epoch: int) -> None:
    steps = epoch_steps(rows, size, seed, epoch)
    assert sorted(place for step in steps for place in step) == list(range(rows))
    assert all(len(step) == size for step in steps[:-1])
    assert steps == epoch_steps(rows, size, seed, epoch)


def test_epochs_differ() -> None:
    assert epoch_steps(40, 8, 0, 0) != epoch_steps(40, 8, 0, 1)


@given(lengths, st.integers(1, 80))
def test_micro_batches_keep_the_budget_and_every_row(sizes: list[int], budget: int) -> None:
    rows = make_rows(sizes)
    batches = micro_batches(range(len(rows)), rows, budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(rows)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(sizes[place] for place in batch) <= budget


@given(lengths, st.integers(1, 4))
def test_shares_deal_every_row_to_one_process(sizes: list[int], processes: int) -> None:
    rows = make_rows(sizes)
    parts = [share(range(len(rows)), rows, number, processes) for number in range(processes)]
    assert sorted(place for part in parts for place in part) == list(range(len(rows)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_rows_are_padded_on_the_right() -> None:
    batch = stack([1, 0], make_rows([2, 3]), 7, torch.device("cpu"))
    assert batch.ids.tolist() == [[1, 2, 3], [1, 2, 7]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.targets.tolist() == [[IGNORE, IGNORE, 9], [IGNORE, 9, IGNORE]]
    assert batch.parts.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert batch.places == (1, 0)


def test_each_position_says_which_loss_it_counts_for() -> None:
    whole = Row((1, 2, 3, 4, 5), (9, 9, IGNORE, 9, 9), (("entity", 2), ("attribute", 4), ("answer", 5)))
    batch = stack([0, 1], [whole, *make_rows([2])], 7, torch.device("cpu"))
    assert batch.parts.tolist() == [[1, 1, 2, 2, 3], [0, 0, 0, 0, 0]]
    assert whole.learnt_by_part() == {"entity": 2, "attribute": 1, "answer": 1}
    assert make_rows([2])[0].learnt_by_part() == {"instruction": 1}
