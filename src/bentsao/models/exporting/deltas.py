"""What a LoRA adapter changes, weight by weight, read from its file: no model is built and nothing else is in memory.

The arithmetic is PEFT's (`merge_and_unload`), and the tests hold it against PEFT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from bentsao.core.errors import ModelError
from bentsao.core.files import read_json_object
from bentsao.models.adapter_files import CONFIG_NAME, PREFIX, WEIGHTS_NAME, scale_of

_KIND = re.compile(
    r"^(?P<module>.+?)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?:\.weight)?$"
)
_UNKNOWN = (
    "lora_bias",
    "use_qalora",
    "alora_invocation_tokens",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "megatron_config",
    "use_bdlora",
    "arrow_config",
    "velora_config",
    "monteclora_config",
    "kasa_config",
)
"""Settings of PEFT's that change what an adapter computes and are not known here; each is off by default."""


@dataclass(frozen=True)
class Change:
    """What happens to one stored weight. shape: afterwards; None where it stays as it is.

    apply: the weight before, in float32 → afterwards, in float32.
    """

    apply: Callable[[Tensor], Tensor]
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class _Lazy:
    """A weight of the adapter's file, read when it is needed: embeddings that were saved whole are large."""

    file: Path
    name: str
    shape: tuple[int, ...]

    def __call__(self) -> Tensor:
        with safe_open(self.file, framework="pt") as opened:
            return opened.get_tensor(self.name).float()


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(file, framework="pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118


def read_changes(folder: Path) -> dict[str, Change]:
    """The changes of an adapter by module and parameter: `model.layers.0.self_attn.q_proj.weight` and so on.

    The names are the model's own; `match` finds the stored weights they belong to. Raises ModelError for an adapter
    that is not a LoRA or has a setting that is not known here.
    """
    config: dict[str, Any] = read_json_object(folder / CONFIG_NAME)
    unknown = [name for name in _UNKNOWN if config.get(name)]
    if config.get("peft_type") != "LORA" or unknown:
        what = "、".join(unknown) or str(config.get("peft_type"))
        raise ModelError(
            f"适配器 {folder} 用了 {what}，不能逐片合并。可以合并的是 LoRA（含 rsLoRA、DoRA、modules_to_save）。"
        )
    parts: dict[str, dict[str, _Lazy]] = {}
    changes: dict[str, Change] = {}
    for stored, shape in _shapes(folder / WEIGHTS_NAME).items():
        name, value = stored.removeprefix(PREFIX), _Lazy(folder / WEIGHTS_NAME, stored, shape)
        if hit := _KIND.match(name):
            parts.setdefault(hit["module"], {})[hit["part"]] = value
        elif "lora_" in name or "_adapter." in name:
            raise ModelError(f"适配器 {folder} 里有不认识的权重 {name}，不能逐片合并。")
        else:  # modules_to_save, biases, embeddings that were saved whole
            plain = name.replace(".base_layer.", ".").replace(".modules_to_save.", ".")
            changes[plain] = Change(lambda _, new=value: new(), shape)
    for module, found in parts.items():
        name = f"{module}.weight"
        low_rank = _low_rank(folder, module, found, config)
        if name in changes:  # saved whole besides: the embedding that the LoRA is on
            low_rank = _after(changes[name], low_rank)
        changes[name] = low_rank
    return changes


def _low_rank(folder: Path, module: str, found: Mapping[str, _Lazy], config: Mapping[str, Any]) -> Change:
    embedding = "lora_embedding_A" in found
    first, second = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A", "lora_B")
    if first not in found or second not in found:
        raise ModelError(f"适配器 {folder} 里 {module} 的 LoRA 不全：只有 {'、'.join(found)}。请重新下载或重新训练。")
    down, up = found[first], found[second]
    size = scale_of(config, module, down.shape[0])
    if len(down.shape) != 2 or len(up.shape) != 2:
        raise ModelError(f"适配器 {folder} 的 {module} 是卷积层，不能逐片合并。")
    magnitude = found.get("lora_magnitude_vector")

    def apply(weight: Tensor) -> Tensor:
        delta = (up() @ down()) * size
        expected = tuple(delta.shape)
        turned = embedding or bool(config.get("fan_in_fan_out"))
        if tuple(weight.shape) != (expected[::-1] if turned else expected):
            raise ModelError(
                f"适配器 {folder} 与基座不相配：{module} 的形状是 {tuple(weight.shape)}，"
                f"适配器要改的是 {expected[::-1] if turned else expected}。请用 --base 指定它的基座。"
            )
        if magnitude is None:
            return weight + (delta.T if turned else delta)
        # DoRA: the direction is the sum's, the length of each row (of PEFT's layout) was learnt.
        whole = (weight.T if turned else weight) + delta
        whole = whole * (magnitude().view(-1) / torch.linalg.norm(whole, dim=1))[:, None]
        return whole.T if turned else whole

    return Change(apply)


def _after(first: Change, second: Change) -> Change:
    return Change(lambda weight: second.apply(first.apply(weight)), first.shape)


def match(
    changes: Mapping[str, Change], stored: Iterable[str], *, folder: Path, head: str, embedding: str
) -> dict[str, Change]:
    """The changes by the stored weights' names, which may lack the model's outer prefix (BLOOM's `transformer.`).

    head, embedding: names that may stand for a weight that is not stored by itself, because it is tied.
    Raises ModelError for a change of a weight that is not there.
    """
    names = set(stored) | {head, embedding}
    out: dict[str, Change] = {}
    missing: list[str] = []
    for name, change in changes.items():
        tail = name
        while tail not in names and "." in tail.removesuffix(".weight").removesuffix(".bias"):
            tail = tail.split(".", 1)[1]
        longer = [known for known in names if known.endswith("." + name)]
        if tail in names:
            out[tail] = change
        elif len(longer) == 1:
            out[longer[0]] = change
        else:
            missing.append(name)
    if missing:
        raise ModelError(
            f"适配器 {folder} 与基座不相配：基座里没有它要改的 {len(missing)} 个权重（例如 {min(missing)}）。"
            "请用 --base 指定它的基座。"
        )
    return out
