"""What an adapter is: its configuration, its weights, what is wrong with it, and the bases that it can be of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from bentsao.core.errors import BentsaoError
from bentsao.core.files import sha256_file
from bentsao.core.records import Record
from bentsao.models.adapter_files import (
    PREFIX,
    Adapter,
    Change,
    arrange,
    config_faults,
    read_config,
    read_weights,
    weight_shapes,
    weights_file,
)
from bentsao.models.fetching import Located
from bentsao.models.presets import BASES
from bentsao.models.repairs import open_config

_LAYER = re.compile(r"\.(?:h|layers|layer|blocks)\.(\d+)\.")


class Inspected(Record):
    """What is found. faults: what keeps it from being used, each with the way out; fits: short names of bases of its
    shape. whole: weights saved whole, with their shapes. size: the Frobenius norm of all its changes; -1 where it
    cannot be told. layers: of the base, that it changes.
    """

    folder: str
    file: str
    sha256: str
    bytes: int
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    kind: str
    base: str | None
    rank: int | None
    alpha: float | None
    targets: tuple[str, ...]
    ranks: dict[str, int]
    layers: int
    whole: dict[str, tuple[int, ...]]
    size: float
    fits: tuple[str, ...]
    faults: tuple[str, ...]


def inspect_adapter(folder: Path, base: Located | None = None) -> Inspected:
    """Look at an adapter of any age. base: the base to hold it against, by its configuration alone.

    Raises MissingError, DataError or ModelError where there is nothing that can be looked at.
    """
    config, weights = read_config(folder), read_weights(folder)
    shapes = weight_shapes(folder)
    faults = config_faults(config, shapes)
    broken = [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor.float()).all())]
    if broken:
        faults.append(f"{len(broken)} 个权重里有 NaN 或无穷大（例如 {min(broken)}）：训练已发散。请重新训练。")
    faults += [] if base is None else misfits(shapes, base)
    adapter: Adapter | None = None
    if config.get("peft_type", "LORA") == "LORA":
        try:
            adapter = arrange(folder, {"lora_alpha": 1, **_known(config)}, weights)
        except BentsaoError as error:
            faults.append(str(error))
    changes = adapter.changes if adapter else {}
    size = sum(norm(change) ** 2 for change in changes.values()) ** 0.5 if not faults else -1.0
    if changes and size == 0:
        faults.append("所有 B 都是 0：它什么也不改，多半是存了没有训练的适配器。")
    file = weights_file(folder)
    return Inspected(
        folder=str(folder),
        file=file.name,
        sha256=sha256_file(file),
        bytes=file.stat().st_size,
        tensors=len(weights),
        parameters=sum(tensor.numel() for tensor in weights.values()),
        dtypes=dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in weights.values())),
        kind=str(config.get("peft_type", "LORA")) + ("（DoRA）" if config.get("use_dora") else ""),
        base=config.get("base_model_name_or_path"),
        rank=config.get("r"),
        alpha=config.get("lora_alpha"),
        targets=tuple(sorted({module.rpartition(".")[2] for module in changes})),
        ranks=dict(Counter(str(change.rank) for change in changes.values())),
        layers=len({match[1] for module in changes if (match := _LAYER.search(f".{module}."))}),
        whole={name: tuple(tensor.shape) for name, tensor in adapter.whole.items()} if adapter else {},
        size=size,
        fits=tuple(_fitting(changes)),
        faults=tuple(faults),
    )


def norm(change: Change, other: Change | None = None) -> float:
    """‖s·BA‖, or ‖s·BA − s'·B'A'‖, without the whole matrix: from the small products BᵀB and AAᵀ, in float64."""
    a, b = _doubled(change, 1.0)
    if other is not None:
        a2, b2 = _doubled(other, -1.0)
        a, b = torch.cat([a, a2]), torch.cat([b, b2], dim=1)
    return float(((b.T @ b) * (a @ a.T)).sum().clamp(min=0).sqrt())


def misfits(shapes: Mapping[str, tuple[int, ...]], base: Located) -> list[str]:
    """Where an adapter and a base differ in names and shapes, by the base's configuration; empty where they fit."""
    config: Any = open_config(base.folder) or AutoConfig.from_pretrained(base.folder)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    # GPT-2's linear layers hold their weights the other way round: inputs by outputs.
    turned = {name for name, module in model.named_modules() if isinstance(module, Conv1D)}
    there = {
        name: tuple(reversed(weight.shape) if name.removesuffix(".weight") in turned else weight.shape)
        for name, weight in model.state_dict().items()
    }
    lost: list[str] = []
    wrong: list[str] = []
    for name, shape in shapes.items():
        module, _, side = name.removeprefix(PREFIX).partition(".lora_")
        weight = there.get(f"{module}.weight")
        if not side:
            continue
        if weight is None:
            lost.append(module)
        elif side.startswith("A") and shape[-1] != weight[-1]:
            wrong.append(f"{module} 的输入是 {shape[-1]}，基座是 {weight[-1]}")
        elif side.startswith("B") and shape[0] != weight[0]:
            wrong.append(f"{module} 的输出是 {shape[0]}，基座是 {weight[0]}")
    out: list[str] = []
    if lost:
        out.append(f"基座 {base.name} 里没有 {len(set(lost))} 层（例如 {min(lost)}）：不是这个架构的适配器。")
    if wrong:
        out.append(f"与基座 {base.name} 的形状不符（{len(wrong)} 处，例如 {wrong[0]}）：是另一个大小的基座的。")
    return out


def _known(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if value is not None}


def _doubled(change: Change, sign: float) -> tuple[Tensor, Tensor]:
    return change.a.double(), change.b.double() * (sign * change.scale)


def _fitting(changes: Mapping[str, Change]) -> list[str]:
    """The presets that have its layers: by their number, their hidden size and the names of their attention."""
    numbers = {int(match[1]) for module in changes if (match := _LAYER.search(f".{module}."))}
    names = {module.rpartition(".")[2] for module in changes}
    inputs = {change.a.shape[1] for change in changes.values() if not change.embedding}
    return [
        short
        for short, base in BASES.items()
        if numbers and max(numbers) + 1 == base.layers and base.hidden in inputs and names & set(base.targets)
    ]
