"""A base with its adapter merged, as a Hugging Face folder: weights, tokenizer, chat template.

The weights go through memory one at a time, so a model of any size is merged in what its largest weight takes; a run
that was killed goes on behind the last shard that it wrote.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from bentsao.core.errors import ModelError
from bentsao.core.files import read_json_object, whole_file, write_json
from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import stop_ids
from bentsao.models.adapters import AdapterInfo
from bentsao.models.chatglm import register
from bentsao.models.exporting.deltas import Change, match, read_changes
from bentsao.models.exporting.stored import Tensors, stored_tensors, write_safetensors
from bentsao.models.exporting.templates import jinja_template
from bentsao.models.fetching import Located
from bentsao.models.tokens import HFTokens

SHARD_BYTES = 5_000_000_000
"""The most bytes of a shard; a single weight may be larger."""

_KEPT = ("LICENSE*", "NOTICE*", "USE_POLICY*")
"""Files of the base's that must go along with its weights."""


@dataclass(frozen=True)
class _Plan:
    """The weights that are to be written, in order. `sources`: what each is made from; `changes`: what happens to it.

    untied: the head gets weights of its own, because the adapter changes it or the embedding, and not both alike.
    """

    outputs: dict[str, tuple[torch.dtype, tuple[int, ...]]]
    sources: dict[str, str]
    changes: dict[str, Change]
    untied: bool
    rows: int | None


@dataclass(frozen=True)
class Merged:
    """The merged model as it would be stored: `tensors.read` merges a weight when it is asked for."""

    tensors: Tensors
    plan: _Plan


def merged_tensors(located: Located, info: AdapterInfo | None, dtype: torch.dtype | None = None) -> Merged:
    """The weights of a base with an adapter on it.

    dtype: of the weights; None keeps each as the base stores it. The sums are made in float32 and rounded once.
    Raises ModelError where adapter and base do not fit.
    """
    stored = stored_tensors(located.folder)
    plan = _plan(located, info, stored, dtype)
    shapes = {name: shape for name, (_, shape) in plan.outputs.items()}
    dtypes = {name: number for name, (number, _) in plan.outputs.items()}
    return Merged(Tensors(shapes, dtypes, lambda name: _make(plan, stored, name)), plan)


def write_weights(folder: Path, merged: Merged, report: Callable[[str], None], shard_bytes: int = SHARD_BYTES) -> None:
    """Write the weights in shards; those that are in the folder already are kept."""
    outputs = merged.plan.outputs
    shards = _shards(merged.plan, shard_bytes)
    for number, (file, names) in enumerate(shards.items(), start=1):
        if (folder / file).is_file():
            report(f"  {number}/{len(shards)} {file} 上次已经写好。")
            continue
        with whole_file(folder / file) as temporary:
            write_safetensors(temporary, {name: outputs[name] for name in names}, merged.tensors.read)
        if len(shards) > 1:
            report(f"  {number}/{len(shards)} {file}")
    if len(shards) > 1:
        index = {name: file for file, names in shards.items() for name in names}
        total = sum(_size(*output) for output in outputs.values())
        write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


def write_dress(
    folder: Path,
    located: Located,
    merged: Merged,
    *,
    tokens: HFTokens,
    chat_format: ChatFormat,
    dtype: torch.dtype | None,
) -> None:
    """Write all but the weights: configuration, tokenizer with its chat template, the base's licence."""
    _write_config(folder, located, merged.plan, dtype)
    write_tokenizer(folder, tokens, chat_format)
    _write_generation(folder, located, tokens, chat_format)
    for pattern in _KEPT:
        for file in located.folder.glob(pattern):
            shutil.copyfile(file, folder / file.name)


