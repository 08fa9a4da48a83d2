"""`bentsao kb`: import into a knowledge base, look at it, search, link, check, compare and export it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from bentsao.apps.commands import kb_reports as reports
from bentsao.apps.commands import kb_views as views
from bentsao.apps.commands.kb_import import Json, import_, remove
from bentsao.apps.commands.opening import Kb, opened, typed
from bentsao.apps.commands.verbs import verb
from bentsao.apps.terminal import printable
from bentsao.core.errors import BentsaoError, ConfigError
from bentsao.core.files import write_text
from bentsao.knowledge import contents
from bentsao.knowledge.check import RULES, check
from bentsao.knowledge.compare import compare
from bentsao.knowledge.export import FORMS, export
from bentsao.knowledge.graph import as_html, as_svg, neighbourhood
from bentsao.knowledge.schema import answered_by, attribute_of
from bentsao.knowledge.stats import statistics
from bentsao.knowledge.store import Entity, KnowledgeBase

app = verb("kb")

Limit = Annotated[int, Parameter(name="--limit", help="最多列出几条；0 为全部（--json 总是全部）")]

Name = Annotated[str, Parameter(help="实体的名称或别名", converter=typed)]

app.command(import_, name="import")
app.command(remove)


@app.command
def stats(*, kb: Kb = None, json: Json = False) -> None:
    """知识库里有多少实体、别名、事实和文献，来自哪里。

    例：

        bentsao kb stats
    """
    with opened(kb) as store:
        counts = statistics(store)
    if json:
        views.print_json(counts.model_dump())
    else:
        views.display(*reports.counted(counts))


@app.command
def show(
    entity: Name,
    /,
    *,
    attribute: Annotated[str | None, Parameter(help="只看这个属性")] = None,
    kb: Kb = None,
    json: Json = False,
) -> None:
    """一个实体的卡片：名称、每个属性的值，以及谁这样说。

    例：

        bentsao kb show 偏头痛

        bentsao kb show 偏头痛 --attribute 药物治疗 --json
    """
    with opened(kb) as store:
        found = _found(store, entity)
        facts = {one.id: store.facts(one.id) for one in found}
        if attribute is not None:
            there = dict.fromkeys(fact.attribute for said in facts.values() for fact in said)
            facts = {one.id: store.facts(one.id, attribute_of(attribute, one.kind) or attribute) for one in found}
            if not any(facts.values()):
                raise BentsaoError(f"“{entity}”没有属性“{attribute}”。它有：{'、'.join(there) or '（没有属性）'}。")
        pointing = {
            one.id: contents.pointing(store, contents.names_of(one)) if attribute is None else {} for one in found
        }
    if json:
        views.print_json({"entities": [views.entity_json(one, facts[one.id], pointing[one.id]) for one in found]})
    else:
        views.display(*(views.card(one, facts[one.id], pointing[one.id]) for one in found))


@app.command
def search(
    text: Annotated[str, Parameter(help="要找的词或一句话", converter=typed)],
    /,
    *,
    limit: Annotated[int, Parameter(help="最多几条")] = 10,
    kb: Kb = None,
    json: Json = False,
) -> None:
    """按字面找实体、事实和文献，最接近的在前。

    例：

        bentsao kb search 搏动性头痛
    """
    _check_at_least(1, limit, "--limit")
    with opened(kb) as store:
        hits = store.search(text, limit)
    if json:
        views.print_json({"hits": [hit.model_dump(exclude_none=True) for hit in hits]})
    else:
        views.display(
            views.found(hits) if hits else f"没有找到与“{printable(text)}”接近的内容。可换一个说法，或少写几个字。"
        )


@app.command
def link(
    question: Annotated[str, Parameter(help="一个问题", converter=typed)],
    /,
    *,
    history: Annotated[
        tuple[str, ...], Parameter(help="之前问过的话，按先后", consume_multiple=True, negative=(), show_default=False)
    ] = (),
    kb: Kb = None,
    json: Json = False,
) -> None:
    """一个问题说的是哪个实体、哪个属性，知识库里有哪些事实。

    例：

        bentsao kb link 我妈老是头晕恶心是不是梅尼埃呀要挂什么科

        bentsao kb link 那怎么治？ --history 偏头痛有什么症状
    """
    from bentsao.knowledge.linking import Linker

    with opened(kb) as store:
        linked = Linker.for_kb(store).link(question, history)
        facts = [
            fact
            for entity in linked.entities
            for attribute in linked.attributes
            for name in answered_by(attribute.name, {fact.attribute for fact in store.facts(entity.id)})
            for fact in store.facts(entity.id, name)
        ]
    if json:
        views.print_json(views.linked_json(linked, facts))
    else:
        views.display(*views.linked(linked, facts))


@app.command(name="check")
def check_(
    *,
    rule: Annotated[
        tuple[str, ...],
        Parameter(
            help=f"只查这些：{'、'.join(RULES)}；可以重复给出", consume_multiple=True, negative=(), show_default=False
        ),
    ] = (),
    strict: Annotated[bool, Parameter(help="有问题时以状态 1 退出", negative=())] = False,
    kb: Kb = None,
    limit: Limit = 20,
    json: Json = False,
) -> int:
    """找出可能有错的地方：矛盾、别名冲突、悬空的值、过长的值、可疑的剂量。

    例：

        bentsao kb check --kb my.kb --rule contradiction --rule dose
    """
    _check_at_least(0, limit, "--limit")
    if unknown := [name for name in rule if name not in RULES]:
        raise ConfigError(f"没有检查项 {'、'.join(unknown)}。可用：{'、'.join(RULES)}。")
    with opened(kb) as store:
        problems = list(check(store, rule))
    if json:
        counts = Counter(problem.rule for problem in problems)
        listed = [problem.model_dump() for problem in problems]
        views.print_json({"counts": {name: counts[name] for name in rule or RULES}, "problems": listed})
    else:
        views.display(*reports.checked(problems, rule or tuple(RULES), limit))
    return 1 if strict and problems else 0


@app.command
def diff(
    before: Annotated[Path, Parameter(help="旧的知识库")],
    after: Annotated[Path, Parameter(help="新的知识库")],
    /,
    *,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """比较两个知识库：多了、改了、少了哪些实体、别名、事实和文献。

    同一实体、属性和限定的值放在一起比较，不论是谁说的。

    例：

        bentsao kb diff 旧.kb 新.kb
    """
    _check_at_least(0, limit, "--limit")
    with opened(before) as old, opened(after) as new:
        changes = list(compare(old, new))
    counts = Counter(f"{change.what}.{change.change}" for change in changes)
    if json:
        views.print_json({"counts": counts, "changes": [change.model_dump() for change in changes]})
    else:
        views.display(*reports.compared(changes, limit))


@app.command(name="export")
def export_(
    *,
    out: Annotated[Path, Parameter(help="写到哪个文件；neo4j 格式写到哪个目录")],
    form: Annotated[
        str | None,
        Parameter(name="--format", help=f"{'、'.join(FORMS)}；缺省按扩展名：.jsonl、.csv，没有扩展名为 neo4j"),
    ] = None,
    kb: Kb = None,
    json: Json = False,
) -> None:
    """导出知识库：CMeKG 形式的 JSONL、带来源的三元组 CSV、Neo4j 的节点和关系表，或文献。

    JSONL、CSV 和文献都能用 bentsao kb import 读回来；JSONL 不带来源。

    例：

        bentsao kb export --out kb.jsonl

        bentsao kb export --kb my.kb --out neo4j表 --format neo4j
    """
    suffixes = {".jsonl": "jsonl", ".csv": "csv", "": "neo4j"}
    form = form or suffixes.get(out.suffix.lower())
    if form is None:
        raise ConfigError(f"从 {out} 的扩展名看不出格式。请用 --format 指定：{'、'.join(FORMS)}。")
    with opened(kb) as store:
        done = export(store, out, form)
    if json:
        views.print_json(done.model_dump())
    else:
        views.display(reports.exported(done))


@app.command
def graph(
    entity: Name,
    /,
    *,
    out: Annotated[Path, Parameter(help="图写到哪里：.svg 或 .html（带全部事实的表）")],
    values: Annotated[int, Parameter(help="每个属性最多画几个值；0 为全部")] = 12,
    kb: Kb = None,
    json: Json = False,
) -> None:
    """画出一个实体的周围：它的属性和值，以及哪些实体指向它。

    例：

        bentsao kb graph 偏头痛 --out 偏头痛.html
    """
    drawings = {".svg": as_svg, ".html": as_html}
    if out.suffix.lower() not in drawings:
        raise ConfigError(f"--out {out} 的扩展名应是 {' 或 '.join(drawings)}。")
    _check_at_least(0, values, "--values")
    with opened(kb) as store:
        around = neighbourhood(store, _found(store, entity)[0], values)
    write_text(out, drawings[out.suffix.lower()](around))
    if json:
        views.print_json(reports.drawn_json(around, out))
    else:
        views.display(reports.drawn(around, out))


# --- shared ----------------------------------------------------------------------------------------------------------


def _check_at_least(least: int, value: int, flag: str) -> None:
    if value < least:
        raise ConfigError(f"{flag} {value} 应不小于 {least}。")


def _found(kb: KnowledgeBase, name: str) -> list[Entity]:
    """The entities of this name; an error that says what there is instead."""
    if found := kb.entities(name):
        return found
    near = dict.fromkeys(hit.entity.name for hit in kb.search(name, 10) if hit.entity)
    has = [f"{attribute}（{len(who)} 个实体）" for attribute, who in contents.pointing(kb, [name]).items()]
    raise BentsaoError(
        f"知识库里没有名为“{name}”的实体。"
        + (f"它是这些属性的值：{'、'.join(has)}。" if has else "")
        + (f"名称相近的有：{'、'.join(near)}。" if near else "")
        + f"可用 bentsao kb search {quote(name)} 查找。"
    )
