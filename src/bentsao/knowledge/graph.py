"""The neighbourhood of an entity as a picture: its attributes around it, their values around those.

Own radial layout: every value gets the same angle, its text runs outwards, so that nothing overlaps however many
there are. The picture is plain SVG, without scripts, fonts or anything from elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from bentsao.core.pages import html_page
from bentsao.core.records import Fact
from bentsao.knowledge.contents import cited, names_of, pointing
from bentsao.knowledge.schema import KINDS
from bentsao.knowledge.store import Entity, KnowledgeBase


@dataclass(frozen=True)
class Leaf:
    """A value, and in `note` under which condition it holds and who says so."""

    text: str
    note: str


@dataclass(frozen=True)
class Branch:
    """One attribute with its values.

    incoming: the attribute is the leaves', and the entity in the middle is the value.
    left_out: how many values are not drawn.
    """

    attribute: str
    leaves: tuple[Leaf, ...]
    incoming: bool = False
    left_out: int = 0


@dataclass(frozen=True)
class Neighbourhood:
    """An entity, what it has, and whose value it is."""

    entity: Entity
    facts: tuple[Fact, ...]
    branches: tuple[Branch, ...]


def neighbourhood(kb: KnowledgeBase, entity: Entity, limit: int = 12) -> Neighbourhood:
    """What is around an entity; `limit`: values drawn of one attribute at the most, 0 means all."""
    facts = tuple(kb.facts(entity.id))
    branches = [
        _branch(attribute, _own_leaves(fact for fact in facts if fact.attribute == attribute), False, limit)
        for attribute in dict.fromkeys(fact.attribute for fact in facts)
    ]
    for attribute, subjects in pointing(kb, names_of(entity)).items():
        leaves = [Leaf(subject.name, KINDS[subject.kind]) for subject in subjects if subject.id != entity.id]
        if leaves:
            branches.append(_branch(attribute, leaves, True, limit))
    return Neighbourhood(entity, facts, tuple(branches))


def _own_leaves(facts: Iterable[Fact]) -> list[Leaf]:
    notes: dict[str, dict[str, None]] = {}
    for fact in facts:
        note = (f"{fact.qualifier}；" if fact.qualifier else "") + f"来源：{cited(fact)}"
        for value in fact.values:
            notes.setdefault(value, {})[note] = None
    return [Leaf(value, "\n".join(told)) for value, told in notes.items()]


def _branch(attribute: str, leaves: Sequence[Leaf], incoming: bool, limit: int) -> Branch:
    drawn = tuple(leaves[:limit] if limit else leaves)
    return Branch(attribute, drawn, incoming, len(leaves) - len(drawn))


# --- drawing ---------------------------------------------------------------------------------------------------------

LINE = 18.0  # pixels of the circle that one value takes
CENTRE = 58.0  # radius of the entity in the middle
LEAF_TEXT = 22  # characters of a value that are drawn; all of it is in the note
COLOURS = ("#1b6ca8", "#b3541e", "#2e7d4f", "#7a4b9a", "#a83250", "#4d6b1e", "#246a73", "#8a6d1b")

_STYLE = (
    "text{font:12px 'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif;fill:#222}"
    ".a{font-weight:bold}.m{fill:#888}.e{font-size:14px;font-weight:bold;fill:#fff}"
    "path,line{fill:none;stroke-width:1.2;opacity:.55}"
)


def as_svg(around: Neighbourhood) -> str:
    """The picture as an SVG document."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_picture(around)}\n'


def as_html(around: Neighbourhood) -> str:
    """A page with the picture and, under it, every fact with its source."""
    title = _text(f"{around.entity.name}（{KINDS[around.entity.kind]}）")
    names = "、".join(alias.text for alias in around.entity.aliases)
    rows = "\n".join(
        f"<tr><td>{_text(fact.attribute)}</td><td>{_text('；'.join(fact.values))}</td>"
        f"<td>{_text(fact.qualifier or '')}</td><td>{_text(cited(fact))}</td><td>{_text(fact.source.licence)}</td></tr>"
        for fact in around.facts
    )
    body = (
        f"<h1>{title}</h1>"
        f"<p>{_text(f'别名：{names}') if names else ''}</p>"
        f"{_picture(around)}"
        "<h2>全部事实与来源</h2>"
        f"<table><tr><th>属性</th><th>值</th><th>限定</th><th>来源</th><th>许可</th></tr>{rows}</table>"
        "<p>本页由知识库自动生成，不能代替医生的诊断。</p>"
    )
    return html_page(f"{around.entity.name}（{KINDS[around.entity.kind]}）", body)


