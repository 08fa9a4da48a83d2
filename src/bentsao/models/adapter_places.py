"""From what a person names as an adapter to one plain folder on this machine, in the form of today's PEFT.

A name is a folder, a Hugging Face id, or several of them joined: `A+B` puts B on top of A (as when B was tuned on a
base that A had been merged into), `0.7*A+0.3*B` weighs them. What must be made (fetched, converted, combined) is made
once, in the cache, under a hash of all that decides it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentsao.core.errors import ConfigError, MissingError, ModelError
from bentsao.core.files import cache_folder, sha256_file, sha256_text
from bentsao.core.formats import FILE_NAME
from bentsao.models.adapter_combining import combine
from bentsao.models.adapter_files import (
    CONFIG_NAME,
    PICKLE_NAME,
    WEIGHTS_NAME,
    config_faults,
    mended,
    read_adapter_files,
    read_config,
    read_weights,
    weight_shapes,
    weights_file,
    write_plain,
)
from bentsao.models.fetching import HUB_ID, explained, not_here, snapshot
from bentsao.models.locking import alone

MANIFEST_NAME = "bentsao.json"
"""The manifest's name in an adapter folder; `tuning/adapter.py` writes it."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
"""A tokenizer that comes with an adapter, because it has more words than the base's."""

_BESIDE = (FILE_NAME, MANIFEST_NAME, *TOKENIZER_FILES)
_PART = re.compile(r"(?:(?P<weight>[0-9.eE-]+)\s*\*)?\s*(?P<name>.+?)\s*")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One of several adapters, and how much of it."""

    name: str
    weight: float


def settle(given: Path, report: Report = lambda _: None) -> Path:
    """The folder of what is named, in today's form. A folder that is so already is returned as it is.

    report: told of what is done. Raises MissingError, ConfigError or ModelError.
    """
    return _plain(place(given, report), report)


def place(given: Path, report: Report = lambda _: None) -> Path:
    """The folder of what is named, in the form it has. Raises MissingError, ConfigError or ModelError."""
    if given.is_dir():
        return given
    parts = parse(given.as_posix())
    if len(parts) > 1 or parts[0].weight != 1:
        return _combined(parts, [settle(Path(part.name), report) for part in parts], report)
    if why := not_here(given):
        raise MissingError(why)
    if not HUB_ID.fullmatch(parts[0].name):
        raise MissingError(f"找不到适配器目录 {given}。请检查路径。")
    return _fetch(parts[0].name, report)


def parse(text: str) -> list[Part]:
    """`0.7*A+0.3*B` → its parts; a name alone is one part of weight 1. Raises ConfigError."""
    out: list[Part] = []
    for piece in text.split("+"):
        found = _PART.fullmatch(piece)
        try:
            weight = float(found["weight"]) if found and found["weight"] else 1.0
        except ValueError:
            weight = math.nan
        if found is None or not math.isfinite(weight) or weight == 0:
            raise ConfigError(f"看不懂适配器 {text!r}。请写目录、Hugging Face 编号，或 A+B、0.7*A+0.3*B。")
        out.append(Part(found["name"], weight))
    return out


def stacked(given: Path) -> bool:
    """Whether several adapters are named."""
    return not given.is_dir() and len(parse(given.as_posix())) > 1


def beside(folder: Path) -> dict[str, Path]:
    """The files beside an adapter's own two that belong to it, by name."""
    return {name: folder / name for name in _BESIDE if (folder / name).is_file()}


def convert_folder(folder: Path, out: Path, alpha: float | None = None) -> list[str]:
    """Write an adapter of any age in today's form to `out`; returns what was changed.

    alpha: what to put where it is lost. Raises ModelError with everything that cannot be mended.
    """
    config, weights = read_config(folder), read_weights(folder)
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    config, notes = mended(config, shapes, alpha)
    faults = config_faults(config, shapes)
    if faults:
        raise ModelError(f"适配器 {folder} 不能转换：\n" + "\n".join(f"  {fault}" for fault in faults))
    if weights_file(folder).name == PICKLE_NAME:
        notes.insert(0, f"{PICKLE_NAME} → {WEIGHTS_NAME}（{len(weights)} 个张量）")
    write_plain(out, config, weights, beside(folder))
    return notes


