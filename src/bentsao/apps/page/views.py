"""The page's parts as HTML. Everything that comes from people, models and the knowledge base is escaped here."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape

from bentsao.apps.page.talk import Talk, Turn
from bentsao.core.grounding import mark
from bentsao.core.records import Alarm, Evidence, Fact
from bentsao.inference.notice import NOTICE
from bentsao.knowledge.contents import cited
from bentsao.knowledge.schema import ALIAS_TYPES, KINDS
from bentsao.knowledge.store import Entity, Hit

POINTING = 12
"""Entities shown of those that have the entity as a value."""

_SHOWN = 160
"""Characters shown of a passage found."""


def notice_html() -> str:
    """The disclaimer, which is always to be seen."""
    return f'<p class="notice" role="note">{escape(NOTICE)}</p>'


def talk_html(talk: Talk) -> str:
    """The conversation: each question, the alarm, the answer, and the facts that it cites beside it.

    The emergency of the last question stands above it all too, where no scrolling hides it.
    """
    if not talk.turns:
        return (
            '<div class="talk empty">问一个医学问题，例如“偏头痛要做什么检查？”。“依据知识库”开着时，'
            "回答带着出处，点 [1] 看它依据的事实与来源。</div>"
        )
    turns = "".join(_turn(turn, number) for number, turn in enumerate(talk.turns, start=1))
    scrolled = f'<div class="scroll"><div class="talk" aria-live="polite">{turns}</div></div>'
    return _banner(talk.turns[-1].alarm) + scrolled


def alarm_html(alarm: Alarm) -> str:
    """An emergency: whom to call, what to do until help comes, what not to do."""
    until = "".join(f"<li>{escape(line)}</li>" for line in alarm.until)
    never = "".join(f"<li>{escape(line)}</li>" for line in alarm.never)
    call = _telephone(escape(alarm.call))
    return (
        f'<section class="alarm" role="alert"><h3>⚠ {escape(alarm.title)}</h3><p class="call">{call}</p>'
        f'<p>等待时：</p><ul>{until}</ul><p>不要做的：</p><ul class="never">{never}</ul></section>'
    )


def _banner(alarm: Alarm | None) -> str:
    if alarm is None:
        return ""
    return f'<p class="banner"><strong>{escape(alarm.title)}</strong>　{_telephone(escape(alarm.call))}</p>'


def _telephone(escaped: str) -> str:
    """The text with the numbers to be called as links, which a telephone dials."""
    return re.sub(r"(?<!\d)(120|110|12356)(?!\d)", r'<a class="tel" href="tel:\1">\1</a>', escaped)


def _turn(turn: Turn, number: int) -> str:
    alarm = "" if turn.alarm is None else alarm_html(turn.alarm)
    facts = _facts(turn.evidence, number, turn.left_out)
    cautions = "".join(f'<p class="caution">提醒：{_telephone(escape(line))}</p>' for line in turn.cautions)
    wide = "" if facts else " alone"
    return (
        f'<article class="turn{wide}"><div class="asked">{_lines(turn.question)}</div>{alarm}'
        f'<div class="answer">{_answer(turn, number)}{_remarks(turn)}{cautions}'
        f'<p class="by">{escape(turn.model)}{_RATED.get(turn.rating, "")}</p></div>{facts}</article>'
    )


_RATED = {1: " · 您评价：有用", -1: " · 您评价：没用"}


def _answer(turn: Turn, number: int) -> str:
    if turn.finish == "error":
        return f'<p class="error">{_lines(turn.error)}</p>'
    known = {item.number for item in turn.evidence}

    def link(found: re.Match[str]) -> str:
        cited_number = int(found[1])
        if cited_number not in known:
            return found[0]
        return f'<a class="cite" href="#t{number}f{cited_number}" title="看依据 {cited_number}">{found[0]}</a>'

    text = re.sub(r"\[(\d{1,4})\]", link, _lines(turn.text))
    waiting = '<span class="waiting" aria-label="正在回答">▍</span>' if turn.finish == "writing" else ""
    return f"<p>{text}{waiting}</p>"


def _remarks(turn: Turn) -> str:
    """What is to be told of how the answer came about."""
    said: list[str] = []
    if turn.finish == "length":
        said.append("到达长度上限，没有说完；可在设置里加长。")
    if turn.finish == "stopped":
        said.append("已停止。")
    if turn.removed:
        said.append(f"模型的回答里有 {turn.removed} 处没有依据，已处理。")
    if turn.dropped:
        said.append(f"上下文放不下全部历史，最早的 {turn.dropped} 条没有带上。")
    return "".join(f'<p class="remark">{escape(line)}</p>' for line in said)


def _facts(evidence: Sequence[Evidence], turn: int, left_out: int) -> str:
    if not evidence:
        return ""
    items = "".join(
        f'<li id="t{turn}f{item.number}"><b>{mark(item.number)}</b> {escape(item.fact.subject)} · '
        f"{escape(item.fact.attribute)}{_condition(item.fact)}：{escape('；'.join(item.fact.values))}"
        f'<span class="source">出处：{_source(item.fact)}</span></li>'
        for item in evidence
    )
    more = f"<p>知识库里还有 {left_out} 个值，这里没有列出。</p>" if left_out else ""
    return f'<aside class="facts"><h4>依据</h4><ul>{items}</ul>{more}</aside>'


def _condition(fact: Fact) -> str:
    return f"（{escape(fact.qualifier)}）" if fact.qualifier else ""


def _source(fact: Fact) -> str:
    licence = f"（{fact.source.licence}）" if fact.source.licence else ""
    return escape(cited(fact) + licence)


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


# ---- leaving the page ------------------------------------------------------------------------------------------------


def export_html(talk: Talk) -> str:
    """Links that save the conversation. Its text is in the link, so nothing is written on the server."""
    if not (jsonl := talk.as_jsonl()):
        return '<p class="export">有了回答就可以导出对话。</p>'
    files = (("jsonl", "application/jsonl", jsonl), ("md", "text/markdown", talk.as_markdown()))
    links = "".join(
        f'<a class="save" download="bentsao-{talk.id}.{ending}" href="data:{kind};charset=utf-8;base64,'
        f'{base64.b64encode(text.encode()).decode()}">导出 {"JSONL" if ending == "jsonl" else "Markdown"}</a>'
        for ending, kind, text in files
    )
    return f'<p class="export">{links}</p>'


# ---- the knowledge base ----------------------------------------------------------------------------------------------


def card_html(entity: Entity, facts: Sequence[Fact], pointing: Mapping[str, Sequence[Entity]]) -> str:
    """An entity: its names, every attribute with its values and sources, and who has it as a value."""
    rows: list[tuple[str, str]] = []
    sources: dict[str, int] = {}  # numbered, in the order in which they are met
    for kind, label in ALIAS_TYPES.items():
        if names := [alias.text for alias in entity.aliases if alias.type == kind]:
            rows.append((label, escape("、".join(names))))
    for attribute in dict.fromkeys(fact.attribute for fact in facts):
        said = [
            f"<div>{_values(fact)}{_condition(fact)}"
            f"<sup>[{sources.setdefault(_source(fact), len(sources) + 1)}]</sup></div>"
            for fact in facts
            if fact.attribute == attribute
        ]
        rows.append((attribute, "".join(said)))
    for attribute, subjects in pointing.items():
        names = "、".join(escape(subject.name) for subject in subjects[:POINTING])
        more = f"……共 {len(subjects)} 个" if len(subjects) > POINTING else ""
        rows.append((f"← {attribute}", names + more))
    body = "".join(f"<tr><th>{escape(label)}</th><td>{value}</td></tr>" for label, value in rows)
    listed = "".join(f"<br>[{number}] {source}" for source, number in sources.items())
    nothing = "" if rows else "<p>知识库里只有这个名称。</p>"
    return (
        f'<div class="card"><h3>{escape(entity.name)}<small>{escape(KINDS[entity.kind])}</small></h3>'
        f"<table>{body}</table>{nothing}<p class='small'>内容来自知识库，不构成诊断或治疗建议。{listed}</p></div>"
    )


def _values(fact: Fact) -> str:
    running = any(len(value) > 24 or "，" in value for value in fact.values)
    return ("<br>" if running else "、").join(map(escape, fact.values))


def hits_html(hits: Sequence[Hit]) -> str:
    """Facts and literature found; entities stand in the list to choose from."""
    items: list[str] = []
    for hit in hits:
        if hit.fact is not None:
            fact = hit.fact
            said = f"{escape(fact.subject)} · {escape(fact.attribute)}{_condition(fact)}：{_values(fact)}"
            items.append(f"<li>{said}<span class='source'>{_source(fact)}</span></li>")
        elif hit.passage is not None:
            of = hit.passage
            where = " ".join(filter(None, (of.journal, str(of.year or ""), of.identifier)))
            text = of.text if len(of.text) <= _SHOWN else of.text[:_SHOWN] + "……"
            items.append(
                f"<li><b>{escape(of.title)}</b><br>{escape(text)}<span class='source'>{escape(where)}</span></li>"
            )
    return f'<ul class="hits">{"".join(items)}</ul>' if items else ""
