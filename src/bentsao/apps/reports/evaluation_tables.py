"""A report's figures as words: one place for how a figure is written, for terminal, Markdown and page alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bentsao.apps.terminal import printable
from bentsao.evaluation.gaps import Gap
from bentsao.evaluation.running import Forgetting, Report, Scores
from bentsao.evaluation.scoring import Measured
from bentsao.evaluation.statistics import Figure
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks.task import Measure, Task

LEAST = 3
"""Where no part of a task has so many items, there is no table of the parts."""

FORGOTTEN = {"likelihood": "按概率", "letter": "按写出的字母"}


@dataclass(frozen=True)
class Grid:
    """A table of texts. head: empty where there is only a note. note: what stands below it; empty for nothing."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def number(value: float | None, measure: Measure, *, sign: bool = False) -> str:
    """A value as it is read: a share in percent, other figures with what digits they need."""
    if value is None:
        return "—"
    plus = "+" if sign else ""
    if measure.kind == "share":
        return f"{100 * value:{plus}.1f}%"
    return f"{value:{plus}.1f}" if abs(value) >= 10 else f"{value:{plus}.3f}"


def figure(found: Measured | Figure, measure: Measure, *, sign: bool = False) -> str:
    """A figure with its 95 % interval, how many items it counts, and how many could not be scored."""
    unscored = found.unscored if isinstance(found, Measured) else 0
    left = f"，{unscored} 不可计" if unscored else ""
    if isinstance(found, Measured) and found.withheld:
        return f"不给出（{found.n + unscored} 题里 {found.n} 题可计）"
    if found.low is None or found.high is None:
        return f"{number(found.value, measure, sign=sign)}（{found.n}{left}）"
    between = f"{number(found.low, measure, sign=sign)}，{number(found.high, measure, sign=sign)}"
    return f"{number(found.value, measure, sign=sign)} [{between}]（{found.n}{left}）"


def settings(report: Report) -> str:
    """How the run was made, in the words of its flags."""
    told = {f"--{name.replace('_', '-')}": value for name, value in report.settings.items() if name != "tasks"}
    words = [
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in told.items()
        if value not in ([], None)
    ]
    return " ".join([*report.settings.get("tasks", []), *words])


def overview(report: Report) -> Grid:
    """The first of each task's measures that has a figure, the systems across."""
    rows: list[tuple[str, ...]] = []
    for name in dict.fromkeys(one.task for one in report.scores):
        own = {one.system: one.figures for one in report.scores if one.task == name}
        given = (key for key in TASKS[name].headline if any(key in figures for figures in own.values()))
        for key in list(given)[:1]:
            measure = TASKS[name].measures[key]
            title = f"{TASKS[name].title}：{measure.title}" + ("（越低越好）" if measure.better == "low" else "")
            rows.append((title, *(_cell(own.get(system, {}), key, TASKS[name]) for system in report.systems)))
    return Grid(
        "一览", ("任务：首要的指标", *report.systems), tuple(rows), "两个系统的差是不是看得出，见各任务的“系统之间”。"
    )


def grids(report: Report) -> list[Grid]:
    """All tables of a report: at a glance, those of each task, then what was forgotten."""
    tasks = dict.fromkeys(one.task for one in report.scores)
    glance = [overview(report)] if len(tasks) > 1 else []
    return [*glance, *(grid for name in tasks for grid in task_grids(report, name)), *forgetting_grids(report)]


def task_grids(report: Report, name: str) -> list[Grid]:
    """A task's: the measures down and the systems across; the systems against one another; the parts."""
    scores = [one for one in report.scores if one.task == name]
    gaps = [one for one in report.gaps if one.task == name]
    return [_figures(name, scores), *_gaps(name, gaps), *_parts(name, scores), *_contaminated(name, scores)]


def _figures(name: str, scores: Sequence[Scores]) -> Grid:
    task = TASKS[name]
    rows = [
        (measure.title, *(_cell(one.figures, key, task) for one in scores))
        for key, measure in task.measures.items()
        if any(key in one.figures for one in scores)
    ]
    notes = [f"{one.system}：{one.check}" for one in scores if one.check]
    notes += [
        f"{one.system}：{sum(one.contaminated.values())} 题在训练数据里（"
        + "，".join(f"{kind} {count}" for kind, count in one.contaminated.items())
        + "），不在上面计算"
        for one in scores
        if one.contaminated
    ]
    return Grid(f"{task.title}（{name}）", ("指标", *(one.system for one in scores)), tuple(rows), "\n".join(notes))


def _parts(name: str, scores: Sequence[Scores]) -> list[Grid]:
    """The task's first measures by its parts, where there are several."""
    task = TASKS[name]
    shown = [key for key in task.headline if any(key in one.figures for one in scores)][:2]
    found: list[Grid] = []
    for tag in task.splits:
        parts = list(dict.fromkeys(part for one in scores for part in one.parts.get(tag, {})))
        largest = max(
            (one.n for score in scores for own in score.parts.get(tag, {}).values() for one in own.values()), default=0
        )
        if len(parts) < 2 or not shown or largest < LEAST:
            continue
        head = (tag, *(f"{one.system}·{task.measures[key].title}" for one in scores for key in shown))
        rows = [
            (part, *(_cell(one.parts.get(tag, {}).get(part, {}), key, task) for one in scores for key in shown))
            for part in parts
        ]
        found.append(Grid(f"{task.title}：按{tag}", head, tuple(rows)))
    return found


def _cell(figures: Mapping[str, Measured], key: str, task: Task[Any]) -> str:
    return figure(figures[key], task.measures[key]) if key in figures else "—"


