"""The loss under a frozen head: by hand as by autograd, and what leaving words out changes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bentsao.tuning import heads
from bentsao.tuning.heads import (
    ChunkLoss,
    Head,
    Wanted,
    frozen_head_loss,
    full_chunk,
    likely_words,
    screened_chunk,
    trimmed_chunk,
)

WORDS = 4000


@pytest.mark.parametrize(
    ("softcap", "scale", "bias"), [(None, 1.0, False), (3.0, 1.0, True), (None, 0.25, True), (5.0, 2.0, False)]
)
def test_the_hand_written_backward_passes_gradcheck(softcap: float | None, scale: float, bias: bool) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(5, 4, requires_grad=True)
    head = Head(torch.randn(7, 4), torch.randn(7) if bias else None, softcap, scale)
    targets, parts = torch.tensor([0, 6, 3, 3, 1]), torch.tensor([0, 2, 2, 1, 3])
    weights = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.5])
    ours = frozen_head_loss(hidden, Wanted(targets, parts, weights), full_chunk(head), 2)
    (gradient,) = torch.autograd.grad(ours.total, hidden)
    logits = nn.functional.linear(hidden, head.weight, head.bias) * scale
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    losses = nn.functional.cross_entropy(logits, targets, reduction="none")
    plain = (losses * weights).sum()
    torch.testing.assert_close(ours.total, plain)
    torch.testing.assert_close(gradient, torch.autograd.grad(plain, hidden)[0])
    sums = torch.stack([losses[0], losses[3], losses[1] + losses[2], losses[4]])
    torch.testing.assert_close(ours.by_part.float(), sums.detach())


@pytest.fixture
def peaked() -> tuple[Head, Tensor, Wanted]:
    """A head under which a few words have nearly all the mass at each position, as in language."""
    generator = torch.Generator().manual_seed(0)
    head = Head(torch.randn(WORDS, 16, generator=generator), None, 20.0, 1.0)
    hidden = 1.5 * torch.randn(40, 16, generator=generator)
    targets = torch.randint(0, WORDS, (40,), generator=generator)
    return head, hidden, Wanted(targets, torch.zeros(40, dtype=torch.long), torch.rand(40, generator=generator))


def loss_and_gradient(hidden: Tensor, wanted: Wanted, chunk: ChunkLoss) -> tuple[float, Tensor]:
    hidden = hidden.clone().requires_grad_()
    total = frozen_head_loss(hidden, wanted, chunk, 16).total
    (gradient,) = torch.autograd.grad(total, hidden)
    return total.item(), gradient


@pytest.mark.parametrize("rough", [torch.float32, torch.bfloat16])
def test_screening_changes_next_to_nothing(peaked: tuple[Head, Tensor, Wanted], rough: torch.dtype) -> None:
    head, hidden, wanted = peaked
    loss, gradient = loss_and_gradient(hidden, wanted, full_chunk(head))
    quick, by_hand = loss_and_gradient(hidden, wanted, screened_chunk(head, rough))
    assert quick == pytest.approx(loss, rel=1e-4)
    assert quick < loss  # words were left out
    assert ((by_hand - gradient).norm() / gradient.norm()).item() < 1e-3


def test_screening_keeps_all_words_that_are_near(
    peaked: tuple[Head, Tensor, Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, hidden, wanted = peaked
    monkeypatch.setattr(heads, "FAR", 1e9)
    loss, gradient = loss_and_gradient(hidden, wanted, full_chunk(head))
    quick, by_hand = loss_and_gradient(hidden, wanted, screened_chunk(head, torch.float32))
    assert quick == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(by_hand, gradient)


def test_trimming_is_the_loss_over_the_words_kept(peaked: tuple[Head, Tensor, Wanted]) -> None:
    head, hidden, wanted = peaked
    words = likely_words(head, hidden, wanted.targets, least=3e-3)
    assert set(wanted.targets.tolist()) <= set(words.tolist())
    assert words.shape[0] < WORDS / 2
    logits = 20 * torch.tanh(hidden @ head.weight.T / 20)
    gone = torch.ones(WORDS, dtype=torch.bool)
    gone[words] = False
    assert logits.softmax(1)[:, gone].max().item() < 3e-3
    assert wanted.weights is not None
    losses = nn.functional.cross_entropy(
        logits.masked_fill(gone, float("-inf")), wanted.targets, reduction="none"
    )  # the words that are gone have no mass
    loss, _ = loss_and_gradient(hidden, wanted, trimmed_chunk(head, words))
    assert loss == pytest.approx((losses * wanted.weights).sum().item(), rel=1e-5)
    everything = torch.arange(WORDS)
    torch.testing.assert_close(
        loss_and_gradient(hidden, wanted, trimmed_chunk(head, everything))[1],
        loss_and_gradient(hidden, wanted, full_chunk(head))[1],
    )
