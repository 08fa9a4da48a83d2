"""`bentsao build`: knowledge → data to learn from, by the composer or, with `--writer teacher`, by any LLM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bentsao.apps.commands import build_checks as checks
from bentsao.apps.commands import kb_views as views
from bentsao.apps.commands.build_teacher import NO_FLAGS, TeacherFlags, teach_dialogue, teach_qa
from bentsao.apps.commands.kb_import import Json
from bentsao.apps.commands.model_flags import report
from bentsao.apps.commands.opening import Kb, kb_path, opened
from bentsao.apps.commands.spreading import HERE, ClusterChoice, Spreading
from bentsao.apps.commands.verbs import verb
from bentsao.construction.filters import FILTERS
from bentsao.construction.shares import SPLITS
from bentsao.construction.taught import write_taught
from bentsao.construction.teacher.writing import Written
from bentsao.construction.writing import BuildOptions, build
from bentsao.core.complaints import in_one_line
from bentsao.core.errors import ConfigError
from bentsao.core.files import read_text
from bentsao.knowledge.schema import KINDS, Kind, kind_of

Writer = Annotated[
    Literal["composer", "teacher"], Parameter(help="谁来写：composer 不用模型，teacher 是任何 OpenAI 式接口的模型")
]

app = verb("build")


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
    no_filters: Annotated[bool, Parameter(help="不用过滤器（仍核对每个回答）", negative=())] = False

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
        try:
            return BuildOptions(
                dataset=dataset,
                rows=rows,
                seed=self.seed,
                shares=dict(zip(SPLITS, shares, strict=True)),
                kinds=tuple(kinds.values()) or None,
                exclude=tuple(name.strip() for name in names if name.strip()),
                filters=() if self.no_filters else tuple(FILTERS),
            )
        except ValidationError as error:
            raise ConfigError(in_one_line(error)) from None


Out = Annotated[Path, Parameter(help="输出目录：train.jsonl、valid.jsonl、test.jsonl 和 manifest.json")]
Rows = Annotated[int, Parameter(help="大约写多少条（三部分合计）")]
_DEFAULT = Composing()
SIZES = {"qa": 8100, "dialogue": 1050, "grounded": 5100, "polarity": 2000, "choice": 2000}
"""The data sets with how many rows each has where nothing else is said."""


@app.command
def qa(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = SIZES["qa"],
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    writer: Writer = "composer",
    teacher: Annotated[TeacherFlags, Parameter(name="*", group="教师模型")] = NO_FLAGS,
    json: Json = False,
) -> None:
    """指令数据：一问一答。每个回答的每一处都在知识库的事实里，并经过核对。

    用教师模型写时，--rows 不起作用：每个实体的事实各写几条，随时可以中断，再运行接着写，写过的不再付钱。

    例：

        bentsao build qa --out data/qa

        bentsao build qa --writer teacher --teacher-model qwen --dry-run --out data/t
    """
    options = composing.options("qa", rows)
    if writer == "composer":
        _build(kb, options, out, json=json)
        return
    from bentsao.construction.teacher.qa import QAPlan

    plan = QAPlan(kinds=options.kinds or (), seed=options.seed)
    with opened(kb) as store:
        written = teach_qa(store.path, out, teacher, plan, Console(stderr=True))
    _taught(written, options, out, json=json)


@app.command
def dialogue(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = SIZES["dialogue"],
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    writer: Writer = "composer",
    teacher: Annotated[TeacherFlags, Parameter(name="*", group="教师模型")] = NO_FLAGS,
    json: Json = False,
) -> None:
    """多轮对话：围绕文献结论（最多占三分之一），和围绕一个疾病、药物等的连续追问。

    例：

        bentsao build dialogue --out data/dialogue
    """
    options = composing.options("dialogue", rows)
    if writer == "composer":
        _build(kb, options, out, json=json)
        return
    from bentsao.construction.teacher.dialogues import DialoguePlan

    with opened(kb) as store:
        written = teach_dialogue(store.path, out, teacher, DialoguePlan(seed=options.seed), Console(stderr=True))
    _taught(written, options, out, json=json)


@app.command
def grounded(
    *,
    out: Out,
    kb: Kb = None,
    rows: Rows = SIZES["grounded"],
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
    rows: Rows = SIZES["polarity"],
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
    rows: Rows = SIZES["choice"],
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    json: Json = False,
) -> None:
    """选择题：正确项来自事实，干扰项是同类实体的同类值。

    例：

        bentsao build choice --out data/choice
    """
    _build(kb, composing.options("choice", rows), out, json=json)


@app.command(name="all")
def everything(
    *,
    out: Annotated[Path, Parameter(help="输出目录：每个数据集一个子目录")],
    kb: Kb = None,
    composing: Annotated[Composing, Parameter(name="*")] = _DEFAULT,
    spreading: Spreading = HERE,
    json: Json = False,
) -> None:
    """一次构造全部，合起来约 8,100 条指令、1,050 段对话、5,100 条有依据的问答、真假对照和选择题各 2,000 条。

    例：

        bentsao build all --out data
    """
    orders = {name: composing.options(name, rows) for name, rows in SIZES.items()}
    spreading.check()
    if spreading.ray is None:
        manifests = {name: _built(kb, options, out / name) for name, options in orders.items()}
    else:
        manifests = _built_on(spreading, kb_path(kb), orders, out)
    if json:
        views.print_json(manifests)
        return
    table = views.table_of("数据集", "train", "valid", "test", "被过滤", "核对不符", figures=[1, 2, 3, 4, 5])
    for name, manifest in manifests.items():
        rows = [f"{manifest['rows'].get(split, 0):,}" for split in SPLITS]
        table.add_row(name, *rows, f"{manifest['filters']['refused']:,}", f"{sum(manifest['refused'].values()):,}")
    sample = quote(f"{out}/qa/train.jsonl")
    views.display(table, views.plain(f"已写入 {out}。看看样例和数字：bentsao build report {sample}"))


app.command(checks.filter_, name="filter")
app.command(checks.overlap)
app.command(checks.report)


def _build(kb: Path | None, options: BuildOptions, out: Path, *, json: bool) -> None:
    manifest = _built(kb, options, out)
    if json:
        views.print_json(manifest)
    else:
        _show(out, manifest)


def _taught(written: Written | None, options: BuildOptions, out: Path, *, json: bool) -> None:
    """Write what a teacher wrote; nothing after a dry run."""
    if written is None:
        return
    manifest = write_taught(written.rows, options, written.summary.model_dump(mode="json"), out)
    if json:
        views.print_json(manifest)
    else:
        rows = "，".join(f"{split} {count:,}" for split, count in manifest["rows"].items())
        views.display(f"{out}：{rows}；过滤器拒收 {manifest['filters']['refused']:,} 条。")


def _built(kb: Path | None, options: BuildOptions, out: Path) -> dict[str, Any]:
    """The manifest of a data set that is built here, with a bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        opened(kb) as store,
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task(options.dataset, total=options.rows)
        return build(store, options, out, progress=lambda done, total: bar.update(task, completed=done, total=total))


