"""LLaMA's first own form: `consolidated.00.pth`, a state dict with Meta's names, and `params.json`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bentsao.core.errors import ModelError
from bentsao.core.files import whole_file, write_json
from bentsao.models.exporting.stored import Tensors

WEIGHTS = "consolidated.00.pth"
PARAMS = "params.json"

_ENDS = {
    "model.embed_tokens.weight": "tok_embeddings.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


def in_pairs(weight: Tensor, heads: int) -> Tensor:
    """The rows of a query's or key's weight as LLaMA was published: the two numbers that rotate together side by side.

    transformers keeps them half a head apart. weight: [heads · size, …]. `in_halves` is the way back.
    """
    return weight.view(heads, 2, -1, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


def in_halves(weight: Tensor, heads: int) -> Tensor:
    """The rows as transformers keeps them."""
    return weight.view(heads, -1, 2, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


def write_consolidated(folder: Path, stored: Tensors, config: Any) -> None:
    """Write the two files of a model of the LLaMA architecture, in the precision that its weights have.

    A state dict is written from memory, so this needs memory for the weights that the adapter changed, and for queries
    and keys, whose rows change places; the rest stays on disk until it is written.
    Raises ModelError for other architectures, and for LLaMAs that the form has no words for.
    """
    rope = dict(getattr(config, "rope_parameters", None) or {})
    if config.model_type != "llama":
        raise ModelError(f"consolidated.00.pth 只适用于 LLaMA 架构，这个模型是 {config.model_type}。")
    if getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False):
        raise ModelError("这个模型的线性层有偏置，consolidated.00.pth 没有地方放。请换一种导出格式。")
    state = {_renamed(name): _tensor(config, name, stored.read(name)) for name in stored.shapes if _wanted(name)}
    state.setdefault("output.weight", state["tok_embeddings.weight"])
    with whole_file(folder / WEIGHTS) as temporary:
        torch.save(state, temporary)
    write_json(folder / PARAMS, _params(config, rope))


def read_consolidated(folder: Path, config: Any) -> dict[str, Tensor]:
    """The state dict of transformers' LLaMA from the two files; `config` is its configuration."""
    params = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True, mmap=True)
    names = {_renamed(name): name for name in _names(config)}
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    state: dict[str, Tensor] = {}
    for own, value in params.items():
        name = names[own]
        kind = name.split(".")[-2]
        state[name] = in_halves(value, heads[kind]) if kind in heads else value
    return state


def _names(config: Any) -> list[str]:
    layers = range(config.num_hidden_layers)
    return [*_ENDS, *(f"model.layers.{number}.{part}.weight" for number in layers for part in _LAYER)]


def _wanted(name: str) -> bool:
    return not name.endswith("rotary_emb.inv_freq")


def _renamed(name: str) -> str:
    if name in _ENDS:
        return _ENDS[name]
    hit = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.weight", name)
    if hit is None or hit[2] not in _LAYER:
        raise ModelError(f"consolidated.00.pth 没有 {name} 的位置。请换一种导出格式。")
    return f"layers.{hit[1]}.{_LAYER[hit[2]]}.weight"


def _tensor(config: Any, name: str, weight: Tensor) -> Tensor:
    if ".q_proj." in name:
        return in_pairs(weight, config.num_attention_heads)
    return in_pairs(weight, config.num_key_value_heads) if ".k_proj." in name else weight


def _params(config: Any, rope: Mapping[str, Any]) -> dict[str, Any]:
    """What LLaMA's own code needs to build the model. `multiple_of` and its factor give back the exact inner width."""
    kind = rope.get("rope_type", "default")
    if kind not in ("default", "llama3"):
        raise ModelError(f"params.json 没有 {kind} 位置编码的写法。请换一种导出格式。")
    multiple = 256 if config.intermediate_size % 256 == 0 else 1
    return {
        "dim": config.hidden_size,
        "n_layers": config.num_hidden_layers,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "vocab_size": config.vocab_size,
        "multiple_of": multiple,
        # LLaMA's code takes int(8/3 · dim), multiplies it by this factor, and rounds up to the multiple.
        "ffn_dim_multiplier": _multiplier(config.intermediate_size, config.hidden_size, multiple),
        "norm_eps": config.rms_norm_eps,
        "rope_theta": rope.get("rope_theta", 10000.0),
        "use_scaled_rope": kind == "llama3",
    }


def inner_width(dim: int, multiple_of: int, multiplier: float) -> int:
    """The width of the feed-forward layers as LLaMA's own code works it out from `params.json`."""
    inner = int(multiplier * int(2 * 4 * dim / 3))
    return multiple_of * ((inner + multiple_of - 1) // multiple_of)


def _multiplier(width: int, dim: int, multiple: int) -> float:
    """A factor that gives back the width; the plainest one that does."""
    exact = width / int(2 * 4 * dim / 3)
    for digits in range(18):
        factor = round(exact, digits)
        if inner_width(dim, multiple, factor) == width:
            return factor
    raise ModelError(f"params.json 写不出宽度 {width}（dim {dim}）。请换一种导出格式。")
