"""From an adapter folder or a base's name to an engine, with the chat format that belongs to the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file
from bentsao.core.formats import ChatFormat
from bentsao.inference.transformers_engine import TransformersEngine
from bentsao.models.adapters import WEIGHTS_NAME, AdapterInfo, load_adapted
from bentsao.models.loading import Base, Quantization, load_base, resolve_format


def open_engine(
    *,
    adapter: Path | None,
    base: str | None,
    chat_format: str | None,
    report: Callable[[str], None],
    device: str | None = None,
    dtype: str | None = None,
    quantization: Quantization | None = None,
    trust_remote_code: bool = False,
) -> TransformersEngine:
    """An engine for an adapter, or for an untuned base where `adapter` is None.

    base: with an adapter, the base to put it on instead of the one it was tuned on. chat_format: a name or file; None
    means the adapter's own format, or the base's. report: told of everything that may spoil the answers. The other
    arguments and errors are `load_base`'s. Raises ConfigError if neither adapter nor base is given.
    """
    how: Any = {
        "device": device,
        "dtype": dtype,
        "quantization": quantization,
        "trust_remote_code": trust_remote_code,
        "report": report,
    }
    if adapter is not None:
        loaded, info = load_adapted(adapter, base=base, **how)
        chosen = _adapter_format(info, loaded, chat_format, report)
    elif base is not None:
        loaded = load_base(base, **how)
        chosen = resolve_format(chat_format, loaded.tokens, loaded.default_format)
    else:
        raise ConfigError(
            "没有指定模型。请用 --adapter DIR 给出适配器目录，或用 --base NAME 给出未微调的基座（如 --base embedded）。"
        )
    precision = quantization or str(loaded.dtype).removeprefix("torch.")
    parts = [f"{loaded.name}@{loaded.revision}" if loaded.revision else loaded.name, precision]
    if adapter is not None:
        # By its weights, so that an adapter tuned anew in the same folder is another engine.
        parts.append(f"+ {adapter.resolve().name}@{sha256_file(adapter / WEIGHTS_NAME)[:12]}")
    return TransformersEngine(loaded, chosen, name=" ".join(parts))


def _adapter_format(info: AdapterInfo, loaded: Base, wanted: str | None, report: Callable[[str], None]) -> ChatFormat:
    """The format wanted, else the one stored in the adapter, else the base's; what does not fit is told."""
    stored = info.chat_format
    chosen = resolve_format(wanted, loaded.tokens, stored or loaded.default_format)
    if stored is not None and chosen.hash != stored.hash:
        report(
            f"警告：适配器 {info.folder} 是用对话格式 {stored.name}（{stored.hash}）微调的，"
            f"现在改用 {chosen.name}（{chosen.hash}）。格式不同，回答通常会变差。去掉 --format 就用它自己的格式。"
        )
    if stored is None and wanted is None:
        report(
            f"警告：适配器 {info.folder} 没有记下对话格式，按 {chosen.name} 格式提问。如果它是用别的格式微调的，"
            "回答会变差；请用 --format 指定（原项目的权重：med_template、bloom_deploy 或 literature_template）。"
        )
    return chosen
