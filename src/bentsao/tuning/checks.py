"""Settings that cannot work, said before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import torch
from accelerate.utils import DistributedType

from bentsao.core.errors import ConfigError
from bentsao.core.files import check_writable
from bentsao.models.adapters import CONFIG_NAME, MANIFEST_NAME
from bentsao.models.machine import choose_dtype
from bentsao.tuning.checkpoints import run_folder
from bentsao.tuning.preferring import check_installed
from bentsao.tuning.recipe import Recipe


def check_together(recipe: Recipe, note: Callable[[str], None]) -> None:
    """Raises ConfigError for settings that make no sense together; what is unwise is noted."""
    check_effects(recipe)
    training = recipe.training
    full, quantised = recipe.method == "full", recipe.base.quantization is not None
    if full and quantised:
        raise ConfigError('量化的权重不能全部微调。请去掉 base.quantization，或用 method = "lora"。')
    if full and recipe.lora.init:
        raise ConfigError('method = "full" 不写适配器，lora.init 没有意义。请去掉它，或先把适配器合并进基座。')
    if training.shard and quantised:
        raise ConfigError("量化的权重不能分片（training.shard）。4bit 的基座每张卡放一份即可，请去掉 training.shard。")
    if training.keep_activations and not training.lowest_layer:
        raise ConfigError(
            "training.keep_activations 只在下面的层不动时有用。请同时设 training.lowest_layer（大于 0）。"
        )
    if recipe.method == "dpo":
        check_installed()
        if recipe.data.kind == "text":
            raise ConfigError("偏好训练从成对的回答里学，不能学纯文本。请去掉 data.kind。")
        if training.learning_rate > 2e-4:
            note(f"警告：偏好训练的学习率 {training.learning_rate:g} 很可能太大，常用 5e-6 到 1e-4")
    if full and training.learning_rate > 1e-4:
        note(f"警告：全参数微调的学习率 {training.learning_rate:g} 很可能太大，常用 1e-5 到 5e-5")


WITHOUT_EFFECT: dict[tuple[str, str], tuple[str, ...]] = {
    ("data.kind", "text"): (
        "data.mix", "data.names", "data.learn_prompt", "data.too_long", "data.merge_dialogues",
        "training.part_weights",
    ),
    ("method", "dpo"): (
        "data.mix", "data.names", "data.learn_prompt", "data.too_long", "data.merge_dialogues",
        "training.part_weights", "training.head", "training.keep_activations", "training.lowest_layer",
        "training.shard", "training.save_seconds", "training.evaluate_rows",
    ),
    ("method", "lora"): ("preference.beta",),
    ("method", "full"): (
        "preference.beta", "lora.rank", "lora.alpha", "lora.dropout", "lora.targets", "lora.rslora", "lora.dora",
    ),
}  # fmt: skip
"""What changes nothing where a setting has this value, and so may not be given there."""


def check_effects(recipe: Recipe) -> None:
    """Raises ConfigError for settings that were given and would have no effect."""
    for (setting, value), names in WITHOUT_EFFECT.items():
        given = [name for name in names if attrgetter(name)(recipe) != attrgetter(name)(Recipe())]
        if given and attrgetter(setting)(recipe) == value:
            raise ConfigError(f"{setting}={value} 时这些设置不起作用：{'、'.join(given)}。请去掉它们。")


def check_launcher(kind: DistributedType) -> None:
    """Raises ConfigError where accelerate was told to shard by itself, which our loop does with one of its own."""
    if kind in (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise ConfigError(
            f"请不要用 accelerate 的 {kind.value} 启动：分片由配方的 training.shard 管（FSDP2，相当于 ZeRO-3）。"
            "用 accelerate launch --multi_gpu 或 torchrun 启动，再加 --set training.shard=true。见 docs/scaling.md。"
        )


def check_output(output: Path, restart: bool) -> None:
    """Raises ConfigError if something would be written over that is not meant to be."""
    if (output / MANIFEST_NAME).is_file() and not run_folder(output).exists() and not restart:
        raise ConfigError(f"{output} 里已有一个训练完的结果。要重新训练并取代它，请加 --restart；否则请换一个 --out。")
    ours = (CONFIG_NAME, MANIFEST_NAME)
    if output.exists() and not (
        output.is_dir() and (any((output / name).is_file() for name in ours) or not any(output.iterdir()))
    ):
        raise ConfigError(f"输出目录 {output} 已存在，而且不是适配器或训练出的模型。为免覆盖别的东西，请换一个 --out。")
    check_writable(output, folder=True)


def refuse_float16(dtype: str | None) -> None:
    """Raises ConfigError for float16, in the recipe or from `accelerate launch`.

    Small gradients become 0 in it without loss scaling, which this loop does not do.
    """
    if dtype == "float16" or os.environ.get("ACCELERATE_MIXED_PRECISION") == "fp16":
        raise ConfigError(
            "不支持 float16（fp16）训练：它需要损失缩放，否则小的梯度会变成 0。"
            "请用 bfloat16（bf16），没有 bf16 的显卡请用 float32；也可以不填 base.dtype，按设备选。"
        )


def training_dtype(wanted: str | None, device: torch.device) -> str:
    """The number format of the weights; None takes float32 on a CPU, elsewhere bfloat16, or float32 without it."""
    number = choose_dtype(wanted, device)
    return "float32" if number is torch.float16 else str(number).removeprefix("torch.")


def check_device(wanted: str | None, given: torch.device) -> None:
    """Raises ConfigError if `base.device` is not the device that accelerate gave this process."""
    if wanted not in (None, given.type, f"{given.type}:{given.index or 0}"):
        raise ConfigError(
            f"训练用的设备是 {given}，不能用 base.device={wanted!r}。"
            "要用第几张卡，请设环境变量（如 CUDA_VISIBLE_DEVICES=1）并去掉 base.device；只用 CPU 请写 cpu。"
        )
