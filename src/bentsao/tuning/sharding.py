"""Weights, gradients and optimizer states dealt out over the processes: PyTorch's FSDP2 (`fully_shard`).

Each process holds 1/n of every tensor; a layer's weights are put together when they are needed and let go after.
What is computed is the same. Every process must take part in every forward, so the loop gives each as many.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from bentsao.tuning.layers import layer_stack
from bentsao.tuning.objective import LabelledLoss


def shard(objective: LabelledLoss, accelerator: Accelerator) -> None:
    """Deal the objective's model out in place, a layer a unit and the rest another. Before the optimizer is made."""
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    # Weights are kept in their own precision; put together and computed with in bfloat16 where autocast would.
    halves = torch.bfloat16 if accelerator.mixed_precision == "bf16" else None
    policy = MixedPrecisionPolicy(param_dtype=halves, reduce_dtype=torch.float32 if halves else None)
    for layer in layer_stack(objective.causal).layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(objective, mesh=mesh, mp_policy=policy)


def let_go(objective: nn.Module) -> None:
    """After forwards without a backward: what they put together and kept for one is dealt out again.

    Until then the model's parameters are the whole ones, which are not those that the optimizer knows.
    """
    if isinstance(objective, FSDPModule):
        objective.reshard()


def is_sharded(model: nn.Module) -> bool:
    """Whether the model was dealt out."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be sharded; then it is an exchange that every process takes part in."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def put(place: Tensor, value: Tensor) -> None:
    """Write a whole tensor into one that may be sharded."""
    if isinstance(place, DTensor):
        mesh, placements = place.device_mesh, cast(Any, place.placements)
        place.copy_(distribute_tensor(value.to(place.device), mesh, placements, src_data_rank=None))
    else:
        place.copy_(value)
