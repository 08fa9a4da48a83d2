"""The experiment's page: the table, the figures by path, the curve, and answers to read. One HTML file, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bentsao.apps.experiments.knowledge_tuning import Result
from bentsao.apps.experiments.systems import TITLES
from bentsao.core.charts import Line, line_chart
from bentsao.core.pages import STYLE, html_page
from bentsao.evaluation.grounding import Gold, Said, Score
from bentsao.evaluation.grounding_figures import MEASURES as FIGURES
from bentsao.evaluation.grounding_figures import figures
from bentsao.evaluation.statistics import Figure
from bentsao.inference.notice import NOTICE

MEASURES: dict[str, str] = {name: one.title for name, one in FIGURES.items()}
"""The figures of the table, in its order."""

SETS = {"composed": "留出的实体 × 留出的问法", "by_hand": "手写的日常问题"}
_SHOWN = 16
_MORE_STYLE = "details{margin:.6rem 0}summary{cursor:pointer}.small{color:#6b7280;font-size:.85rem}"


def page(result: Result) -> str:
    """The page as HTML text."""
    parts = [
        "<h1>本草：知识微调实验</h1>"
        f'<p class="notice">{escape(NOTICE)}</p>'
        "<p>每格是数值与 95% 区间（按实体重抽样一万次），括号里是计入的题数。</p>"
    ]
    for name, by_system in result.scores.items():
        parts.append(f"<h2>{escape(SETS.get(name, name))}（{len(result.sets[name])} 题）</h2>{table(by_system)}")
        parts.append(f"<h3>各条路径单独找到的</h3>{_paths(result.paths[name])}")
        parts.append(f"<h3>读几个回答</h3>{_answers(result.sets[name], result.answers[name], by_system)}")
    if result.curve:
        parts.append(f"<h2>训练行数</h2>{_curve(result)}")
    seconds = "".join(f"<tr><td>{escape(k)}</td><td>{v / 60:.1f} 分钟</td></tr>" for k, v in result.seconds.items())
    parts.append(f"<h2>用时</h2><table>{seconds}</table>")
    parts += [f"<p>{escape(note)}</p>" for note in result.notes]
    return html_page("本草：知识微调", "".join(parts), style=STYLE + _MORE_STYLE)


def table(by_system: dict[str, list[Score]]) -> str:
    """Measures down, systems across."""
    found = {system: figures(scores) for system, scores in by_system.items()}
    head = "".join(f"<th>{escape(TITLES.get(system, system))}</th>" for system in found)
    rows = "".join(
        f"<tr><th>{escape(title)}</th>{''.join(f'<td>{cell(one[name])}</td>' for one in found.values())}</tr>"
        for name, title in MEASURES.items()
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def cell(figure: Figure) -> str:
    """One figure with its interval; a dash where it does not apply."""
    if figure.value is None:
        return "—"
    between = "" if figure.low is None or figure.high is None else f"[{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.value:.3f} <span class='small'>{between}（{figure.n}）</span>"


def _paths(by_path: dict[str, dict[str, Figure]]) -> str:
    names = ("entity", "attribute", "hit", "abstains_unknown", "abstains_wrongly")
    head = "".join(f"<th>{escape(MEASURES[name])}</th>" for name in names)
    rows = "".join(
        f"<tr><th>{escape(path)}</th>{''.join(f'<td>{cell(one[name])}</td>' for name in names)}</tr>"
        for path, one in by_path.items()
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def _answers(questions: Sequence[Gold], answers: dict[str, list[Said]], scores: dict[str, list[Score]]) -> str:
    """Questions that every system was asked, of each kind in turn."""
    said = {system: {one.id: one for one in found} for system, found in answers.items()}
    common = [gold for gold in questions if all(gold.id in found for found in said.values())]
    kinds = dict.fromkeys(gold.kind for gold in common)
    turn = [[gold for gold in common if gold.kind == kind] for kind in kinds]
    chosen = [group[place] for place in range(_SHOWN) for group in turn if place < len(group)][:_SHOWN]
    wrong = {one.id for one in scores.get("knowledge", ()) if one.hallucinated or one.hit is False}
    return "".join(_answer(gold, said, failed=gold.id in wrong) for gold in chosen)


def _answer(gold: Gold, said: dict[str, dict[str, Said]], *, failed: bool) -> str:
    asked = " → ".join((*gold.history, gold.question))
    facts = (
        "；".join(f"{fact.subject}·{fact.attribute}：{'、'.join(fact.values)}" for fact in gold.facts) or "知识库里没有"
    )
    rows = "".join(
        f"<tr><th>{escape(TITLES.get(system, system))}</th><td>{escape(found[gold.id].answer)}</td></tr>"
        for system, found in said.items()
    )
    mark = " ✗" if failed else ""
    return (
        f"<details open><summary><b>{escape(asked)}</b>{mark}</summary>"
        f"<p class='small'>{escape(gold.kind)}｜{escape(facts)}</p><table class='answers'>{rows}</table></details>"
    )


def _curve(result: Result) -> str:
    shown = ("entity", "attribute", "hit", "recall")
    lines = [
        Line(MEASURES[name], [(rows, one[name].value or 0.0) for rows, one in result.curve], dots=True)
        for name in shown
    ]
    return line_chart("知识微调：训练行数与所得（只用模型一路）", "训练行数", "份额", lines)