def _plain(folder: Path, report: Report) -> Path:
    """The folder itself, or its conversion; one that has nothing to convert goes back for its reader to say so."""
    if not (folder / CONFIG_NAME).is_file() or (folder / WEIGHTS_NAME).is_file():
        return folder
    if not (folder / PICKLE_NAME).is_file():
        return folder
    weight_shapes(folder)  # before a hash is taken of what is no adapter
    files = [folder / CONFIG_NAME, folder / PICKLE_NAME, *beside(folder).values()]
    out = _made("converted", folder.resolve().name, [sha256_file(file) for file in files])
    with alone(out.with_suffix(".lock"), report, "另一个进程正在转换这个适配器，等它完成……"):
        if not out.is_dir():
            notes = convert_folder(folder, out)
            report(f"{folder} 的权重是 pickle，已转换为 safetensors，放在 {out}（{'；'.join(notes)}）。")
    return out


def _combined(parts: Sequence[Part], folders: Sequence[Path], report: Report) -> Path:
    hashes = [sha256_file(folder / name) for folder in folders for name in (CONFIG_NAME, WEIGHTS_NAME)]
    hashes += [sha256_file(file) for folder in folders for file in beside(folder).values()]
    label = "+".join(Path(part.name).name for part in parts)
    out = _made("combined", label, [*(repr(part.weight) for part in parts), *hashes])
    with alone(out.with_suffix(".lock"), report, "另一个进程正在合并这些适配器，等它完成……"):
        if not out.is_dir():
            combine_folders(folders, [part.weight for part in parts], out, report)
            report(f"{len(parts)} 个适配器已合成一个，放在 {out}。")
    return out


def combine_folders(
    folders: Sequence[Path], weights: Sequence[float], out: Path, report: Report = lambda _: None
) -> None:
    """Write the sum of plain adapter folders, each times its weight, as one adapter to `out` (see `combine`).

    Chat format, tokenizer and base: the tokenizer and the base of the first that has one, the chat format of the last.
    """
    adapters = [read_adapter_files(folder) for folder in folders]
    config, tensors = combine(adapters, weights)
    named: list[tuple[Path, str]] = []
    more: dict[str, Path] = {}
    data: dict[str, str] = {}
    tuned: list[dict[str, object]] = []
    first_base: dict[str, object] | None = None
    for folder, adapter in zip(folders, adapters, strict=True):
        found = beside(folder)
        manifest = json.loads(found.pop(MANIFEST_NAME).read_text("utf-8")) if MANIFEST_NAME in found else {}
        base = dict(manifest.get("base") or {})
        base = base or {
            "name": adapter.config.get("base_model_name_or_path"),
            "revision": adapter.config.get("revision"),
        }
        data |= dict(manifest.get("data") or {})
        tuned.append({key: manifest[key] for key in _TUNED_ON if key in manifest})
        if base.get("name"):
            named.append((folder, str(base["name"])))
            first_base = first_base or base
        if set(more) & set(TOKENIZER_FILES):
            found = {name: file for name, file in found.items() if name not in TOKENIZER_FILES}
        more |= found
    for folder, name in named[1:]:
        if name != named[0][1]:
            report(
                f"警告：{folder} 记下的基座是 {name}，{named[0][0]} 的是 {named[0][1]}；"
                "只有前者就是后者合并了前面的适配器时，叠起来才对。"
            )
    config["base_model_name_or_path"] = named[0][1] if named else None
    parts = [
        {"name": folder.resolve().name, "weight": weight, "sha256": sha256_file(folder / WEIGHTS_NAME), "tuned": on}
        for folder, weight, on in zip(folders, weights, tuned, strict=True)
    ]
    manifest = {"base": first_base or {}, "combined": parts, "data": data}
    write_plain(out, config, tensors, more, {MANIFEST_NAME: manifest})


_TUNED_ON = ("data", "learnt", "valid_ids", "recipe", "combined")
"""What a manifest says of the data: each part of a sum keeps its own."""


def _made(kind: str, label: str, parts: Sequence[str]) -> Path:
    """Where in the cache something made of these parts is; its name is how people know it."""
    key = sha256_text("\n".join([kind, *parts]))[:24]
    return cache_folder() / "adapters" / key / re.sub(r"[^\w.+-]", "_", label)


def _fetch(hub_id: str, report: Report) -> Path:
    """The repository of an adapter, without any base that may lie in it."""
    with explained(hub_id, None):
        report(f"正在从 Hugging Face 取适配器 {hub_id}（已有的部分不会重复下载）……")
        folder = snapshot(hub_id, None, [CONFIG_NAME, WEIGHTS_NAME, *_BESIDE])
        if not (folder / WEIGHTS_NAME).is_file():
            folder = snapshot(hub_id, None, [CONFIG_NAME, PICKLE_NAME, *_BESIDE])
    return folder
