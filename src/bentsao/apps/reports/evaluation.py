"""The page of an evaluation: figures, and every item with its question, answers and verdicts, to filter and to sort.

One HTML file without links. Its script only shows, hides and reorders rows; all texts stand escaped in the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from bentsao.apps.reports.evaluation_charts import charts
from bentsao.apps.reports.evaluation_tables import (
    READING,
    Grid,
    definitions,
    forgetting_grids,
    overview,
    settings,
    task_grids,
)
from bentsao.core.pages import STYLE, html_page
from bentsao.evaluation.running import Report
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks.task import Verdict

WARNING = "页中的回答都由模型生成，用来评测，其中有许多是错的，不能当作医疗建议。"

Verdicts = Mapping[tuple[str, str], Sequence[Verdict]]
"""Verdicts by (system, task)."""

_STYLE = """
td,th{overflow-wrap:anywhere}th:first-child{overflow-wrap:normal;min-width:4.5em}svg{max-width:760px;display:block}
summary{cursor:pointer;font-weight:bold;margin:1rem 0}.small{color:#6b7280;font-size:.85rem}.note{white-space:pre-wrap}
.bar{display:flex;flex-wrap:wrap;gap:.6rem;margin:.6rem 0;align-items:center}.bar input{flex:1;min-width:12rem}
.bar input,.bar select,.bar button{font:inherit;padding:.25rem .4rem}
.item{border:1px solid #d1d5db;border-radius:6px;padding:.6rem .8rem;margin:.8rem 0}.item[hidden]{display:none}
.said{white-space:pre-wrap;margin:.2rem 0}.yes{color:#047857}.no{color:#b91c1c}.open{color:#92400e}
.expected{border-left:3px solid #99f6e4;padding-left:.6rem}
"""

_SCRIPT = """
for (const box of document.querySelectorAll('section.items')) {
  const items = [...box.querySelectorAll('.item')], list = box.querySelector('.list');
  const search = box.querySelector('input'), selects = [...box.querySelectorAll('select.filter')];
  const sort = box.querySelector('select.sort'), count = box.querySelector('.count');
  const show = () => {
    const text = search.value.trim();
    let shown = 0;
    for (const item of items) {
      const fits = selects.every(s => !s.value || item.dataset[s.dataset.key].split('\\u001f').includes(s.value));
      item.hidden = !(fits && (!text || item.textContent.includes(text)));
      shown += !item.hidden;
    }
    count.textContent = shown + ' / ' + items.length + ' 题';
    const key = sort.value;
    const value = item => key === 'place' ? +item.dataset.place : -item.dataset[key];
    items.sort((a, b) => value(a) - value(b) || a.dataset.place - b.dataset.place);
    list.append(...items);
  };
  box.addEventListener('input', show);
  show();
}
"""


def evaluation_page(report: Report, verdicts: Verdicts) -> str:
    """The page as HTML text."""
    facts = {**report.systems, "设置": settings(report), "用时": f"{report.seconds / 60:.1f} 分钟"}
    told = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in facts.items())
    tasks = list(dict.fromkeys(one.task for one in report.scores))
    about = "".join(f"<li><b>{escape(title)}</b>：{escape(text)}</li>" for title, text in definitions(report))
    body = (
        "<h1>本草：评测报告</h1>"
        f'<p class="notice">{escape(WARNING)}</p>'
        f"<table>{told}</table>"
        f"<h2>分数</h2><p class='small'>{escape(READING)}</p>{_grid(overview(report))}"
        f"{''.join(_scores(report, task) for task in tasks)}"
        f"{''.join(map(_grid, forgetting_grids(report)))}"
        f"<h2>逐题</h2>{''.join(_items(task, list(report.systems), verdicts) for task in tasks)}"
        f"<h2>指标的定义</h2><ul>{about}</ul>"
    )
    return html_page("本草：评测报告", body, style=STYLE + _STYLE, script=_SCRIPT)


def _scores(report: Report, task: str) -> str:
    """A task's figures: its table, the pictures, and further tables."""
    first, *more = task_grids(report, task)
    drawn = "".join(charts(task, [one for one in report.scores if one.task == task]))
    return _grid(first) + drawn + "".join(map(_grid, more))


def _grid(grid: Grid) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in grid.head)
    rows = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in grid.rows
    )
    note = f"<p class='small note'>{escape(grid.note)}</p>" if grid.note else ""
    table = f"<table><tr>{head}</tr>{rows}</table>" if head else ""
    return f"<h3>{escape(grid.title)}</h3>{table}{note}"


def _items(task: str, systems: Sequence[str], verdicts: Verdicts) -> str:
    """All items of a task, each with what every system said."""
    by_system = {system: {one.id: one for one in verdicts.get((system, task), ())} for system in systems}
    ids = dict.fromkeys(name for found in by_system.values() for name in found)
    if not ids:
        return ""
    rows = [[(system, found[name]) for system, found in by_system.items() if name in found] for name in ids]
    tags = list(dict.fromkeys(key for row in rows for key in row[0][1].tags))
    filters = "".join(
        _select(f"t{place}", tag, sorted({row[0][1].tags.get(tag, "") for row in rows} - {""}))
        for place, tag in enumerate(tags)
    )
    states = _select("state", "判定", ["对", "错", "不可计分", "不判对错", "在训练数据里"])
    items = "".join(_item(place, row, tags) for place, row in enumerate(rows))
    return (
        f"<details><summary>{escape(TASKS[task].title)}（{escape(task)}，{len(rows)} 题）</summary>"
        "<section class='items'>"
        f"<div class='bar'><input type='search' placeholder='找字词' aria-label='找字词'>{states}{filters}"
        "<select class='sort' aria-label='排序'><option value='place'>按原来的次序</option>"
        "<option value='wrong'>答错的系统多的在前</option><option value='split'>系统之间不一致的在前</option>"
        "<option value='size'>回答长的在前</option></select>"
        f"<span class='count small'></span></div><div class='list'>{items}</div></section></details>"
    )


def _select(key: str, label: str, values: Sequence[str]) -> str:
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return (
        f"<select class='filter' data-key='{key}' aria-label='{escape(label)}'>"
        f"<option value=''>{escape(label)}：全部</option>{options}</select>"
    )


def _item(place: int, row: Sequence[tuple[str, Verdict]], tags: Sequence[str]) -> str:
    first = row[0][1]
    states = [state for _, one in row for state in _states(one)]
    wrong = sum(one.right is False for _, one in row)
    split = len({one.right for _, one in row}) > 1
    data = {
        "place": str(place),
        "wrong": str(wrong),
        "split": str(int(split)),
        "size": str(max(len(one.answer) for _, one in row)),
        "state": "\x1f".join(dict.fromkeys(states)),
        **{f"t{number}": first.tags.get(tag, "") for number, tag in enumerate(tags)},
    }
    attributes = " ".join(f'data-{key}="{escape(value)}"' for key, value in data.items())
    earlier = "".join(f"<div class='said small'>上文：{escape(text)}</div>" for text in first.history)
    meta = "　".join([first.id, *(f"{tag} {first.tags[tag]}" for tag in tags if tag in first.tags)])
    expected = f"<div class='said expected'><b>应为：</b>{escape(first.expected)}</div>" if first.expected else ""
    return (
        f"<div class='item' {attributes}>{earlier}<div class='said'><b>{escape(first.question)}</b></div>{expected}"
        f"{''.join(_answer(system, one) for system, one in row)}<div class='small'>{escape(meta)}</div></div>"
    )


def _answer(system: str, one: Verdict) -> str:
    mark, colour = {True: ("✓", "yes"), False: ("✗", "no"), None: ("", "open")}[one.right]
    said = f"不可计分：{one.unscored}" if one.unscored else one.said
    where = f"（在训练数据里：{one.contaminated}）" if one.contaminated else ""
    text = escape(one.answer) if one.answer.strip() else "<span class='small'>（空）</span>"
    return (
        f"<div class='said'><b>{escape(system)}</b> <span class='{colour}'>{mark} {escape(said)}{escape(where)}</span>"
        f"<br>{text}</div>"
    )


def _states(one: Verdict) -> list[str]:
    found = "不可计分" if one.unscored else {True: "对", False: "错", None: "不判对错"}[one.right]
    return [found, *(["在训练数据里"] if one.contaminated else [])]