def _plan(located: Located, info: AdapterInfo | None, stored: Tensors, dtype: torch.dtype | None) -> _Plan:
    embedding, head, tied = _ends(located.folder)
    found = {} if info is None else read_changes(info.folder)
    names = list(stored.shapes)
    kept = {wanted: next((name for name in names if _same(name, wanted)), wanted) for wanted in (embedding, head)}
    embedding, head = kept[embedding], kept[head]
    changes = match(found, names, folder=info.folder if info else Path(), head=head, embedding=embedding)
    untied = tied and bool({embedding, head} & changes.keys())
    sources = {name: name for name in names if not (tied and name == head)}
    if untied:
        sources[head] = embedding
    outputs: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
    for name, source in sources.items():
        change = changes.get(name)
        own = stored.dtypes[source]
        shape = change.shape if change is not None and change.shape is not None else stored.shapes[source]
        outputs[name] = (dtype if dtype is not None and own.is_floating_point else own, shape)
    rows = changes[embedding].shape if embedding in changes else None
    return _Plan(outputs, sources, changes, untied, rows[0] if rows else None)


def _same(stored: str, name: str) -> bool:
    """Whether a stored weight is that of the model's; one of them may have an outer prefix that the other lacks."""
    return stored == name or stored.endswith("." + name) or name.endswith("." + stored)


def _ends(folder: Path) -> tuple[str, str, bool]:
    """The names of the embedding's and the head's weights in the model, and whether they are one."""
    register()
    try:
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(f"{folder} 的架构不认识，不能逐片合并：{str(error).splitlines()[0]}") from None
    modules = {module: name for name, module in model.named_modules()}
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    tied = bool(getattr(config.get_text_config(), "tie_word_embeddings", False))
    return f"{modules[first]}.weight", f"{modules[last]}.weight", tied


def _shards(plan: _Plan, most: int) -> dict[str, list[str]]:
    """The weights in files, in order, each file as full as may be."""
    groups: list[list[str]] = [[]]
    size = 0
    for name, output in plan.outputs.items():
        if groups[-1] and size + _size(*output) > most:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += _size(*output)
    if len(groups) == 1:
        return {"model.safetensors": groups[0]}
    return {f"model-{at:05d}-of-{len(groups):05d}.safetensors": names for at, names in enumerate(groups, start=1)}


def _size(dtype: torch.dtype, shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel() * dtype.itemsize


def _make(plan: _Plan, stored: Tensors, name: str) -> Tensor:
    dtype, _ = plan.outputs[name]
    weight = stored.read(plan.sources[name])
    change = plan.changes.get(name)
    if change is None:
        return weight.to(dtype)
    merged = change.apply(weight.float())
    if not bool(torch.isfinite(merged).all()):
        raise ModelError(f"合并后 {name} 里有 NaN 或无穷大。适配器或基座已损坏，或 {dtype} 放不下这样大的数。")
    return merged.to(dtype)


def _write_config(folder: Path, located: Located, plan: _Plan, dtype: torch.dtype | None) -> None:
    config: dict[str, Any] = read_json_object(located.folder / "config.json")
    config.pop("_name_or_path", None)
    for part in _texts(config):
        if plan.untied:
            part["tie_word_embeddings"] = False
        if plan.rows is not None and "vocab_size" in part:
            part["vocab_size"] = plan.rows
        if dtype is not None:
            part.pop("torch_dtype", None)
            part["dtype"] = str(dtype).removeprefix("torch.")
    write_json(folder / "config.json", config)


def _texts(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A config and the part of it that is about text, in models that see images too."""
    yield config
    if isinstance(inner := config.get("text_config"), dict):
        yield cast("dict[str, Any]", inner)


def write_tokenizer(folder: Path, tokens: HFTokens, chat_format: ChatFormat) -> None:
    """Write the tokenizer with the format as its chat template."""
    tokenizer: Any = tokens.tokenizer
    before = tokenizer.chat_template
    tokenizer.chat_template = jinja_template(chat_format, tokens)
    try:
        tokenizer.save_pretrained(str(folder))
    finally:
        tokenizer.chat_template = before


def _write_generation(folder: Path, located: Located, tokens: HFTokens, chat_format: ChatFormat) -> None:
    """The base's settings, with the tokens that end an answer in this format."""
    own = located.folder / "generation_config.json"
    settings: Mapping[str, Any] = read_json_object(own) if own.is_file() else {}
    ends = sorted(stop_ids(chat_format, tokens))
    write_json(folder / "generation_config.json", {**settings, "eos_token_id": ends if len(ends) > 1 else ends[0]})