def _built_on(
    spreading: ClusterChoice, kb: Path, orders: dict[str, BuildOptions], out: Path
) -> dict[str, dict[str, Any]]:
    """The manifests of data sets that are built side by side on a cluster, a core for each."""
    from bentsao.apps.cluster.building import build_on
    from bentsao.apps.cluster.pieces import Size

    with spreading.connected(usual=Size(cpus=1)) as cluster:
        return build_on(cluster, kb, orders, out, report)


def _show(out: Path, manifest: dict[str, Any]) -> None:
    rows = "，".join(f"{split} {count:,}" for split, count in manifest["rows"].items())
    coverage = manifest["coverage"]
    views.display(
        f"{out}：{rows}。",
        f"用到 {coverage['pairs_used']:,} / {coverage['entity_attribute_pairs']:,} 个（实体，属性），"
        f"{manifest['grammar']['question_patterns']:,} 种问法。",
    )
    if without := manifest["without_entities"]:
        views.display(
            f"{'、'.join(without)} 是空的，没有写：实体按名字分到各部分，这个知识库没有实体分到那里。"
            "请用 --split 加大它的份额，或换 --seed，或往知识库里加实体。"
        )
    shares = manifest["options"]["shares"]
    if unwritten := [s for s in SPLITS if shares.get(s) and not manifest["rows"].get(s) and s not in without]:
        views.display(
            f"{'、'.join(unwritten)} 没有写出一条：份额太小，或分到那里的实体写不出。请加大 --rows 或 --split。"
        )
    forms = views.table_of("形式", "条数", figures=[1])
    for form, count in manifest["forms"].items():
        forms.add_row(form, f"{count:,}")
    if short := coverage["below_minimum"]:
        views.display(
            views.plain(f"不足 {coverage['minimum_rows_per_attribute']} 条的属性 {len(short)} 个：{'、'.join(short)}。")
        )
    attributes = views.table_of("属性", "（实体，属性）", "条数", figures=[1, 2], title="覆盖最少的属性")
    few = sorted(coverage["attributes"].items(), key=lambda item: item[1]["rows"])[:8]
    for name, one in few:
        attributes.add_row(name, f"{one['pairs']:,}", f"{one['rows']:,}")
    views.display(forms, attributes)
    filtered = {name: count for labels in manifest["filters"]["reasons"].values() for name, count in labels.items()}
    for title, counts in (
        ("没有用的", manifest["left_out"]),
        ("过滤掉的", filtered),
        ("核对不符的", manifest["refused"]),
        ("没有写满的", manifest["unfilled"]),
    ):
        if counts:
            table = views.table_of("原因", "数量", figures=[1], title=title)
            for reason, count in list(counts.items())[:12]:
                table.add_row(views.plain(reason), f"{count:,}")
            views.display(table)
