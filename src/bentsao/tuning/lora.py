"""What is tuned, on any architecture: all weights, or LoRA (arXiv 2106.09685) and the modules that it is put on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    prepare_model_for_kbit_training,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from bentsao.core.errors import ConfigError, MissingError
from bentsao.models.adapter_files import PREFIX, read_config, scale_of
from bentsao.tuning.layers import layer_stack, layers_below
from bentsao.tuning.recipe import LoraPart

ATTENTION = (
    ("q_proj", "v_proj"),  # LLaMA, Qwen, Gemma, GLM of today
    ("query_key_value",),  # BLOOM, ChatGLM, GPT-NeoX
    ("qkv_proj",),  # Phi-3
    ("W_pack",),  # Baichuan
    ("wqkv",),  # InternLM2
    ("c_attn",),  # GPT-2
)
"""What the original's `q_proj, v_proj` is called in each family, looked through in this order."""


def linear_paths(model: PreTrainedModel) -> tuple[list[str], list[str]]:
    """The paths of the linear layers that can be tuned: (those within the model, the output head's)."""
    head = model.get_output_embeddings()
    inner: list[str] = []
    outer: list[str] = []
    for path, module in model.named_modules():
        # Conv1D is GPT-2's linear layer; the quantised layers are subclasses of nn.Linear.
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D":
            (outer if module is head else inner).append(path)
    return inner, outer


def find_targets(model: PreTrainedModel, wanted: str | tuple[str, ...]) -> list[str]:
    """Module names for LoRA: `all-linear`, `attention`, or names to be checked against the architecture.

    Raises ConfigError naming what there is when a name is not there. An asked-for output head is allowed: its loss is
    then computed through the adapter (see objective.py).
    """
    inner, head = linear_paths(model)
    there = {path.rpartition(".")[2] for path in inner}
    if wanted == "all-linear":
        return sorted(there)
    if wanted == "attention":
        for names in ATTENTION:
            if all(name in there for name in names):
                return list(names)
        raise ConfigError(f"{type(model).__name__} 里认不出注意力层。可用的线性层：{'、'.join(sorted(there))}。")
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    # As PEFT reads them: a whole path, or its last parts.
    missing = [name for name in names if not any(f".{path}".endswith(f".{name}") for path in (*inner, *head))]
    if missing or not names:
        raise ConfigError(
            f"{type(model).__name__} 没有名为 {'、'.join(missing) or '（空）'} 的线性层。可用："
            f"{'、'.join([*sorted(there), *head])}；或写 all-linear、attention。"
        )
    return names


def add_lora(
    model: PreTrainedModel, part: LoraPart, *, quantised: bool, checkpointing: bool, lowest: int = 0
) -> PeftModel:
    """The model with a fresh adapter; only the adapter is trained. The same torch seed gives the same adapter.

    lowest: layers below this one get no adapter.
    """
    targets = find_targets(model, part.targets)
    if lowest:
        targets = paths_from(model, targets, lowest)
    if quantised:
        for module in model.modules():
            # On a CPU bitsandbytes lays 4-bit weights out anew at the first forward without gradients, and no gradient
            # goes through them any more.
            if hasattr(module, "support_avx512bf16_for_cpu"):
                cast(Any, module).support_avx512bf16_for_cpu = False
        model = cast(PreTrainedModel, prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing))
    elif checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    config = LoraConfig(
        r=part.rank,
        lora_alpha=cast(Any, part.alpha),
        lora_dropout=part.dropout,
        target_modules=targets,
        use_rslora=part.rslora,
        use_dora=part.dora,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return cast(PeftModel, get_peft_model(model, config))


def paths_from(model: PreTrainedModel, targets: list[str], lowest: int) -> list[str]:
    """The targets as whole paths, those in the layers below `lowest` left out. Raises ConfigError if none is left."""
    below = {id(module) for layer in layers_below(model, lowest) for module in layer.modules()}
    inner, head = linear_paths(model)
    found = [
        path
        for path in (*inner, *head)
        if any(f".{path}".endswith(f".{name}") for name in targets) and id(model.get_submodule(path)) not in below
    ]
    if not found:
        raise ConfigError(
            f"lora.targets 里没有一个在第 {lowest} 层或以上。请改 training.lowest_layer 或 lora.targets。"
        )
    return found


def unfreeze(model: PreTrainedModel, *, checkpointing: bool, lowest: int = 0) -> PreTrainedModel:
    """All weights are trained; with `lowest`, those of that layer and above, and what comes after the layers.

    The embedding is below the lowest layer, and so is a head that shares its weights with it.
    """
    model.requires_grad_(True)
    if lowest:
        stack = layer_stack(model)
        frozen: list[nn.Module] = layers_below(model, lowest)
        # Modules stand in the order in which they are made: the embedding before the layers, the last norm after.
        for module in stack.owner.children():
            if module is stack.layers:
                break
            frozen.append(module)
        for module in (*frozen, model.get_input_embeddings()):
            module.requires_grad_(False)
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def load_initial(model: PeftModel, folder: Path) -> None:
    """Begin from another adapter's weights. Raises MissingError or ConfigError if they are not there or do not fit."""
    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise MissingError(f"{folder} 里没有 adapter_model.safetensors，不能从它开始。")
    weights = load_file(file)
    own = get_peft_model_state_dict(model, save_embedding_layers=False)
    shapes, wanted = ({name: tuple(t.shape) for name, t in part.items()} for part in (weights, own))
    wrong = sorted(name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name))
    if wrong:
        raise ConfigError(
            f"适配器 {folder} 与现在的 LoRA 设置不合：{len(wrong)} 个权重的名字或形状不同，例如 {wrong[0]}。"
            "请用同样的基座、lora.rank、lora.targets 与 lora.dora。"
        )
    _check_scales(model, folder)
    set_peft_model_state_dict(model, weights)


def _check_scales(model: PeftModel, folder: Path) -> None:
    """The same weights under another scale are another adapter."""
    config = read_config(folder)
    for path, layer in model.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        name = path.removeprefix(PREFIX)
        ours, rank = layer.scaling["default"], layer.r["default"]
        theirs = scale_of(config, name, rank)
        if abs(ours - theirs) > 1e-6 * theirs:
            rslora = bool(config.get("use_rslora"))
            alpha = theirs * (rank**0.5 if rslora else rank)
            raise ConfigError(
                f"适配器 {folder} 的 LoRA 缩放是 {theirs:g}，现在的设置是 {ours:g}（例如 {name}）：\n"
                f"从它的权重开始，却不是它。请用它的设置：lora.alpha={alpha:g}，lora.rslora={str(rslora).lower()}。"
            )


def trainable(model: nn.Module) -> tuple[int, int]:
    """(parameters that are trained, all parameters)."""
    return (
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        sum(p.numel() for p in model.parameters()),
    )
