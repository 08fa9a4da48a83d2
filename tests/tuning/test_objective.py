"""The loss equals the plain one in value and gradient, for every architecture and head."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from bentsao.core.errors import ModelError
from bentsao.core.rendering import IGNORE
from bentsao.tuning import heads
from bentsao.tuning.objective import LabelledLoss, check_against_model
from tests.doubles import KINDS, Kind, tiny_model

PART_WEIGHTS = torch.tensor([1.0, 0.0, 3.0, 0.25])


def batch(vocabulary: int = 512) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """ids, mask, targets, parts."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, vocabulary, (3, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    mask[2, 5:] = 0
    targets = torch.randint(5, vocabulary, (3, 12), generator=generator)
    targets[:, :4] = IGNORE
    targets[mask == 0] = IGNORE
    return ids, mask, targets, torch.randint(0, 4, (3, 12), generator=generator)


def plain_losses(model: nn.Module, ids: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The cross entropy at each position, [rows, length]; 0 where there is no target."""
    logits = model(input_ids=ids, attention_mask=mask).logits.float()
    losses = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="none")
    return losses.view_as(targets)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", ["all-linear", ["lm_head"]])
@pytest.mark.parametrize("weights", [None, PART_WEIGHTS])
def test_losses_and_gradients_equal_the_plain_ones(
    kind: Kind, targets: str | list[str], weights: torch.Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "CHUNK_BYTES", 4 * 512 * 2)  # two rows a chunk
    torch.manual_seed(1)
    model = get_peft_model(tiny_model(kind), LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    objective = LabelledLoss(model)
    ours = objective(*batch(), weights)
    ours.total.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    *inputs, parts = batch()
    losses = plain_losses(model, *inputs)
    wanted = losses.sum() if weights is None else (losses * weights[parts]).sum()
    wanted.backward()
    torch.testing.assert_close(ours.total, wanted, rtol=1e-5, atol=1e-4)
    by_part = torch.stack([losses.detach()[parts == part].sum() for part in range(4)])
    torch.testing.assert_close(ours.by_part.float(), by_part, rtol=1e-5, atol=1e-4)
    assert not ours.by_part.requires_grad
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert gradients.keys() == trained.keys()
    for name, gradient in trained.items():
        assert gradient is not None
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_our_logits_are_checked_against_the_models_own(kind: Kind) -> None:
    model = get_peft_model(tiny_model(kind), LoraConfig(r=2, target_modules="all-linear"))
    objective = LabelledLoss(model)
    assert check_against_model(objective, batch()[0][0]) < 1e-5
    objective.causal.config.logit_scale = 7.0  # an architecture that does what we do not know of
    with pytest.raises(ModelError, match="不一致"):
        check_against_model(objective, batch()[0][0])


def test_no_labels_cost_no_loss() -> None:
    objective = LabelledLoss(get_peft_model(tiny_model(), LoraConfig(r=2, target_modules="all-linear")))
    ids, mask, targets, parts = batch()
    losses = objective(ids, mask, torch.full_like(targets, IGNORE), parts)
    assert losses.total.item() == 0
    assert losses.by_part.tolist() == [0, 0, 0, 0]
