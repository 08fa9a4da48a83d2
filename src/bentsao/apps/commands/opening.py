"""The `--kb` flag of every command that reads a knowledge base."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from bentsao.knowledge.sample import sample_kb
from bentsao.knowledge.store import KnowledgeBase

Kb = Annotated[Path | None, Parameter(name="--kb", help="知识库文件；缺省为自带的示例知识库，首次使用时建立")]


@contextmanager
def opened(kb: Path | None) -> Generator[KnowledgeBase]:
    """The knowledge base to read; None: the sample, which is made when it is first used."""
    path = sample_kb(lambda line: Console(stderr=True).print(line, style="dim")) if kb is None else kb
    with KnowledgeBase.open(path) as store:
        yield store
