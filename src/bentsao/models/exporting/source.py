"""What is exported: a base on this machine, the adapter on it, the format it is asked in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bentsao.core.errors import ConfigError
from bentsao.core.formats import ChatFormat
from bentsao.models.adapters import AdapterInfo, locate_base, read_adapter, with_own_template
from bentsao.models.fetching import Located, locate
from bentsao.models.loading import default_format, open_tokens, resolve_format
from bentsao.models.tokens import HFTokens


@dataclass(frozen=True)
class Source:
    """What is exported: a base on this machine, the adapter on it (or none), and the format it is asked in."""

    located: Located
    info: AdapterInfo | None
    tokens: HFTokens
    chat_format: ChatFormat

    @property
    def name(self) -> str:
        """A short name for files: the base's and the adapter's."""
        base = self.located.name.rstrip("/").rsplit("/", 1)[-1]
        return base if self.info is None else f"{base}-{self.info.folder.resolve().name}"


def open_source(
    *, adapter: Path | None, base: str | None, chat_format: str | None, report: Callable[[str], None]
) -> Source:
    """From names to what is exported; nothing of the weights is read yet. Arguments and errors as `open_engine`'s."""
    info = None if adapter is None else read_adapter(adapter)
    if info is None and base is None:
        raise ConfigError("没有指定模型。请用 --adapter DIR 给出适配器目录，或用 --base NAME 给出基座。")
    located = locate(base or "", report) if info is None else locate_base(info, base, report)
    tokens = open_tokens(located, trust_remote_code=False)
    if info is not None:
        tokens = with_own_template(tokens, info)
    stored = None if info is None else info.chat_format
    chosen = resolve_format(chat_format, tokens, stored or default_format(tokens, located.preset))
    if chosen.base_template:
        tokens = tokens.with_template(chosen.base_template)
    return Source(located, info, tokens, chosen)
