"""The demo's page: what was learnt, the loss, and answers side by side. One HTML file without scripts or links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bentsao.core.records import Answer
from bentsao.inference.notice import NOTICE
from bentsao.inference.summary import summarize

STYLE = """
body{font:16px/1.7 system-ui,"PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif;color:#1f2937;
max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
td,th{border:1px solid #d1d5db;padding:.5rem;vertical-align:top;text-align:left}
th{background:#f3f4f6}.answers{table-layout:fixed}.answers td{overflow-wrap:anywhere;white-space:pre-wrap}
.notice{background:#fef3c7;border-left:4px solid #d97706;padding:.6rem 1rem}
.cut{color:#9ca3af}svg{max-width:100%;height:auto}
@media(max-width:640px){.answers,.answers tbody,.answers tr,.answers td{display:block}.answers thead{display:none}}
"""


@dataclass(frozen=True)
class Column:
    """One model's answers: its name and its answer to each question, in the questions' order."""

    name: str
    answers: Sequence[Answer]


def demo_page(facts: Mapping[str, str], loss_svg: str, columns: Sequence[Column], references: Sequence[str]) -> str:
    """The page. facts: label → value; references: the known answer to each question, "" where there is none."""
    questions = [answer.question for answer in columns[0].answers]
    head = "".join(f"<th>{escape(text)}</th>" for text in ["问题", *(c.name for c in columns), "参考"])
    rows: list[str] = []
    for place, question in enumerate(questions):
        cells = [_cell(column.answers[place]) for column in columns]
        reference = f"<td>{escape(references[place])}</td>"
        rows.append(f"<tr><td>{escape(question)}</td>{''.join(cells)}{reference}</tr>")
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>本草：演示</title>'
        f"<style>{STYLE}</style><h1>本草：从基座到会回答医学问题的模型</h1>"
        f'<p class="notice">{escape(NOTICE)}</p>'
        f"<h2>这次训练</h2>{_table(facts)}"
        f"<h2>损失</h2>{loss_svg}"
        "<h2>训练中没有出现过的问题</h2>"
        f'<table class="answers"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></html>'
    )


def _cell(answer: Answer) -> str:
    if answer.error:
        return f'<td class="cut">（没有回答：{escape(answer.error)}）</td>'
    mark = '<span class="cut">……（到长度上限被截断）</span>' if answer.finish == "length" else ""
    return f"<td>{escape(answer.text)}{mark}</td>"


def _table(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>" for label, value in facts.items())
    return f"<table>{rows}</table>"


def figures(columns: Sequence[Column]) -> dict[str, str]:
    """How the answers look before anyone reads them: label → value, the models side by side."""
    summaries = [(column.name, summarize(column.answers)) for column in columns]
    return {
        "自己说完的回答": "；".join(f"{name} {s.ended}/{s.answers}" for name, s in summaries),
        "一段话重复三次以上的回答": "；".join(f"{name} {s.looping}/{s.answers}" for name, s in summaries),
        "回答的速度": "；".join(f"{name} {s.tokens_per_second:.1f} token/s" for name, s in summaries),
    }
