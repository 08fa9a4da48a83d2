"""The model that was chosen, before any of its weights are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file
from bentsao.core.formats import ChatFormat
from bentsao.models.adapters import WEIGHTS_NAME, AdapterInfo, adapter_tokens, load_onto, locate_base, read_adapter
from bentsao.models.fetching import Located, locate
from bentsao.models.loading import Base, Quantization, default_format, load_base, open_tokens, resolve_format
from bentsao.models.tokens import HFTokens


@dataclass(frozen=True)
class Wanted:
    """How a model is to be run; None leaves the choice to the engine. gpus: over how many it is spread."""

    device: str | None = None
    dtype: str | None = None
    quantization: Quantization | None = None
    gpus: int = 1


@dataclass(frozen=True)
class ChosenModel:
    """An adapter on its base (or on `base`), or an untuned base where `adapter` is None.

    wanted_format: a chat format's name or file; None takes the adapter's own, or the base's. report: told of everything
    that may spoil the answers. Raises ConfigError if neither adapter nor base is given.
    """

    adapter: Path | None
    base: str | None
    wanted_format: str | None
    trust_remote_code: bool
    report: Callable[[str], None]

    def __post_init__(self) -> None:
        if self.adapter is None and self.base is None:
            raise ConfigError(
                "没有指定模型。请用 --adapter DIR 给出适配器目录，或用 --base NAME 给出未微调的基座"
                "（如 --base embedded）。"
            )

    @cached_property
    def info(self) -> AdapterInfo | None:
        """What the adapter says of itself. Errors as `read_adapter`."""
        return None if self.adapter is None else read_adapter(self.adapter, self.report)

    @cached_property
    def located(self) -> Located:
        """The base on this machine; fetched where it is not. Errors as `locate`."""
        if self.info is None:
            return locate(self.base or "", self.report)
        return locate_base(self.info, self.base, self.report)

    @property
    def folder(self) -> Path | None:
        """Where the adapter lies."""
        return None if self.info is None else self.info.folder

    def load(self, wanted: Wanted) -> Base:
        """With transformers, the adapter on the base."""
        every: Any = {
            "device": wanted.device,
            "dtype": wanted.dtype,
            "quantization": wanted.quantization,
            "trust_remote_code": self.trust_remote_code,
            "report": self.report,
        }
        return load_base(self.located, **every) if self.info is None else load_onto(self.located, self.info, **every)

    def dressed(self) -> tuple[HFTokens, ChatFormat]:
        """The tokens and the chat format, for engines that load the weights themselves."""
        plain = open_tokens(self.located, self.trust_remote_code)
        own = plain
        if self.info is not None:
            own = adapter_tokens(self.located, self.info, plain, trust_remote_code=self.trust_remote_code)
        return self.dress(own, default_format(plain, self.located.preset, self.located.folder))

    def dress(self, tokens: HFTokens, default: ChatFormat) -> tuple[HFTokens, ChatFormat]:
        """The chat format, and the tokens with its template where it is a base's."""
        chosen = self._format(tokens, default)
        # The format's own text counts, also where it came from a file and the base has another.
        return (tokens.with_template(chosen.base_template) if chosen.base_template else tokens), chosen

    def _format(self, tokens: HFTokens, default: ChatFormat) -> ChatFormat:
        """The format wanted, else the one stored in the adapter, else the base's; what does not fit is told."""
        if self.info is None:
            return resolve_format(self.wanted_format, tokens, default)
        stored = self.info.chat_format
        chosen = resolve_format(self.wanted_format, tokens, stored or default)
        if stored is not None and chosen.hash != stored.hash:
            self.report(
                f"警告：适配器 {self.info.name} 是用对话格式 {stored.name}（{stored.hash}）微调的，"
                f"现在改用 {chosen.name}（{chosen.hash}）。格式不同，回答通常会变差。去掉 --format 就用它自己的格式。"
            )
        if stored is None and self.wanted_format is None:
            self.report(
                f"警告：适配器 {self.info.name} 没有记下对话格式，按 {chosen.name} 格式提问。"
                "如果它是用别的格式微调的，回答会变差；请用 --format 指定"
                "（原项目的权重：med_template、bloom_deploy 或 literature_template）。"
            )
        return chosen

    def name(self, engine: str, precision: str) -> str:
        """Base, engine, precision and adapter; the adapter by its weights, so that one tuned anew is another."""
        base = f"{self.located.name}@{self.located.revision}" if self.located.revision else self.located.name
        parts = [base, engine, precision]
        if self.info is not None:
            parts.append(f"+ {self.info.name}@{sha256_file(self.info.folder / WEIGHTS_NAME)[:12]}")
        return " ".join(parts)
