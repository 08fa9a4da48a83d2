"""What people judged, in words: Markdown."""

from __future__ import annotations

from bentsao.evaluation.judging.report import cell, figure, gap, probability, table
from bentsao.evaluation.people.collect import Collected
from bentsao.evaluation.people.sheet import Key


def lines(key: Key, found: Collected) -> list[str]:
    """The report of a sheet."""
    titles = key.rubric.measures
    raters = "，".join(f"{cell(name)} 评完 {count}" for name, count in found.raters.items())
    out = [
        f"# 人工评分：{key.rubric.title}",
        "",
        f"评分人 {len(found.raters)} 位（{raters}），共 {len(key.answers)} 个回答。",
    ]
    if found.missing:
        out.append(f"还没有评分的：{'、'.join(map(cell, found.missing))}。")
    out.append("方括号里是 95% 区间（按题目的组重抽样一万次）。")
    out += ["", "## 一致程度", ""]
    judged = bool(found.judge)
    head = ["维度", "Krippendorff α（有序）", "评分人两两 κ（平方加权）"]
    head += ["加上裁判的 α", f"裁判 {cell(found.judge)} 与各人的 κ"] if judged else []
    rows: list[list[str]] = []
    for one in found.agreement:
        row = [titles[one.aspect], figure(one.alpha), kappa(one.kappa)]
        if judged:
            each = "，".join(f"{cell(rater)} {kappa(value)}" for rater, value in one.judge_kappa.items())
            row += [figure(one.with_judge), each]
        rows.append(row)
    out += table(head, rows)
    out += ["", "α 与 κ：1 为完全一致，0 为碰巧的程度；“—”是大家给的分全都一样，说不出一致程度。"]
    if judged:
        out.append("裁判与人的 κ 不低于人与人的 κ 时，它的分数才可以当作又一个人的分数来看。")
    out += ["", "## 分数", ""]
    rows = [
        [cell(one.system), *(figure(one.measures[name]) for name in titles), f"{one.rated} / {one.answers}"]
        for one in found.standings
    ]
    out += table(["系统", *titles.values(), "已评 / 回答"], rows)
    if found.gaps:
        out += ["", "## 两两之差", ""]
        rows = [
            [
                f"{cell(one.first)} − {cell(one.second)}",
                titles[one.measure],
                gap(one.difference),
                probability(one.difference.p),
                probability(one.p_corrected),
                str(one.difference.n),
            ]
            for one in found.gaps
        ]
        out += table(["前者 − 后者", "维度", "差", "p", "校正后 p", "题数"], rows)
    if found.strengths:
        out += ["", "## 名次（各维度总分，Bradley-Terry）", ""]
        rows = [
            [str(one.rank), cell(one.system), f"{one.value:+.2f} [{one.low:+.2f}, {one.high:+.2f}]", f"{one.best:.0%}"]
            for one in found.strengths
        ]
        out += table(["名次", "系统", "强度（对数胜率比）", "重抽样中居首"], rows)
    return out


def kappa(value: float | None) -> str:
    """A kappa, or a dash where all ratings are the same."""
    return "—" if value is None else f"{value:.2f}"
