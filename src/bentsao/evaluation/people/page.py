"""A rater's page: one HTML file that needs no network, keeps the ratings in the browser, gives them as CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from bentsao.core.pages import html_page
from bentsao.core.records import Record
from bentsao.evaluation.judging.rubric import Rubric


def sheet_page(sheet: str, rater: int, rows: Sequence[Record], rubric: Rubric) -> str:
    """The page. rows: code, question, reference and answer of each; the script sets them as text, never as HTML."""
    folder = files("bentsao.evaluation.people")
    style, script = ((folder / f"sheet.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    data = {
        "sheet": sheet,
        "rater": rater,
        "aspects": [
            {"name": one.name, "title": one.title, "asks": one.asks, "low": one.low, "levels": one.levels}
            for one in rubric.aspects
        ],
        "rows": [row.model_dump() for row in rows],
    }
    body = (
        f"<header><h1>评分表 · 评分人 {rater}</h1>"
        '<p id="progress"></p><p><button id="next">下一个没评完的</button> '
        '<button id="save">导出 CSV</button></p></header>'
        f"<p>{escape(rubric.title)}。回答来自不同的系统，名称和次序都打乱了；请只看内容，逐个给分。"
        f"评分留在这台电脑的浏览器里，关掉再打开还在；评完请点“导出 CSV”，把文件 rater-{rater}.csv 交回。</p>"
        '<details id="levels"><summary>各分数的含义</summary></details><main id="rows"></main>'
        "<noscript>这一页要用 JavaScript 保存评分；不能用时请填同名的 CSV 文件。</noscript>"
        f'<script type="application/json" id="data">{_embedded(data)}</script>'
    )
    return html_page(f"本草：评分表 {rater}", body, style=style, script=script)


def _embedded(value: Any) -> str:
    """JSON that can stand in a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
