"""`bentsao build`: knowledge → data to learn from, by the composer or, with `--writer teacher`, by any LLM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bentsao.apps.commands import kb_views as views
from bentsao.apps.commands.kb_import import Json
from bentsao.apps.commands.opening import Kb, opened
from bentsao.construction.shares import SPLITS
from bentsao.construction.writing import BuildOptions, build
from bentsao.core.errors import ConfigError
from bentsao.core.files import read_text
from bentsao.knowledge.schema import KINDS, Kind, kind_of

app = App(name="build", help="构造数据：从知识库和文献写出指令数据、对话、有依据的问答、真假对照和选择题。")


@dataclass(frozen=True)
class Composing:
    """What the composer is told."""

    seed: Annotated[int, Parameter(help="随机种子；同样的知识库、条数和种子写出同样的字节")] = 42
    split: Annotated[str, Parameter(help="训练、验证、测试的份额，按实体分（文献按篇分）；测试部分另用一套问法")] = (
        "0.9,0.05,0.05"
    )
    kinds: Annotated[str | None, Parameter(help=f"只写这些类别，如 疾病,药物；可用：{'、'.join(KINDS.values())}")] = (
        None
    )
    exclude: Annotated[Path | None, Parameter(help="一个文件，一行一个实体名：不写关于它们的数据")] = None
    no_filters: Annotated[bool, Parameter(help="不过滤（仍核对每个回答）", negative=())] = False

    def options(self, dataset: str, rows: int) -> BuildOptions:
        """As the room takes it. Raises ConfigError for values that are none."""
        try:
            shares = [float(share) for share in self.split.split(",")]
        except ValueError:
            shares = []
        if len(shares) != len(SPLITS):
            raise ConfigError(f"--split {self.split} 应是三个份额，如 0.9,0.05,0.05。")
        asked = [name for name in (self.kinds or "").replace("，", ",").split(",") if name]
        kinds: dict[str, Kind] = {name: kind for name in asked if (kind := kind_of(name))}
        if unknown := [name for name in asked if name not in kinds]:
            raise ConfigError(f"--kinds 里不认识 {'、'.join(unknown)}。可用：{'、'.join(KINDS.values())}。")
        names = read_text(self.exclude).split("\n") if self.exclude else []
        return BuildOptions(
            dataset=dataset,
            rows=rows,
            seed=self.seed,
            shares=dict(zip(SPLITS, shares, strict=True)),
            kinds=tuple(kinds.values()) or None,
            exclude=tuple(name.strip() for name in names if name.strip()),
        )


Out = Annotated[Path, Parameter(help="输出目录：train.jsonl、valid.jsonl、test.jsonl 和 manifest.json")]
Rows = Annotated[int, Parameter(help="大约写多少条（三部分合计）")]
_DEFAULT = Composing()


@app.command
def qa(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = 8000,
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    json: Json = False,
) -> None:
    """指令数据：一问一答。每个回答的每一处都在知识库的事实里，并经过核对。

    例：

        bentsao build qa --out data/qa
    """
    _build(kb, composing.options("qa", rows), out, json=json)


@app.command
def dialogue(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = 1000,
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    json: Json = False,
) -> None:
    """多轮对话：围绕文献结论（最多占三分之一），和围绕一个疾病、药物等的连续追问。

    例：

        bentsao build dialogue --out data/dialogue
    """
    _build(kb, composing.options("dialogue", rows), out, json=json)


@app.command
def grounded(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = 5000,
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    json: Json = False,
) -> None:
    """知识微调的数据：问题 → 实体 → 属性 → 事实 → 带引用的回答。

    包括难例：不存在的实体、没有的属性、两个实体、追问、换话题、错误的前提，和什么都查不了的话。

    例：

        bentsao build grounded --out data/grounded
    """
    _build(kb, composing.options("grounded", rows), out, json=json)


@app.command
def polarity(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = 2000,
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    json: Json = False,
) -> None:
    """真假对照：同一句问法，一次说对，一次说错（编号以 #true 和 #false 结尾）。

    例：

        bentsao build polarity --out data/polarity
    """
    _build(kb, composing.options("polarity", rows), out, json=json)


@app.command
def choice(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = 2000,
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    json: Json = False,
) -> None:
    """选择题：正确项来自事实，干扰项是同类实体的同类值。

    例：

        bentsao build choice --out data/choice
    """
    _build(kb, composing.options("choice", rows), out, json=json)


def _build(kb: Path | None, options: BuildOptions, out: Path, *, json: bool) -> None:
    columns = (TextColumn("写入"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with opened(kb) as store, Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=options.rows)
        manifest = build(
            store, options, out, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    if json:
        views.print_json(manifest)
    else:
        _show(out, manifest)


def _show(out: Path, manifest: dict[str, Any]) -> None:
    rows = "，".join(f"{split} {count:,}" for split, count in manifest["rows"].items())
    coverage = manifest["coverage"]
    views.display(
        f"{out}：{rows}。",
        f"用到 {coverage['pairs_used']:,} / {coverage['entity_attribute_pairs']:,} 个（实体，属性），"
        f"{manifest['grammar']['question_patterns']:,} 种问法。",
    )
    forms = views.table_of("形式", "条数", figures=[1])
    for form, count in manifest["forms"].items():
        forms.add_row(form, f"{count:,}")
    attributes = views.table_of("属性", "（实体，属性）", "条数", figures=[1, 2], title="覆盖最少的属性")
    few = sorted(coverage["attributes"].items(), key=lambda item: item[1]["rows"])[:8]
    for name, one in few:
        attributes.add_row(name, f"{one['pairs']:,}", f"{one['rows']:,}")
    views.display(forms, attributes)
    for title, counts in (
        ("没有用的", manifest["left_out"]),
        ("拒收的", manifest["refused"]),
        ("没有写满的", manifest["unfilled"]),
    ):
        if counts:
            table = views.table_of("原因", "数量", figures=[1], title=title)
            for reason, count in list(counts.items())[:12]:
                table.add_row(views.plain(reason), f"{count:,}")
            views.display(table)