def _contaminated(name: str, scores: Sequence[Scores]) -> list[Grid]:
    """What the items came to that are in the training data."""
    task = TASKS[name]
    dirty = [one for one in scores if one.contaminated_figures]
    if not dirty:
        return []
    rows = [
        (
            measure.title,
            *(_cell(one.contaminated_figures, key, task) for one in dirty),
        )
        for key, measure in task.measures.items()
        if any(key in one.contaminated_figures for one in dirty)
    ]
    head = ("指标", *(one.system for one in dirty))
    return [Grid(f"{task.title}：在训练数据里的题（不能说明学会了什么）", head, tuple(rows))]


def _gaps(name: str, found: Sequence[Gap]) -> list[Grid]:
    """The systems against one another: over all items each, over parts only what is more than chance."""
    measures, grids = TASKS[name].measures, list[Grid]()
    if whole := [one for one in found if not one.part]:
        rows = [(measures[one.measure].title, *_gap(one, measures[one.measure])) for one in whole]
        head = ("指标", "比较", "相差 [95% 区间]（同一批题）", "p", "校正后", "看得出吗")
        grids.append(Grid(f"{TASKS[name].title}：系统之间", head, tuple(rows)))
    if parts := [one for one in found if one.part]:
        shown = [one for one in parts if one.shown]
        note = f"{measures[parts[0].measure].title}：各部分一共比较 {len(parts)} 次，校正后看得出的有 {len(shown)} 次。"
        rows = [(f"{one.tag} {one.part}", *_gap(one, measures[one.measure])) for one in shown]
        head = ("部分", "比较", "相差 [95% 区间]（同一批题）", "p", "校正后", "看得出吗") if rows else ()
        grids.append(Grid(f"{TASKS[name].title}：各部分里系统之间", head, tuple(rows), note))
    return grids


def _gap(one: Gap, measure: Measure) -> tuple[str, ...]:
    found = Figure(n=one.difference.n, value=one.difference.value, low=one.difference.low, high=one.difference.high)
    verdict = "看得出" if one.shown else "看不出"
    if one.shown and measure.better and one.difference.value:
        verdict += "，" + ("前者好" if (one.difference.value > 0) == (measure.better == "high") else "后者好")
    if one.needed is not None:
        verdict += f"；差真有这么大，约要 {max(one.needed, one.difference.n + 1):,} 题"
    return f"{one.first} − {one.second}", figure(found, measure, sign=True), _p(one.p), _p(one.p_corrected), verdict


def _p(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}" if value >= 0.0005 else "< 0.001"


def forgetting_grids(report: Report) -> list[Grid]:
    """What tuning cost outside medicine; where that was not measured, that it was not."""
    measured = {one.system for one in report.forgetting}
    missing = [label for label in report.tuned if label not in measured]
    grids = [_forgetting(report.forgetting)] if report.forgetting else []
    if missing:
        note = (
            f"没有测 {'、'.join(missing)}：要 --with-base，并有足够多可计分的非医学选择题（--data choice=…）。"
            "没有测，不等于没有忘。"
        )
        grids.append(Grid(FORGETTING, (), (), note))
    return grids


FORGETTING = "微调忘掉了多少（非医学选择题）"


def _forgetting(found: Sequence[Forgetting]) -> Grid:
    share = Measure("")
    rows = tuple(
        (
            one.system,
            FORGOTTEN[one.measure],
            figure(one.before, share),
            figure(one.after, share),
            figure(one.change, share, sign=True),
        )
        for one in found
    )
    note = "同一批非医学题在微调前（未微调的基座）与微调后的正确率；变化的区间不含 0 才说明有得失。"
    return Grid(FORGETTING, ("系统", "读法", "微调前", "微调后", "变化"), rows, note)


def show(console: Console, report: Report) -> None:
    """The tables on a terminal."""
    for grid in grids(report):
        table = Table(title=grid.title, title_justify="left")
        for place, title in enumerate(grid.head):
            table.add_column(title, justify="left" if place == 0 else "right", overflow="fold")
        for row in grid.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table if grid.head else grid.title, markup=False)
        if grid.note:
            console.print(grid.note, style="dim", markup=False)


def markdown(report: Report) -> str:
    """The report in Markdown."""
    lines = ["# 本草：评测报告", ""]
    lines += [f"- {label}：{name}" for label, name in report.systems.items()]
    lines += [f"- 设置：{settings(report)}", f"- 用时 {report.seconds / 60:.1f} 分钟", f"- 本草 {report.bentsao}", ""]
    for grid in grids(report):
        lines += [f"## {grid.title}", ""]
        lines += [_row(grid.head), _row(["---"] * len(grid.head)), *map(_row, grid.rows)] if grid.head else []
        lines += ["", grid.note.replace("\n", "  \n"), ""] if grid.note else [""]
    lines += ["## 指标的定义", "", READING, ""]
    lines += [f"- {title}：{about}" for title, about in definitions(report)]
    return "\n".join(lines) + "\n"


READING = "每格是数值 [95% 区间]（计入的题数，不可计的题数）；区间由一万次重抽样得到，同一实体或病例的题一起抽。"


def definitions(report: Report) -> list[tuple[str, str]]:
    """The measures that the report has and what each means, once."""
    found: dict[str, str] = {}
    for one in report.scores:
        for key, measure in TASKS[one.task].measures.items():
            if key in one.figures and measure.about:
                found.setdefault(measure.title, measure.about)
    return list(found.items())


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
