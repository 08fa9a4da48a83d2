"""`bentsao build filter`, `overlap` and `report`: looking at instruction data, whoever made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter
from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bentsao.apps.commands.kb_views import cut, display, plain, print_json, table_of
from bentsao.construction.diversity import Diversity, diversity
from bentsao.construction.filtering import Tally, filter_to, judged, ordered, refused_path
from bentsao.construction.filters import FILTERS, TITLES, Context
from bentsao.construction.overlap import KINDS, Overlap
from bentsao.core.conversations import read_conversations, read_questions
from bentsao.core.errors import ConfigError, MissingError
from bentsao.core.files import write_text

Json = Annotated[bool, Parameter(name="--json", help="输出 JSON，供程序读取", negative=())]

T = TypeVar("T")

_EVERY = 500
"""Rows from one movement of the progress display to the next."""

_NAMES = "；".join(f"{name} {title}" for name, title in TITLES.items())


def filter_(
    data: Annotated[Path, Parameter(help="数据文件，任何常见格式")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="通过的行写到这里，被拒绝的行连同原因写到旁边的 *.refused.jsonl")
    ] = None,
    only: Annotated[
        tuple[str, ...], Parameter(help=f"只用这些过滤器：{_NAMES}", consume_multiple=True, negative=())
    ] = (),
    skip: Annotated[tuple[str, ...], Parameter(help="不用这些过滤器", consume_multiple=True, negative=())] = (),
    examples: Annotated[int, Parameter(help="每个原因举几例，最多 3")] = 2,
    json: Json = False,
) -> None:
    """用过滤器检查数据：生成者的口吻、没有说完、重复、超出依据、个人信息、不安全的建议等，按原因计数。

    不给 --out 时只报告，不写文件。

    例：

        bentsao build filter llama_data.json

        bentsao build filter qa.jsonl --out clean.jsonl --skip duplicate
    """
    names = tuple(name for name in ordered(only or tuple(FILTERS)) if name not in ordered(skip))
    if not names:
        raise ConfigError("--only 和 --skip 合起来没有留下任何过滤器。请去掉其中一些。")
    if out is not None and data.resolve() in {out.resolve(), refused_path(out).resolve()}:
        raise ConfigError(f"--out {out} 会覆盖正在读取的 {data}。请换一个输出路径。")
    conversations = read_conversations(data).conversations
    rows = _shown(conversations, "过滤")
    if out is not None:
        tally = filter_to(out, rows, names)
    else:
        tally = Tally()
        for one in judged(rows, names, Context()):
            tally.count(one)
    varied = diversity(conversations)
    if json:
        print_json({**tally.as_json(), "examples": tally.examples, "diversity": varied.model_dump(mode="json")})
        return
    display(*filtered(tally, varied, names, examples))
    if out is not None:
        display(plain(f"已写入 {out}（{tally.kept:,} 行）和 {refused_path(out)}（{tally.refused:,} 行，各有原因）。"))


def overlap(
    a: Annotated[Path, Parameter(help="要检查的数据或问题，例如测试集")],
    b: Annotated[Path, Parameter(help="与之比较的数据，例如训练集")],
    /,
    *,
    limit: Annotated[int, Parameter(help="最多列出几对；0 为全部（--json 总是全部）")] = 20,
    json: Json = False,
) -> None:
    """A 里有多少行在 B 里：问题或问答逐字相同，或者近似。报告任何分数之前应先做这个检查。

    例：

        bentsao build overlap infer.json llama_data.json

        bentsao build overlap test.jsonl train.jsonl --json
    """
    from bentsao.construction.overlap import overlap as compare

    if limit < 0:
        raise ConfigError(f"--limit 是 {limit}，应不小于 0。")
    found = compare(read_questions(a), _shown(read_questions(b), "比较"))
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        display(*overlapping(found, a, b, limit))


def report(
    data: Annotated[tuple[Path, ...], Parameter(help="一个或几个数据文件", consume_multiple=True)],
    /,
    *,
    out: Annotated[Path, Parameter(help="写成的网页")] = Path("report.html"),
    samples: Annotated[int, Parameter(help="每种形式看几行")] = 5,
    seed: Annotated[int, Parameter(help="抽样的种子")] = 0,
    json: Json = False,
) -> None:
    """把数据的数量、多样性、被拒绝的原因和样例写成一个网页（不需要网络）。

    数据旁边有 *.refused.jsonl 时，其中的原因也在网页上。

    例：

        bentsao build report qa.jsonl dialogue.jsonl --out report.html
    """
    from bentsao.apps.reports.data import data_page
    from bentsao.construction.report import report as figures

    if not data:
        raise MissingError("没有给出数据文件。例：bentsao build report qa.jsonl --out report.html")
    if samples < 0:
        raise ConfigError(f"--samples 是 {samples}，应不小于 0。")
    if out.resolve() in {path.resolve() for path in data}:
        raise ConfigError(f"--out {out} 会覆盖数据文件。请换一个输出路径。")
    done = figures(data, samples, seed)
    write_text(out, data_page(done))
    if json:
        print_json(
            {
                "path": str(out),
                "files": done.files,
                "counts": {name: dict(counts.most_common()) for name, counts in done.counts.items()},
                "diversity": done.diversity.model_dump(mode="json"),
                "refused": done.refused.as_json() if done.refused else None,
            }
        )
    else:
        display(plain(f"已写入 {out}：{len(done.files)} 个文件，{sum(done.files.values()):,} 行。"))


# --- what they print -------------------------------------------------------------------------------------------------


def filtered(tally: Tally, varied: Diversity, names: Sequence[str], examples: int) -> list[RenderableType]:
    """How many rows each filter refused and why, and how varied the set is."""
    from bentsao.apps.reports.data import diversity_figures

    table = table_of("过滤器", "原因", "行数", "占", "例", title="被拒绝的行", figures=[2, 3])
    for name in names:
        labels = tally.labels.get(name)
        if not labels:
            unjudged = name == "ungrounded" and tally.without_evidence == tally.rows
            table.add_row(TITLES[name], "没有一行带依据，未判断" if unjudged else "", "—" if unjudged else "0", "", "")
        for label, count in labels.most_common() if labels else ():
            shown = plain(
                "\n".join(cut(f"{row} {why.partition('：')[2]}", 60) for row, why in tally.examples[label][:examples])
            )
            table.add_row(TITLES[name], plain(label), f"{count:,}", f"{count / tally.rows:.1%}", shown)
    figures = table_of("", "问", "答", title="多样性", figures=[1, 2])
    for label, pair in diversity_figures(varied).items():
        figures.add_row(label, *pair)
    share = tally.kept / tally.rows if tally.rows else 0.0
    total = f"{tally.rows:,} 行，通过 {tally.kept:,} 行（{share:.1%}），拒绝 {tally.refused:,} 行；一行可有几个原因。"
    return [plain(total), table, figures]


def overlapping(found: Overlap, a: Path, b: Path, limit: int) -> list[RenderableType]:
    """How many rows are copies, and the first of them."""
    total = (
        f"{a.name} 的 {found.rows:,} 行中，{found.verbatim:,} 行与 {b.name} 逐字相同，{found.near:,} 行近似"
        f"（合计 {found.share:.1%}）。"
    )
    if not found.pairs:
        return [plain(total)]
    table = table_of("A", "B", "", "相似", "内容", figures=[3])
    for pair in found.pairs[: limit or None]:
        cells = (plain(pair.a), plain(pair.b), KINDS[pair.kind])
        table.add_row(*cells, f"{pair.similarity:.2f}", plain(cut(pair.text.replace("\n", " "), 50)))
    more = len(found.pairs) - limit if limit else 0
    return [plain(total), table, *([plain(f"…… 其余 {more:,} 对从略；--limit 0 全部列出。")] if more > 0 else [])]


def _shown(rows: Iterable[T], what: str) -> Iterator[T]:
    """The rows as they are; how far it is shows on standard error."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} 行"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        for number, row in enumerate(rows, start=1):
            yield row
            if number % _EVERY == 0:
                progress.update(task, completed=number)
