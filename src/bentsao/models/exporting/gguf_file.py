"""A merged Hugging Face folder as a GGUF file, for llama.cpp and all that is built on it.

Written with the `gguf` package, one weight at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from gguf import (
    MODEL_ARCH,
    MODEL_ARCH_NAMES,
    GGMLQuantizationType,
    GGUFWriter,
    LlamaFileType,
    RopeScalingType,
    get_tensor_name_map,
)
from gguf.quants import quantize
from torch import Tensor
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from bentsao.core.errors import ModelError
from bentsao.models.exporting.consolidated import in_pairs
from bentsao.models.exporting.gguf_vocabulary import add_vocabulary
from bentsao.models.exporting.quantising import kind_of, pack, stored_bytes
from bentsao.models.exporting.stored import Tensors
from bentsao.models.tokens import HFTokens


@dataclass(frozen=True)
class _Architecture:
    """llama.cpp's name; whether it wants queries and keys in pairs; what it wants added to the norms' weights."""

    kind: MODEL_ARCH
    pairs: bool = False
    shift: float = 0.0


ARCHITECTURES = {
    "gemma3_text": _Architecture(MODEL_ARCH.GEMMA3, shift=1.0),
    "llama": _Architecture(MODEL_ARCH.LLAMA, pairs=True),
    "mistral": _Architecture(MODEL_ARCH.LLAMA, pairs=True),
    "qwen2": _Architecture(MODEL_ARCH.QWEN2),
    "qwen3": _Architecture(MODEL_ARCH.QWEN3),
}
"""By the model_type of a config.json. Add one here together with its test."""

_FILE_TYPES = {
    "F16": LlamaFileType.MOSTLY_F16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q4_K_M": LlamaFileType.MOSTLY_Q4_K_M,
}


def check_gguf(config: Any) -> None:
    """Raises ModelError for a configuration that llama.cpp would compute otherwise, or not at all."""
    kind = config.model_type
    if kind not in ARCHITECTURES:
        raise ModelError(f"架构 {kind} 还不能写成 GGUF，可以的有：{'、'.join(ARCHITECTURES)}。")
    size = _head_size(config)
    wrong: list[str] = []
    if kind == "gemma3_text":
        pattern = [
            "full_attention" if layer % 6 == 5 else "sliding_attention" for layer in range(config.num_hidden_layers)
        ]
        wrong += ["layer_types"] if list(config.layer_types) != pattern else []
        wrong += ["query_pre_attn_scalar"] if config.query_pre_attn_scalar != size else []
        wrong += ["attn_logit_softcapping"] if config.attn_logit_softcapping else []
    if _rope(config).get("rope_type", "default") not in ("default", "linear", "llama3"):
        wrong.append("rope_type")
    if wrong:
        raise ModelError(f"这个模型的 {'、'.join(wrong)} 与 llama.cpp 里写死的不同，不能写成 GGUF。")


def write_gguf(
    file: Path,
    stored: Tensors,
    dress: Path,
    form: str,
    *,
    tokens: HFTokens,
    template: str,
    name: str,
    stops: frozenset[int],
) -> None:
    """Write the file.

    dress: the folder of the model's configuration and tokenizer. form: a name of _FILE_TYPES.
    template: the chat template, in Jinja. stops: the tokens that end an answer.
    Raises ModelError for a model that llama.cpp has no place for.
    """
    config: Any = AutoConfig.from_pretrained(dress)
    check_gguf(config)
    known = ARCHITECTURES[config.model_type]
    names = get_tensor_name_map(known.kind, config.num_hidden_layers)
    writer = GGUFWriter(file, MODEL_ARCH_NAMES[known.kind])
    outputs = {source: _own_name(names, source) for source in stored.shapes if "rotary_emb" not in source}
    rows = next(stored.shapes[source][0] for source, own in outputs.items() if own == "token_embd.weight")
    _add_facts(writer, config, name, form)
    add_vocabulary(writer, dress, tokens, rows=rows, stops=stops)
    writer.add_chat_template(template)
    factors = _rope_factors(config)
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
    tied = "output.weight" not in outputs.values()
    kinds: dict[str, GGMLQuantizationType] = {}
    for source, own in outputs.items():
        shape = stored.shapes[source]
        kinds[own] = kind_of(form, own, shape, layers=config.num_hidden_layers, tied=tied)
        size = stored_bytes(shape, kinds[own])
        writer.add_tensor_info(own, shape, np.dtype(np.float32), size, raw_dtype=kinds[own])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for source, own in outputs.items():
        writer.write_tensor_data(_numbers(_prepared(config, known, stored, source), kinds[own]))
    writer.close()


def _own_name(names: Any, source: str) -> str:
    own = names.get_name(source, try_suffixes=(".weight", ".bias"))
    if own is None:
        raise ModelError(f"llama.cpp 没有 {source} 这个权重，不能写成 GGUF。")
    return own


def _add_facts(writer: GGUFWriter, config: Any, name: str, form: str) -> None:
    size, rope = _head_size(config), _rope(config)
    window = getattr(config, "sliding_window", None)
    context = config.max_position_embeddings
    writer.add_name(name)
    writer.add_file_type(_FILE_TYPES[form])
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10000.0)))
    writer.add_rope_dimension_count(size)
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    if config.model_type == "gemma3_text":
        writer.add_sliding_window(config.sliding_window)
        if config.final_logit_softcapping:
            writer.add_final_logit_softcapping(config.final_logit_softcapping)
    elif window and config.model_type == "mistral":
        context = min(context, window)  # llama.cpp attends to all; within the window that is the same
    writer.add_context_length(context)
    writer.add_vocab_size(config.vocab_size)


def _rope(config: Any) -> dict[str, Any]:
    """How positions turn, in the layers that attend to everything."""
    rope = dict(getattr(config, "rope_parameters", None) or {})
    return dict(rope.get("full_attention", rope))


def _rope_factors(config: Any) -> Any:
    """By how much each frequency is divided where that is not the same for all (Llama 3); else None."""
    if _rope(config).get("rope_type") != "llama3":
        return None
    size = _head_size(config)
    plain = 1.0 / _rope(config)["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    scaled, _ = cast(Any, ROPE_INIT_FUNCTIONS["llama3"])(config, torch.device("cpu"))
    return (plain / scaled).numpy().astype(np.float32)


def _head_size(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _prepared(config: Any, known: _Architecture, stored: Tensors, source: str) -> Tensor:
    weight = stored.read(source)
    if known.shift and source.endswith("norm.weight"):
        weight = weight.float() + known.shift
    if known.pairs and ".q_proj." in source:
        return in_pairs(weight, config.num_attention_heads)
    if known.pairs and ".k_proj." in source:
        return in_pairs(weight, config.num_key_value_heads)
    return weight


def _numbers(weight: Tensor, kind: GGMLQuantizationType) -> Any:
    if kind == GGMLQuantizationType.F16:
        half = weight.to(torch.float16)
        if not bool(torch.isfinite(half).all()):
            raise ModelError("有的权重超出了 F16 的范围（65504）。请用 gguf-q8_0。")
        return half.contiguous().numpy()
    full = weight.float().contiguous().numpy()
    if kind == GGMLQuantizationType.F32:
        return full
    return quantize(full, kind) if kind == GGMLQuantizationType.Q8_0 else pack(full, kind)
