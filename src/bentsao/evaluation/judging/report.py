"""A judge's figures in words: Markdown, for the terminal and for `report.md`."""

from __future__ import annotations

from collections.abc import Sequence

from bentsao.evaluation.answers import Answers
from bentsao.evaluation.judging.pair_figures import Ranking
from bentsao.evaluation.judging.rubric import Rubric
from bentsao.evaluation.judging.running import NOT_DONE, Spent
from bentsao.evaluation.judging.score_figures import Contrast, SystemScores
from bentsao.evaluation.statistics import Figure
from bentsao.evaluation.statistics_paired import Difference

FEW = 20
"""Below so many questions the bootstrap's intervals are too narrow, and the reader is told."""


def heading(rubric: Rubric, judge: str, found: Answers) -> list[str]:
    """What was judged, by whom, and by what."""
    lines = [
        f"# {rubric.title}",
        "",
        f"裁判：{cell(judge)}；评分标准 {rubric.name}（{rubric.hash}），出处 {rubric.source}。",
    ]
    lines.append(f"共同的问题 {len(found.items)} 个，系统 {len(found.systems)} 个。")
    if found.left_out:
        lines.append(f"另有 {len(found.left_out)} 个问题不是每个系统都有回答，没有计入。")
    lines.append("方括号里是 95% 区间（按题目的组重抽样一万次）。分数是裁判的意见，不是事实；先看它与人的一致程度。")
    if len(found.items) < FEW:
        lines.append(f"题目不到 {FEW} 个，区间偏窄：请看 p，不要看区间。")
    return lines


def score_lines(
    scores: Sequence[SystemScores], contrasts: Sequence[Contrast], rubric: Rubric, least: float
) -> list[str]:
    """The table of scores, the differences, and the classes."""
    above = [f"≥ {rubric.threshold:g} 的题"] if rubric.threshold is not None else []
    head = ["系统", *rubric.measures.values(), *above, "已评 / 题数", "没有回答"]
    rows: list[list[str]] = []
    notes: list[str] = []
    for one in scores:
        shown = [figure(one.measures.get(name)) for name in rubric.measures]
        shown += [figure(one.above)] if above else []
        rows.append([cell(one.system), *shown, f"{one.scored} / {one.items}", str(one.silent)])
        if not one.measures:
            notes.append(f"{cell(one.system)}：只评到 {one.coverage:.0%}，低于 {least:.0%}，不给分。")
        if one.unscored:
            notes.append(f"{cell(one.system)} 没有评到的：{counted(one.unscored)}。")
    lines = ["", "## 分数", "", *table(head, rows), *_paragraphs(notes)]
    lines += ["", "## 两两之差", "", *_contrasts(contrasts, rubric, classes=False)] if contrasts else []
    kinds = sorted({kind for one in scores for kind in one.classes})
    if kinds:
        lines += ["", "## 按类别", ""]
        head = ["类别", "系统", *rubric.measures.values(), "题数"]
        rows = [
            [cell(kind), cell(one.system), *(figure(item) for item in one.classes[kind].values()), _count(one, kind)]
            for kind in kinds
            for one in scores
            if kind in one.classes
        ]
        lines += table(head, rows)
        lines += ["", *_contrasts(contrasts, rubric, classes=True)]
    return lines


def _count(one: SystemScores, kind: str) -> str:
    return str(max(item.n for item in one.classes[kind].values()))


def _contrasts(contrasts: Sequence[Contrast], rubric: Rubric, *, classes: bool) -> list[str]:
    head = [
        "前者 − 后者",
        *(["类别"] if classes else []),
        "维度",
        "差",
        "p",
        "校正后 p",
        "题数",
        "看清这么大的差要几题",
    ]
    rows: list[list[str]] = []
    for one in contrasts:
        if bool(one.kind) != classes:
            continue
        rows.append(
            [
                f"{cell(one.first)} − {cell(one.second)}",
                *([cell(one.kind)] if classes else []),
                rubric.measures[one.measure],
                gap(one.difference),
                probability(one.difference.p),
                probability(one.p_corrected),
                str(one.difference.n),
                "—" if one.needed is None else f"{one.needed:,}",
            ]
        )
    return table(head, rows) if rows else []


