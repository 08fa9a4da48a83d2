"""From an adapter folder or a base's name to an engine, with the chat format that belongs to the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file, sha256_text
from bentsao.core.formats import ChatFormat
from bentsao.inference.transformers_engine import TransformersEngine
from bentsao.models.adapters import AdapterInfo, load_adapted
from bentsao.models.loading import Base, load_base, resolve_format


def open_engine(
    *,
    adapter: Path | None,
    base: str | None,
    chat_format: str | None,
    report: Callable[[str], None],
    device: str | None = None,
    dtype: str | None = None,
    quantization: Literal["4bit", "8bit"] | None = None,
    trust_remote_code: bool = False,
) -> TransformersEngine:
    """An engine for an adapter, or for an untuned base where `adapter` is None.

    base: with an adapter, the base to put it on instead of the one it was tuned on. chat_format: a name or file; None
    means the adapter's own format, or the base's. report: told of everything that may spoil the answers.
    Raises ConfigError if neither adapter nor base is given.
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
        part = f" + {adapter.name} ({_weights_hash(adapter)})"
    elif base is not None:
        loaded, part = load_base(base, **how), ""
        chosen = loaded.default_format if chat_format is None else resolve_format(chat_format, loaded.tokens)
    else:
        raise ConfigError(
            "没有指定模型。请用 --adapter DIR 给出适配器目录，或用 --base NAME 给出未微调的基座（如 embedded）。"
        )
    revision = f"@{loaded.revision}" if loaded.revision else ""
    precision = quantization or str(loaded.dtype).removeprefix("torch.")
    return TransformersEngine(loaded, chosen, name=f"{loaded.name}{revision} {precision}{part}")


def _adapter_format(info: AdapterInfo, loaded: Base, wanted: str | None, report: Callable[[str], None]) -> ChatFormat:
    """The format stored in the adapter, unless another one is wanted; a difference between them is told."""
    own = info.chat_format
    if wanted is None and own is None:
        report(
            f"警告：适配器 {info.folder} 里没有对话格式，按基座的 {loaded.default_format.name} 格式提问。"
            "如果它是用别的格式微调的，回答会变差；请用 --format 指定"
            "（原项目的权重用 med_template、bloom_deploy 或 literature_template）。"
        )
        return loaded.default_format
    chosen = own if wanted is None else resolve_format(wanted, loaded.tokens)
    assert chosen is not None
    return chosen


def _weights_hash(adapter: Path) -> str:
    """Of the adapter's weights, so that retraining into the same folder gives another engine."""
    return sha256_text("".join(sha256_file(file) for file in sorted(adapter.glob("*.safetensors"))))[:12]
