"""The page of a data set: counts, diversity, refused rows and samples. One HTML file without scripts or links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from bentsao.construction.diversity import BUCKET, SAMPLE_BIGRAMS, Diversity
from bentsao.construction.filtering import Tally
from bentsao.construction.filters import FILTERS, TITLES
from bentsao.construction.report import DataReport
from bentsao.core.pages import STYLE, html_page
from bentsao.core.records import Conversation

_STYLE = """
body{overflow-wrap:anywhere}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{background:#0f766e;height:.6rem;border-radius:2px;min-width:1px}td.b{width:40%;vertical-align:middle}
.row{border:1px solid #d1d5db;border-radius:6px;padding:.6rem .8rem;margin:.8rem 0}
.said{white-space:pre-wrap;margin:.3rem 0}.user{color:#1d4ed8}.assistant{color:#111827}.system{color:#6b7280}
.meta,.facts{color:#6b7280;font-size:.85rem}.facts{border-left:3px solid #99f6e4;padding-left:.6rem;margin:.4rem 0}
@media(max-width:640px){td.b,.refused td:first-child,.refused th:first-child{display:none}}
"""

BARS = 16
"""Steps of a length distribution, at most."""

NOTICE = "训练数据仅供研究，不构成诊断或治疗建议。"

_COUNTS = {
    "form": "按形式",
    "split": "按划分",
    "difficulty": "按难度",
    "writer": "按写作者",
    "attribute": "按依据的属性（一行可有几个）",
}
_ROLES = {"user": "问", "assistant": "答", "system": "系统"}


def data_page(report: DataReport) -> str:
    """The page."""
    total = sum(report.files.values())
    files = "".join(_row(name, f"{rows:,}") for name, rows in report.files.items())
    counts = "".join(
        f"<h3>{escape(label)}</h3>{_bars(report.counts[name].most_common())}" for name, label in _COUNTS.items()
    )
    samples = "".join(
        f"<h3>{escape(form)}（{len(rows)} 行）</h3>{''.join(map(_sample, rows))}"
        for form, rows in sorted(report.samples.items())
    )
    body = (
        "<h1>本草：数据报告</h1>"
        f'<p class="notice">{escape(NOTICE)}</p>'
        f"<h2>文件</h2><table><tr><th>文件</th><th>行数</th></tr>{files}{_row('合计', f'{total:,}')}</table>"
        f"<h2>数量</h2>{counts}"
        f"<h2>多样性</h2>{_diversity(report.diversity)}"
        f"<h2>被拒绝的行</h2>{_refused(report.refused, total)}"
        f"<h2>样例</h2>{samples or '<p>没有数据。</p>'}"
    )
    return html_page("本草：数据报告", body, style=STYLE + _STYLE)


def _row(label: str, *figures: str) -> str:
    return f"<tr><td>{escape(label)}</td>{''.join(f'<td class=n>{escape(figure)}</td>' for figure in figures)}</tr>"


def _bars(counts: Sequence[tuple[str, int]]) -> str:
    """Counts with a bar each; the longest bar is the largest count."""
    if not counts:
        return "<p>没有数据。</p>"
    most = max(count for _, count in counts)
    rows = "".join(
        f'<tr><td>{escape(label)}</td><td class="n">{count:,}</td>'
        f'<td class="b"><div class="bar" style="width:{100 * count / most:.1f}%"></div></td></tr>'
        for label, count in counts
    )
    return f"<table>{rows}</table>"


def diversity_figures(varied: Diversity) -> dict[str, tuple[str, str]]:
    """What is printed of diversity: label → (questions, answers)."""
    pair = (varied.questions, varied.answers)

    def figure(value: float | None) -> str:
        return "（行数不够）" if value is None else f"{value:.3f}"

    def both(values: Sequence[str]) -> tuple[str, str]:
        return values[0], values[1]

    return {
        "互不相同的文本占": both([f"{one.distinct:.1%}" for one in pair]),
        "distinct-2（全部）": both([figure(one.distinct_2) for one in pair]),
        f"distinct-2（抽样 {SAMPLE_BIGRAMS:,} 个二元组，可与别的数据比较）": both(
            [figure(one.distinct_2_sample) for one in pair]
        ),
        f"自相似度（抽样 {varied.sampled:,} 行，与最相近一行的平均）": both(
            [figure(one.self_similarity) for one in pair]
        ),
        "长度：平均": both([f"{one.lengths.mean:.1f}" for one in pair]),
        "长度：5% / 50% / 95%": both([f"{one.lengths.p5} / {one.lengths.median} / {one.lengths.p95}" for one in pair]),
    }


def _diversity(varied: Diversity) -> str:
    rows = "".join(_row(label, *figures) for label, figures in diversity_figures(varied).items())
    table = f"<table><tr><th></th><th>问</th><th>答</th></tr>{rows}</table>"
    lengths = "".join(
        f"<h3>{label}的字数</h3>" + _bars(_steps(one.lengths.histogram))
        for label, one in (("问", varied.questions), ("答", varied.answers))
    )
    return table + lengths


def _steps(histogram: Mapping[int, int]) -> list[tuple[str, int]]:
    """The length distribution in at most BARS steps of one width."""
    width = BUCKET * (max(histogram, default=0) // (BUCKET * BARS) + 1)
    steps: Counter[int] = Counter()
    for start, count in histogram.items():
        steps[start // width * width] += count
    return [(f"{start}–{start + width - 1}", count) for start, count in sorted(steps.items())]


def _refused(tally: Tally | None, kept: int) -> str:
    if tally is None:
        return "<p>数据旁边没有被拒绝的行（*.refused.jsonl）。</p>"
    rows: list[str] = []
    for name in FILTERS:
        for label, count in tally.labels.get(name, {}).items():
            examples = "<br>".join(escape(f"{row}：{why}") for row, why in tally.examples[label])
            rows.append(
                f"<tr><td>{escape(TITLES[name])}</td><td>{escape(label)}</td>"
                f'<td class="n">{count:,}</td><td>{examples}</td></tr>'
            )
    head = "<tr><th>过滤器</th><th>原因</th><th>行数</th><th>例</th></tr>"
    share = tally.refused / (tally.refused + kept) if tally.refused + kept else 0.0
    table = f'<table class="refused">{head}{"".join(rows)}</table>'
    return f"<p>拒绝 {tally.refused:,} 行（{share:.1%}）；一行可有几个原因。</p>{table}"


def _sample(row: Conversation) -> str:
    """One row as it is, with what it stands on."""
    said = "".join(
        f'<div class="said {message.role}"><b>{_ROLES[message.role]}：</b>'
        f"{escape(message.content)}{escape(chr(10) + message.input if message.input else '')}</div>"
        for message in row.messages
    )
    facts = "".join(
        f"<div>[{item.number}] {escape(item.fact.subject)}的{escape(item.fact.attribute)}："
        f"{escape('；'.join(item.fact.values))}（{escape(_origin(item.fact.source.file, item.fact.source.row))}）</div>"
        for item in row.evidence
    )
    made = row.made
    origin: Mapping[str, str] = (
        {"写作者": made.writer, "问法": "、".join(made.patterns), "难度": made.difficulty, "划分": made.split}
        if made
        else {"来源": _origin(row.source.file, row.source.row) if row.source else ""}
    )
    meta = "　".join(
        f"{label} {value}" for label, value in {"编号": row.id, "组": row.group, **origin}.items() if value
    )
    return (
        f'<div class="row">{said}{f"<div class=facts>{facts}</div>" if facts else ""}'
        f'<div class="meta">{escape(meta)}</div></div>'
    )


def _origin(file: str, row: int | None) -> str:
    return file if row is None else f"{file} 第 {row} 行"