def pair_lines(ranking: Ranking, least: float) -> list[str]:
    """Wins, ties, places, and the ranks."""
    head = ["甲", "乙", "甲胜", "乙胜", "平", "随位置而变", "甲胜 − 乙胜", "校正后 p", "题数", "要几题"]
    rows: list[list[str]] = []
    notes: list[str] = []
    for one in ranking.pairs:
        rates = [figure(one.rates.get(name)) for name in ("first", "second", "tie", "position")]
        more = "—" if one.needed is None else f"{one.needed:,}"
        shown = [*rates, gap(one.net), probability(one.p_corrected), str(one.items), more]
        rows.append([cell(one.first), cell(one.second), *shown])
        name = f"{cell(one.first)} 与 {cell(one.second)}"
        if not one.rates:
            notes.append(f"{name}：只比到 {one.coverage:.0%}，低于 {least:.0%}，不给结果。")
        if one.unscored:
            notes.append(f"{name} 没有比到的：{counted(one.unscored)}。")
    lines = ["", "## 胜负（两种顺序都胜才算胜）", "", *table(head, rows), *_paragraphs(notes)]
    lines += ["", f"选中先出现者的比例：{figure(ranking.place.chosen_first)}。"]
    if ranking.place.biased:
        lines.append(f"**{ranking.place.biased}**")
    if ranking.strengths:
        lines += ["", "## 名次（Bradley-Terry）", ""]
        rows = [
            [str(one.rank), cell(one.system), f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]", f"{one.best:.0%}"]
            for one in ranking.strengths
        ]
        lines += table(["名次", "系统", "强度（对数胜率比）", "重抽样中居首"], rows)
    return lines


def spent_lines(spent: Spent) -> list[str]:
    """What it took."""
    line = f"本次 {spent.calls:,} 次调用，重问 {spent.asked_again:,} 次；累计 {spent.replies:,} 个回复，"
    line += f"输入 {spent.tokens_in:,}、输出 {spent.tokens_out:,} token"
    line += "。" if spent.money is None else f"，花费 {spent.money:.4f}。"
    lines = ["", line]
    if spent.refused:
        lines.append(f"被拒而重试：{counted(spent.refused)}。")
    if spent.lost:
        lines.append(f"没有收到回复而重试（可能已计费）：{counted(spent.lost)}。")
    if len(spent.models) > 1:
        lines.append(f"**服务器给出了不止一个模型：{counted(spent.models)}。这些分数不是同一个裁判打的。**")
    if spent.stopped:
        lines.append(f"**没有做完：{spent.stopped}**")
    return lines


def figure(found: Figure | None) -> str:
    """A figure with its interval; a dash where there is none."""
    if found is None or found.value is None:
        return "—"
    return f"{found.value:.3f}" + _between(found, ".3f")


def gap(found: Difference | None) -> str:
    """A difference with its interval; a dash where there is none."""
    if found is None or found.value is None:
        return "—"
    return f"{found.value:+.3f}" + _between(found, "+.3f")


def _between(found: Figure | Difference, form: str) -> str:
    """The interval behind a value; "" where there is none."""
    if found.low is None or found.high is None:
        return ""
    return f" [{found.low:{form}}, {found.high:{form}}]"


def probability(p: float | None) -> str:
    """A p value, short."""
    return "—" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def counted(counts: dict[str, int]) -> str:
    """Counts by reason; what was not done comes last."""
    order = sorted(counts.items(), key=lambda item: (item[0] == NOT_DONE, -item[1]))
    return "，".join(f"{cell(reason)} {count:,}" for reason, count in order)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; cells must have gone through `cell`."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def cell(text: str) -> str:
    """A text that cannot leave its cell, nor be read as Markdown or HTML."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())


def _paragraphs(notes: Sequence[str]) -> list[str]:
    return ["", *(f"- {note}" for note in notes)] if notes else []
