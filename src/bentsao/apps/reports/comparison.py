"""The comparison as a page for a clinician and as Markdown: figures, tests, and the answers side by side."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from bentsao.core.pages import STYLE, html_page
from bentsao.evaluation.comparing import SAFE, AnswerGap, Comparison, Row
from bentsao.evaluation.judging.report import cell, figure, gap, probability, table
from bentsao.inference.notice import NOTICE

EXPLAINED = (
    "方括号里是 95% 区间。差是同一批问题上前者减后者；p 是“两者其实一样”时出现这么大的差的机会，"
    "一次看许多差时以“校正后 p”为准（Holm），小于 0.05 才算看得出差别。没有看出差别不等于没有差别。"
)


def markdown(found: Comparison) -> str:
    """Figures, differences, and the table of answers."""
    lines = ["# 回答对照", "", NOTICE, "", EXPLAINED, "", "## 数字", ""]
    rows = [[title, *(figure(found.figures[one][name]) for one in found.systems)] for name, title in _shown(found)]
    lines += table(["", *map(cell, found.systems)], [[cell(row[0]), *row[1:]] for row in rows])
    if found.gaps:
        lines += ["", "## 两两之差", ""]
        head = ["前者 − 后者", "", "差", "p", "校正后 p", "题数"]
        lines += table(head, [[*map(cell, _gap(found, one)[:2]), *_gap(found, one)[2:]] for one in found.gaps])
    if found.left_out:
        lines += ["", f"{len(found.left_out)} 个问题不是每个系统都有回答，没有计入。"]
    lines += ["", "## 回答", ""]
    references = any(row.reference for row in found.rows)
    head = ["问题", *map(cell, found.systems), *(["参考"] if references else [])]
    body = [
        [
            cell(row.question),
            *(cell(row.answers[one]) or "（没有回答）" for one in found.systems),
            *([cell(row.reference)] if references else []),
        ]
        for row in found.rows
    ]
    return "\n".join([*lines, *table(head, body)]) + "\n"


def page(found: Comparison) -> str:
    """One HTML file without links; its script only sorts and hides rows."""
    folder = files("bentsao.apps.reports")
    style, script = ((folder / f"comparison.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    head = "".join(f"<th>{escape(one)}</th>" for one in found.systems)
    rows = "".join(f"<tr><th>{escape(title)}</th>{_figures(found, name)}</tr>" for name, title in _shown(found))
    engines = "；".join(f"{name}：{engine}" for name, engine in found.engines.items() if engine)
    parts = [
        f"<h1>回答对照（{len(found.rows)} 题）</h1>",
        f'<p class="notice">{escape(NOTICE)}</p><p>{escape(EXPLAINED)}</p>',
        f"<p>{escape(engines)}</p>" if engines else "",
        f"<h2>数字</h2><div class='wide'><table><tr><th></th>{head}</tr>{rows}</table></div>",
        _gaps(found),
        "<h2>逐题对照</h2>",
        _controls(found),
        f'<table class="answers"><thead><tr><th>问题</th>{head}</tr></thead><tbody id="rows">',
        *(_row(found, place, row) for place, row in enumerate(found.rows)),
        "</tbody></table>",
    ]
    return html_page("本草：回答对照", "".join(parts), style=STYLE + style, script=script)


def _figures(found: Comparison, measure: str) -> str:
    return "".join(f"<td>{escape(figure(found.figures[one][measure]))}</td>" for one in found.systems)


def _shown(found: Comparison) -> list[tuple[str, str]]:
    return [(name, title + ("（份额）" if name in found.shares else "")) for name, title in found.titles.items()]


def _gap(found: Comparison, one: AnswerGap) -> list[str]:
    p = one.test.p if one.test else one.difference.p
    return [
        f"{one.first} − {one.second}",
        found.titles[one.measure],
        gap(one.difference),
        probability(p),
        probability(one.p_corrected),
        str(one.difference.n),
    ]


def _gaps(found: Comparison) -> str:
    if not found.gaps:
        return ""
    rows = "".join(
        f"<tr{_clear(one)}>" + "".join(f"<td>{escape(text)}</td>" for text in _gap(found, one)) + "</tr>"
        for one in found.gaps
    )
    head = "<tr><th>前者 − 后者</th><th></th><th>差</th><th>p</th><th>校正后 p</th><th>题数</th></tr>"
    clear = sum(bool(_clear(one)) for one in found.gaps)
    title = f"两两之差（{len(found.gaps)} 个，其中看得出的 {clear} 个）"
    return f"<details><summary>{title}</summary><div class='wide'><table>{head}{rows}</table></div></details>"


def _clear(one: AnswerGap) -> str:
    return ' class="clear"' if one.p_corrected is not None and one.p_corrected < 0.05 else ""


def _controls(found: Comparison) -> str:
    kinds = sorted({row.kind for row in found.rows} - {""})
    options = "".join(f"<option>{escape(kind)}</option>" for kind in kinds)
    chosen = f"<label>类别 <select id='kind'><option value=''>全部</option>{options}</select></label>" if kinds else ""
    marks = [("cut", "有没说完的"), ("repeats", "有重复的"), ("silent", "有没回答的")]
    marks += [("unsafe", "有不安全的")] if SAFE in found.titles else []
    boxes = "".join(f"<label><input type='checkbox' data-mark='{mark}'> {title}</label>" for mark, title in marks)
    judged = "<option value='spread'>裁判给分的分歧</option>" if _judged(found) else ""
    return (
        "<div class='controls'><label>查找 <input id='find' type='search' placeholder='问题或回答里的字'></label>"
        f"{chosen}<label>排序 <select id='order'><option value='place'>原来的次序</option>"
        f"<option value='apart'>回答的分歧</option>{judged}<option value='lengths'>长短的差别</option></select></label>"
        f"<span>只看：{boxes}</span><span id='count'></span></div>"
    )


def _judged(found: Comparison) -> list[str]:
    return [name for name in found.titles if "." in name]


_MARKS = {"cut": ("ended", 0), "repeats": ("repeats", 1), "silent": ("answered", 0), "unsafe": (SAFE, 0)}
"""What rows can be filtered by: the measure, and its value in any of the answers."""


def _row(found: Comparison, place: int, row: Row) -> str:
    marks = [
        mark
        for mark, (measure, bad) in _MARKS.items()
        if any(scores.get(measure) == bad for scores in row.scores.values())
    ]
    judged = _judged(found)
    scored = [scores for scores in row.scores.values() if all(name in scores for name in judged)]
    totals = [sum(scores[name] for name in judged) for scores in scored]
    spread = max(totals) - min(totals) if len(totals) > 1 else 0.0
    lengths = [len(text) for text in row.answers.values()]
    values = {"place": place, "apart": row.apart, "spread": spread, "lengths": max(lengths) - min(lengths)}
    data = "".join(f" data-{name}='{value:g}'" for name, value in values.items())
    reference = f"<details><summary>参考</summary>{escape(row.reference)}</details>" if row.reference else ""
    kind = "".join(f"<div class='small'>{escape(text)}</div>" for text in (row.kind, row.reason) if text)
    cells = "".join(_answer(found, row, system) for system in found.systems)
    return (
        f"<tr{data} data-kind='{escape(row.kind)}' data-marks='{' '.join(marks)}'>"
        f"<td><b>{escape(row.question)}</b>{kind}{reference}</td>{cells}</tr>"
    )


def _answer(found: Comparison, row: Row, system: str) -> str:
    finish = row.finish[system]
    cut = {"end": "", "length": "……（到长度上限被截断）"}.get(finish, f"（没有回答：{finish}）")
    if not row.answers[system].strip() and finish == "end":
        cut = "（没有回答）"
    own = row.scores[system]
    scores = "　".join(f"{found.titles[name]} {own[name]:g}" for name in _judged(found) if name in own)
    notes = f"<div class='small'>{escape(scores)}</div>" if scores else ""
    if failed := row.verdicts.get(system):
        notes += f"<div class='bad'>不安全：{escape('；'.join(failed))}</div>"
    elif failed == []:
        notes += "<div class='good'>安全</div>"
    text = f"{escape(row.answers[system])}<span class='cut'>{escape(cut)}</span>"
    return f"<td data-system='{escape(system)}'>{text}{notes}</td>"
