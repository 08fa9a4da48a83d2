"""Several LoRAs as one. Exactly: B₁A₁ + B₂A₂ is [B₁ B₂] · [A₁; A₂], so the ranks are joined and nothing is lost.

This is also what stacked adapters are: one tuned on a base that another had been merged into changes that base's
weights by the sum of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bentsao.core.errors import ConfigError, ModelError
from bentsao.models.adapter_files import PREFIX, Adapter, Change


def combine(adapters: Sequence[Adapter], weights: Sequence[float]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(configuration, weights) of Σ weight · adapter, as PEFT saves them, in float32.

    Layers that are saved whole (embeddings of an enlarged vocabulary) are taken as they are, the last adapter's where
    several have one. Raises ModelError or ConfigError for what has no such sum.
    """
    for adapter, weight in zip(adapters, weights, strict=True):
        _check(adapter, weight)
    whole: dict[str, Tensor] = {}
    for adapter in adapters:
        whole |= adapter.whole
    _check_overlap(adapters, whole)
    tensors: dict[str, Tensor] = {f"{PREFIX}{name}": tensor for name, tensor in whole.items()}
    ranks: dict[str, int] = {}
    for module in sorted({module for adapter in adapters for module in adapter.changes}):
        parts = [(adapter.changes[module], weight) for adapter, weight in zip(adapters, weights, strict=True)
                 if module in adapter.changes]  # fmt: skip
        a, b = _join(module, parts)
        kind = "embedding_" if parts[0][0].embedding else ""
        end = "" if parts[0][0].embedding else ".weight"
        tensors |= {f"{PREFIX}{module}.lora_{kind}A{end}": a, f"{PREFIX}{module}.lora_{kind}B{end}": b}
        ranks[module] = a.shape[0]
    return _config(adapters, ranks, whole), tensors


def _join(module: str, parts: Sequence[tuple[Change, float]]) -> tuple[Tensor, Tensor]:
    """A and B of the sum, the scales and weights within B."""
    inputs = {change.a.shape[1] for change, _ in parts}
    outputs = {change.b.shape[0] for change, _ in parts}
    if len(inputs) > 1 or len(outputs) > 1:
        shapes = "、".join(f"{change.b.shape[0]}×{change.a.shape[1]}" for change, _ in parts)
        raise ModelError(f"这些适配器不是同一个基座的：{module} 的形状是 {shapes}。请检查它们各是在哪个基座上微调的。")
    a = torch.cat([change.a.float() for change, _ in parts])
    b = torch.cat([change.b.float() * (change.scale * weight) for change, weight in parts], dim=1)
    return a, b


def _config(adapters: Sequence[Adapter], ranks: Mapping[str, int], whole: Mapping[str, Tensor]) -> dict[str, Any]:
    """alpha = r everywhere, so that the scale is 1."""
    usual = max(set(ranks.values()), key=list(ranks.values()).count)
    others = {re.escape(module): rank for module, rank in ranks.items() if rank != usual}
    saved = sorted({name.rpartition(".")[0].rpartition(".")[2] for name in whole})
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": others,
        "alpha_pattern": others,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": bool(adapters[0].config.get("fan_in_fan_out")),
        "inference_mode": True,
        "target_modules": _targets(adapters, ranks),
        "modules_to_save": saved or None,
    }


def _targets(adapters: Sequence[Adapter], ranks: Mapping[str, int]) -> list[str]:
    """The names that the adapters give; the layers themselves where an adapter is on some of them only."""
    names: set[str] = set()
    for adapter in adapters:
        given = adapter.config["target_modules"]
        narrow = any(adapter.config.get(key) for key in ("layers_to_transform", "layers_pattern", "exclude_modules"))
        if narrow or isinstance(given, str):
            return sorted(ranks)
        names |= set(given)
    return sorted(names)


def _check(adapter: Adapter, weight: float) -> None:
    name = adapter.folder.name
    if adapter.config.get("peft_type", "LORA") != "LORA":
        raise ModelError(f"{name} 是 {adapter.config.get('peft_type')}，不是 LoRA，不能与别的合成一个。")
    if adapter.config.get("use_dora") or any(change.magnitude is not None for change in adapter.changes.values()):
        raise ModelError(f"{name} 是 DoRA，它不是加法，不能与别的合成一个。请先把它合并进基座（bentsao export）再叠。")
    if adapter.config.get("bias", "none") != "none":
        raise ModelError(f"{name} 也改了偏置（bias={adapter.config['bias']}），不能与别的合成一个。请先合并进基座。")
    if adapter.whole and weight != 1:
        raise ConfigError(
            f"{name} 里有整层保存的权重（{'、'.join(sorted(adapter.whole)[:2])}），不能乘 {weight:g}。请用权重 1。"
        )


def _check_overlap(adapters: Sequence[Adapter], whole: Mapping[str, Tensor]) -> None:
    """A layer that is saved whole cannot be changed besides, in PEFT's form."""
    layers = {name.rpartition(".")[0] for name in whole}
    both = sorted(layers & {module for adapter in adapters for module in adapter.changes})
    if both:
        raise ModelError(f"{both[0]} 在一个适配器里整层保存，在另一个里又是 LoRA，不能合成一个。请先合并进基座再叠。")
