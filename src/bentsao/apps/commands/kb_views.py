"""What `bentsao kb show`, `search` and `link` print, for people and as JSON, and how all of `bentsao kb` prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bentsao.core.records import Fact
from bentsao.knowledge.contents import cited
from bentsao.knowledge.schema import ALIAS_TYPES, KINDS
from bentsao.knowledge.store import Entity, Hit

if TYPE_CHECKING:
    from bentsao.knowledge.linking import Linked, Match

POINTING = 8
"""Entities that a card lists of those that have this one as a value."""

NOTICE = Text("内容来自知识库，不构成诊断或治疗建议。", style="dim")


def plain(text: object) -> Text:
    """A text as it may stand on a terminal: without markup, and without characters that could rewrite the screen.

    Folded where it is too long for its place: Chinese has no blanks to break at, and rich would cut it.
    """
    return Text("".join(c if c.isprintable() or c == "\n" else "�" for c in str(text)), overflow="fold")


def display(*parts: RenderableType) -> None:
    """Print to standard output. Lines of text are left whole, for the terminal or another program to break."""
    console = Console(highlight=False)
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str | Text))


def print_json(value: Any) -> None:
    """Print to standard output as JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def table_of(*columns: str, title: str | None = None, figures: Iterable[int] = ()) -> Table:
    """A table; `figures`: the columns that hold numbers."""
    table = Table(*columns, title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in figures:
        table.columns[column].justify = "right"
    return table


def cut(text: str, length: int) -> str:
    """The beginning of a text that is too long, with a sign that there is more."""
    return text if len(text) <= length else text[: length - 1] + "…"


class _Sources:
    """Numbers the places that facts come from, in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, fact: Fact) -> str:
        place = cited(fact) + (f"（{fact.source.licence}）" if fact.source.licence else "")
        return f"[{self._numbers.setdefault(place, len(self._numbers) + 1)}]"

    def listed(self) -> Text:
        return plain("\n".join(f"[{number}] {place}" for place, number in self._numbers.items()))


def card(entity: Entity, facts: Sequence[Fact], pointing: Mapping[str, Sequence[Entity]]) -> RenderableType:
    """An entity for people: its names, every attribute with its values, and who says so."""
    sources = _Sources()
    body = Table.grid(padding=(0, 2))
    body.add_column(style="bold", no_wrap=True)
    body.add_column()
    for kind, label in ALIAS_TYPES.items():
        if names := [alias.text for alias in entity.aliases if alias.type == kind]:
            body.add_row(label, plain("、".join(names)))
    for attribute in dict.fromkeys(fact.attribute for fact in facts):
        lines = [_said(fact, sources) for fact in facts if fact.attribute == attribute]
        body.add_row(plain(attribute), Text("\n", overflow="fold").join(lines))
    for attribute, subjects in pointing.items():
        names = "、".join(subject.name for subject in subjects[:POINTING])
        more = f"……共 {len(subjects)} 个" if len(subjects) > POINTING else ""
        body.add_row(plain(f"← {attribute}"), plain(names + more))
    parts = (body, Text(), Text("来源", style="bold"), sources.listed(), NOTICE) if facts else (body,)
    title = plain(f"{entity.name}（{KINDS[entity.kind]}）")
    return Panel(Group(*parts), title=title, title_align="left")


def _said(fact: Fact, sources: _Sources) -> Text:
    """The values of a fact with its condition and the number of its source; running text a line each."""
    running = any(len(value) > 24 or "，" in value for value in fact.values)
    text = plain(("\n" if running else "、").join(fact.values))
    if fact.qualifier:
        text.append_text(plain(f"（{fact.qualifier}）"))
    return text.append(" " + sources.mark(fact), style="dim")


def entity_json(entity: Entity, facts: Sequence[Fact], pointing: Mapping[str, Sequence[Entity]]) -> dict[str, Any]:
    """An entity with its facts, and by attribute the names of those that have it as a value."""
    return {
        "name": entity.name,
        "kind": entity.kind,
        "aliases": [{"text": alias.text, "type": alias.type} for alias in entity.aliases],
        "facts": [fact.model_dump() for fact in facts],
        "pointing": {attribute: [subject.name for subject in subjects] for attribute, subjects in pointing.items()},
    }


def found(hits: Sequence[Hit]) -> RenderableType:
    """Search results, a line each."""
    table = table_of("", "找到", "内容", "来源", "相近", figures=[4])
    for hit in hits:
        if hit.entity:
            names = "、".join(alias.text for alias in hit.entity.aliases)
            row = (KINDS[hit.entity.kind], hit.entity.name, names and f"又名 {names}", "")
        elif hit.fact:
            row = ("事实", hit.fact.subject, f"{hit.fact.attribute}：{'、'.join(hit.fact.values)}", cited(hit.fact))
        elif hit.passage:
            of = hit.passage
            where = " ".join(filter(None, (of.journal, str(of.year or ""), of.identifier)))
            row = ("文献", of.title, cut(of.text, 80), where)
        else:
            continue
        table.add_row(*map(plain, row), f"{hit.score:.2f}")
    return table


# --- linking ---------------------------------------------------------------------------------------------------------


def linked(result: Linked, facts: Sequence[Fact]) -> list[RenderableType]:
    """What a question is about, and what the knowledge base says to it."""
    matches: dict[Match, str] = {
        "exact": "名称",
        "alias": "别名",
        "variant": "另一种写法",
        "homophone": "同音字",
        "misspelt": "错字或漏字",
        "history": "上文",
    }
    parts: list[RenderableType] = []
    if result.entities:
        table = table_of("实体", "类别", "问题里的写法", "位置", "依据", "得分", title="实体", figures=[5])
        for one in result.entities:
            where = f"{one.start}–{one.end}" if one.surface else ""
            cells = map(plain, (one.name, KINDS[one.kind], one.surface, where, matches[one.match]))
            table.add_row(*cells, f"{one.score:.2f}")
        parts.append(table)
    else:
        parts.append("没有认出知识库里的实体。")
    if result.ask_back:
        parts.append(plain(f"说法不止一种可能，请确认是哪一个：{'、'.join(result.ask_back)}"))
    named = "、".join(f"{one.name}（{one.score:.2f}）" for one in result.attributes)
    parts.append(plain(f"属性：{named or '没有问到具体的属性'}"))
    if facts:
        sources = _Sources()
        body = Table.grid(padding=(0, 2))
        for fact in facts:
            body.add_row(plain(fact.subject), plain(fact.attribute), _said(fact, sources))
        parts += [body, sources.listed(), NOTICE]
    elif result.entities and result.attributes:
        parts.append("知识库里没有这些实体的这些属性。")
    return parts


def linked_json(result: Linked, facts: Sequence[Fact]) -> dict[str, Any]:
    """The form that programs rely on. A fact has `qualifier` only where it holds under a condition."""
    entity = ("name", "kind", "surface", "start", "end", "score", "match")
    return {
        "entities": [{key: getattr(one, key) for key in entity} for one in result.entities],
        "attributes": [{"name": one.name, "score": one.score} for one in result.attributes],
        "facts": [fact.model_dump(exclude={"qualifier"} if fact.qualifier is None else None) for fact in facts],
    }
