"""What `bentsao kb import`, `stats`, `check`, `diff`, `export` and `graph` report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from bentsao.apps.commands.kb_views import cut, plain, table_of
from bentsao.knowledge.check import RULES, Problem
from bentsao.knowledge.compare import Change
from bentsao.knowledge.export import NODES, RELATIONSHIPS, Exported
from bentsao.knowledge.graph import Neighbourhood
from bentsao.knowledge.schema import KINDS
from bentsao.knowledge.stats import Statistics
from bentsao.knowledge.writing import ImportReport


def imported(file: str, reader: str, report: ImportReport) -> list[RenderableType]:
    """What an import did, and what was left out and why."""
    if report.unchanged:
        return [plain(f"{file}：与来源“{report.source}”已有的一样，没有重新导入。要重新读取请加 --again。")]
    done = f"{report.entities:,} 个实体，{report.aliases:,} 个别名，{report.facts:,} 条事实，{report.passages:,} 篇文献"
    replaced = "，替换了这个来源原来的内容" if report.replaced else ""
    lines: list[RenderableType] = [
        plain(f"{file} → 来源“{report.source}”（{reader}）：{done}，{report.seconds:.1f} 秒{replaced}。")
    ]
    if report.duplicates:
        lines.append(plain(f"来源里重复的 {report.duplicates:,} 条事实只记一次。"))
    if report.skipped:
        title = f"没有导入的 {sum(report.skipped.values()):,} 项"
        table = table_of("原因", "数量", "例", title=title, figures=[1])
        for reason, count in sorted(report.skipped.items(), key=lambda item: -item[1]):
            examples = "｜".join(cut(value, 30) for value in report.examples.get(reason, ())[:3])
            table.add_row(plain(reason), f"{count:,}", plain(examples))
        lines.append(table)
    return lines


def counted(counts: Statistics) -> list[RenderableType]:
    """The size of a knowledge base, its sources, its entities and facts."""
    sources = table_of("来源", "文件", "许可", "实体", "别名", "事实", "文献", title="来源", figures=range(3, 7))
    for one in counts.sources:
        figures = (f"{number:,}" for number in (one.entities, one.aliases, one.facts, one.passages))
        sources.add_row(plain(one.name), plain(one.file), plain(one.licence), *figures)
    kinds = table_of("类别", "数量", title="实体", figures=[1])
    for kind, number in counts.entities.items():
        kinds.add_row(KINDS[kind], f"{number:,}")
    attributes = table_of("属性", "数量", title="事实（每个值算一条）", figures=[1])
    for name, number in counts.attributes.items():
        attributes.add_row(plain(name), f"{number:,}")
    total = (
        f"{counts.path}：{sum(counts.entities.values()):,} 个实体，{counts.aliases:,} 个别名，"
        f"{counts.facts:,} 条事实，{counts.passages:,} 篇文献，{counts.size / 1e6:.1f} MB"
    )
    return [plain(total), sources, kinds, attributes]


def checked(problems: Sequence[Problem], rules: Sequence[str], limit: int) -> list[RenderableType]:
    """How many problems each rule found, where, and the first `limit` of each (0: all)."""
    parts: list[RenderableType] = []
    for rule in rules:
        of_rule = [problem for problem in problems if problem.rule == rule]
        title = f"{RULES[rule].label}：{len(of_rule):,} 处"
        if not of_rule:
            parts.append(Text(title, style="bold"))
            continue
        table = table_of("实体", "属性", "值", "问题", "来源", title=title)
        for one in of_rule[: limit or None]:
            subject = f"{one.subject}（{KINDS[one.kind]}）"
            cells = (subject, one.attribute or "名称", "、".join(one.values), one.reason, "\n".join(one.sources))
            table.add_row(*map(plain, cells))
        parts.append(table)
        if limit and len(of_rule) > limit:
            parts.append(plain(f"…… 其余 {len(of_rule) - limit:,} 处从略；--limit 0 全部列出。"))
        parts.append(_most("按属性", (one.attribute or "名称" for one in of_rule), 20))
        if rule == "dangling":
            parts.append(_most("最常见的值", (value for one in of_rule for value in one.values), 20))
    return parts


def _most(label: str, things: Iterable[str], limit: int) -> Text:
    return plain(f"{label}：" + "、".join(f"{thing} {count:,}" for thing, count in Counter(things).most_common(limit)))


_WHAT = {"entity": "实体", "alias": "别名", "fact": "事实", "passage": "文献"}
_CHANGE = {"added": "增加", "changed": "改变", "gone": "消失"}


def compared(changes: Sequence[Change], limit: int) -> list[RenderableType]:
    """How many things were added, changed and gone, and the first `limit` changes (0: all)."""
    if not changes:
        return ["两个知识库的内容相同。"]
    counts = Counter((change.what, change.change) for change in changes)
    totals = table_of("", *_CHANGE.values(), figures=[1, 2, 3])
    for what, label in _WHAT.items():
        totals.add_row(label, *(f"{counts[what, change]:,}" for change in _CHANGE))
    table = table_of("", "", "实体", "属性", "值", "来源")
    for one in changes[: limit or None]:
        values = Text(overflow="fold")
        for mark, style, there, other in (("+", "green", one.after, one.before), ("−", "red", one.before, one.after)):
            for value in (value for value in there if value not in other):
                values.append(f"{mark} ", style).append_text(plain(cut(value, 60))).append("\n")
        attribute = (one.attribute or "") + (f"（{one.qualifier}）" if one.qualifier else "")
        values.rstrip()
        cells = (_CHANGE[one.change], _WHAT[one.what], one.subject, attribute)
        table.add_row(*map(plain, cells), values, plain("\n".join(one.sources)))
    more = len(changes) - limit if limit else 0
    return [totals, table, *([plain(f"…… 其余 {more:,} 处从略；--limit 0 全部列出。")] if more > 0 else [])]


def exported(done: Exported) -> RenderableType:
    """What was written, and for Neo4j how it is loaded."""
    counts = (
        f"{done.passages:,} 篇文献" if done.form == "literature" else f"{done.entities:,} 个实体，{done.facts:,} 条事实"
    )
    lines = [f"已写入 {done.path}：{counts}。"]
    if done.left_out:
        lines.append(f"{done.left_out:,} 篇文献不在其中；可用 --format literature 另外导出。")
    if done.form == "neo4j":
        folder = Path(done.path)
        lines += [
            "导入 Neo4j：",
            f"neo4j-admin database import full --nodes={folder / NODES} --relationships={folder / RELATIONSHIPS} neo4j",
        ]
    return plain("\n".join(lines))


def drawn(around: Neighbourhood, out: Path) -> RenderableType:
    """What a picture shows, and what it leaves out."""
    shown = sum(len(branch.leaves) for branch in around.branches)
    left_out = sum(branch.left_out for branch in around.branches)
    more = f"，另有 {left_out:,} 个值没有画（--values 0 画出全部）" if left_out else ""
    return plain(f"已写入 {out}：{around.entity.name}，{len(around.branches)} 个属性，{shown:,} 个值{more}。")


def drawn_json(around: Neighbourhood, out: Path) -> dict[str, Any]:
    """What a picture shows; `incoming`: the values have the entity, not the other way round."""
    return {
        "path": str(out),
        "entity": around.entity.name,
        "branches": [
            {
                "attribute": branch.attribute,
                "incoming": branch.incoming,
                "values": [leaf.text for leaf in branch.leaves],
                "left_out": branch.left_out,
            }
            for branch in around.branches
        ],
    }
