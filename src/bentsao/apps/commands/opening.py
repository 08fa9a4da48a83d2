"""The `--kb` flag of every command that reads a knowledge base, and the texts that people type."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token
from rich.console import Console

from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase

Kb = Annotated[Path | None, Parameter(name="--kb", help="知识库文件；缺省为自带的示例知识库，首次使用时建立")]


@contextmanager
def opened(kb: Path | None) -> Generator[KnowledgeBase]:
    """The knowledge base to read; None: the sample, which is made when it is first used."""
    with KnowledgeBase.open(kb_path(kb)) as store:
        yield store


def kb_path(kb: Path | None) -> Path:
    """The knowledge base's file; None: the sample's, which is made when it is first used."""
    return kb or sample_kb(lambda line: Console(stderr=True).print(line, style="dim"))


def typed(_: object, tokens: Sequence[Token]) -> str:
    """What the user typed; bytes that are not in the terminal's encoding, which come as lone surrogates, as �."""
    return tokens[0].value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
