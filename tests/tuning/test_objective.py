"""The loss equals the plain one in value and gradient, for every architecture and head."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from bentsao.core.errors import ModelError
from bentsao.core.rendering import IGNORE
from bentsao.tuning import objective as objective_module
from bentsao.tuning.objective import Head, LabelledLoss, check_against_model, frozen_head_loss
from tests.doubles import KINDS, Kind, tiny_model


def batch(vocabulary: int = 512) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, vocabulary, (3, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    mask[2, 5:] = 0
    targets = torch.randint(5, vocabulary, (3, 12), generator=generator)
    targets[:, :4] = IGNORE
    targets[mask == 0] = IGNORE
    return ids, mask, targets


def plain_loss(model: nn.Module, ids: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=ids, attention_mask=mask).logits.float()
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", ["all-linear", ["lm_head"]])
def test_loss_and_gradients_equal_the_plain_ones(
    kind: Kind, targets: str | list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective_module, "CHUNK_BYTES", 4 * 512 * 2)  # two rows a chunk
    torch.manual_seed(1)
    model = get_peft_model(tiny_model(kind), LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    objective = LabelledLoss(model)
    ours = objective(*batch())
    ours.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    wanted = plain_loss(model, *batch())
    wanted.backward()
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-4)
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert gradients.keys() == trained.keys()
    for name, gradient in trained.items():
        assert gradient is not None
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("softcap", "scale", "bias"), [(None, 1.0, False), (3.0, 1.0, True), (None, 0.25, True), (5.0, 2.0, False)]
)
def test_the_hand_written_backward_passes_gradcheck(softcap: float | None, scale: float, bias: bool) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(5, 4, requires_grad=True)
    head = Head(torch.randn(7, 4), torch.randn(7) if bias else None, softcap, scale)
    wanted = torch.tensor([0, 6, 3, 3, 1])
    ours = frozen_head_loss(hidden, wanted, head)
    (gradient,) = torch.autograd.grad(ours, hidden)
    logits = nn.functional.linear(hidden, head.weight, head.bias) * scale
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    plain = nn.functional.cross_entropy(logits, wanted, reduction="sum")
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(gradient, torch.autograd.grad(plain, hidden)[0])


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
    ids, mask, targets = batch()
    assert objective(ids, mask, torch.full_like(targets, IGNORE)).item() == 0