def _picture(around: Neighbourhood) -> str:
    """The <svg> element."""
    angles = _angles(around.branches)
    middles = [sum(each) / len(each) for each in angles]
    nearest = min((b - a for a, b in pairwise([*middles, *(math.tau + m for m in middles[:1])])), default=math.tau)
    inner = max(CENTRE + 25, LINE / nearest)
    label = max((_width(_label(branch)) for branch in around.branches), default=0.0)
    outer = max(inner + label + 50, sum(len(each) + 1 for each in angles) * LINE / math.tau)
    reach = max((_width(leaf.text) for branch in around.branches for leaf in _drawn(branch)), default=0.0)
    half = math.ceil(outer + reach + 20)
    parts: list[str] = []
    for number, branch in enumerate(around.branches):
        parts += _draw_branch(branch, COLOURS[number % len(COLOURS)], angles[number], inner, outer)
    name = _text(around.entity.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * half}" height="{2 * half}" '
        f'viewBox="{-half} {-half} {2 * half} {2 * half}" role="img" aria-label="{name}">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n"
        f'<rect x="{-half}" y="{-half}" width="{2 * half}" height="{2 * half}" fill="#fff"/>\n'
        + "\n".join(parts)
        + f"\n{_draw_centre(around.entity)}\n</svg>"
    )


def _angles(branches: Sequence[Branch]) -> list[list[float]]:
    """Where the leaves of each branch stand on the circle; between two branches one place is left free."""
    sizes = [len(_drawn(branch)) for branch in branches]
    step = math.tau / max(1, sum(sizes) + len(sizes))
    starts = [sum(sizes[:number]) + number for number in range(len(sizes))]
    return [[step * (start + at) for at in range(size)] for start, size in zip(starts, sizes, strict=True)]


def _draw_branch(branch: Branch, colour: str, angles: Sequence[float], inner: float, outer: float) -> list[str]:
    label = _label(branch)
    middle = sum(angles) / len(angles)
    end = inner + _width(label) + 8
    x, y = _at(middle, inner - 4)
    start = _at(middle, CENTRE)
    parts = [
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{x:.1f}" y2="{y:.1f}" stroke="{colour}"/>',
        _draw_text(label, middle, inner, "a", branch.attribute),
    ]
    bend = (end + outer) / 2
    for leaf, angle in zip(_drawn(branch), angles, strict=True):
        points = [_at(middle, end), _at(middle, bend), _at(angle, bend), _at(angle, outer - 4)]
        one, two, three, four = (f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{one} C{two} {three} {four}" stroke="{colour}"/>')
        parts.append(_draw_text(leaf.text, angle, outer, "v" if leaf.note else "m", leaf.note))
    return parts


def _draw_text(text: str, angle: float, radius: float, style: str, note: str) -> str:
    """A text that begins (on the left half: ends) at a point of the circle and runs along its ray."""
    left = math.sin(angle) < 0
    turn = math.degrees(angle) - 90 + (180 if left else 0)
    x, y = _at(angle, radius)
    title = f"<title>{_text(note)}</title>" if note else ""
    anchor = ' text-anchor="end"' if left else ""
    where = f'transform="translate({x:.1f} {y:.1f}) rotate({turn:.1f})"'
    return f'<text class="{style}"{anchor} dy=".35em" {where}>{title}{_text(text)}</text>'


def _draw_centre(entity: Entity) -> str:
    name = _shortened(entity.name, 24)
    size = max(5, math.ceil(len(name) / 4))
    lines = [name[at : at + size] for at in range(0, len(name), size)]
    top = -(len(lines) - 1) * 8.5
    spans = "".join(
        f'<tspan x="0" y="{top + 17 * number:.1f}" dy=".35em">{_text(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    return (
        f'<g><title>{_text(entity.name)}（{KINDS[entity.kind]}）</title><circle r="{CENTRE:.0f}" fill="#333"/>'
        f'<text class="e" text-anchor="middle">{spans}</text></g>'
    )


def _drawn(branch: Branch) -> tuple[Leaf, ...]:
    """The leaves as they are drawn: long ones shortened with the whole in the note, and one for those left out."""
    leaves = tuple(
        Leaf(
            _shortened(leaf.text, LEAF_TEXT), leaf.note if len(leaf.text) <= LEAF_TEXT else f"{leaf.text}\n{leaf.note}"
        )
        for leaf in branch.leaves
    )
    return (*leaves, Leaf(f"…… 另有 {branch.left_out} 个", "")) if branch.left_out else leaves


def _label(branch: Branch) -> str:
    return f"← {branch.attribute}" if branch.incoming else branch.attribute


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _at(angle: float, radius: float) -> tuple[float, float]:
    """The point of a circle; angles run clockwise from the top."""
    return radius * math.sin(angle), -radius * math.cos(angle)


def _width(text: str) -> float:
    """About how many pixels wide a text is drawn."""
    return sum(12.5 if ord(character) > 0x2E80 else 7.5 for character in text)


def _text(text: str) -> str:
    """A text as it may stand in XML: escaped, and without the characters that XML does not have."""
    return escape(_NOT_XML.sub("�", text))


_NOT_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
