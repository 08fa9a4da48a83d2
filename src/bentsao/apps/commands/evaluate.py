"""`bentsao evaluate`: measure models on tasks, and write scores and a report."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bentsao.apps.commands.api import NO_REMOTE, Remote, RemoteChoice
from bentsao.apps.commands.evaluate_compare import compare
from bentsao.apps.commands.evaluate_items import EVERY, ItemChoice, Items, sources
from bentsao.apps.commands.evaluate_judge import judge
from bentsao.apps.commands.evaluate_people import collect, sheet
from bentsao.apps.commands.evaluate_systems import ALONE, Beside, Measured
from bentsao.apps.commands.grounded import GROUNDING, Grounding
from bentsao.apps.commands.kb_import import Json
from bentsao.apps.commands.kb_views import print_json
from bentsao.apps.commands.model_flags import MODEL, Model, ModelChoice, report
from bentsao.apps.commands.opening import opened
from bentsao.apps.commands.spreading import HERE, Spreading
from bentsao.apps.commands.verbs import verb
from bentsao.apps.terminal import printable
from bentsao.core.errors import ConfigError
from bentsao.core.files import check_writable, write_text
from bentsao.evaluation.scoring import COVERAGE

if TYPE_CHECKING:
    from bentsao.evaluation.running import Report
    from bentsao.evaluation.tasks.task import Task

app = verb("evaluate")

SOURCES = {"kb": "由知识库写成，或给出文件", "file": "用 --data 给出文件", "own": "自带题目，或给出文件"}
"""Where a task's items come from, in words."""

app.command(judge)
app.command(sheet)
app.command(collect)
app.command(compare)


@app.default
def evaluate(
    tasks: Annotated[tuple[str, ...], Parameter(help="任务，一个或几个；见 bentsao evaluate tasks")],
    /,
    *,
    out: Annotated[Path, Parameter(help="回答、判定、分数与报告写到哪个目录；中断后同样的命令接着做")],
    items: Items = EVERY,
    model: Model = MODEL,
    beside: Annotated[Beside, Parameter(name="*", group="并排测什么")] = ALONE,
    remote: Remote = NO_REMOTE,
    grounding: Grounding = GROUNDING,
    spreading: Spreading = HERE,
    plain: Annotated[
        bool, Parameter(help="模型不依据知识库回答；缺省时，由知识库写的题、给了 --kb 的题依据知识库回答", negative=())
    ] = False,
    max_new_tokens: Annotated[int | None, Parameter(help="一个回答最多生成多少个 token；缺省按任务")] = None,
    repetition_penalty: Annotated[float, Parameter(help="对回答中已出现的 token 的惩罚；1 为不惩罚")] = 1.0,
    min_coverage: Annotated[float, Parameter(help="可计分的题不到这个比例时不给出分数")] = COVERAGE,
    rescore: Annotated[bool, Parameter(help="不打开模型，只给 --out 里已有的回答重新计分", negative=())] = False,
    restart: Annotated[bool, Parameter(help="舍弃 --out 里已有的回答，全部重问", negative=())] = False,
    json: Json = False,
) -> None:
    """在一个或几个任务上测模型：适配器、未微调的基座，或接口上的任何模型。

    例：

        bentsao evaluate choice --base embedded --data cmmlu --limit 200 --out runs/eval

        bentsao evaluate open choice --adapter runs/my --with-base --data open=t.jsonl --data choice=cmmlu --out runs/e

        bentsao evaluate safety choice --adapter runs/a --also runs/b --with-base --data choice=cmmlu --out runs/all

        bentsao evaluate polarity --kb my.kb --api-base http://127.0.0.1:8000/v1 --model 名字 --out runs/api
    """
    from bentsao.evaluation.running import Plan
    from bentsao.evaluation.running import evaluate as measure
    from bentsao.evaluation.tasks import TASKS

    chosen = _tasks(tasks, TASKS)
    _check(items, min_coverage, max_new_tokens)
    _check_systems(model, remote, beside)
    if spreading != HERE and (rescore or remote.api_base is not None):
        raise ConfigError("--ray 由集群上的模型来答，不与 --rescore、--api-base 同用。")
    own = items.files([task.name for task in chosen])
    on_facts = [task for task in chosen if task.grounded and (grounding.kb is not None or not own[task.name])]
    if spreading != HERE and on_facts and not plain:
        raise ConfigError("--ray 还不能依据知识库回答。请加上 --plain，或去掉 --ray。")
    if rescore and restart:
        raise ConfigError("--rescore 只给已有的回答重新计分，--restart 要重新回答。请去掉其中一个。")
    check_writable(out, folder=True)
    console = Console()
    with ExitStack() as stack:
        kb = stack.enter_context(opened(grounding.kb)) if any(task.data == "kb" for task in chosen) else None
        measured = Measured(
            model, remote, grounding, beside, repetition_penalty, stack.enter_context(spreading.opener())
        )
        systems = measured.kept(kb, out) if rescore else measured.systems(kb)
        trainings = [system.training for system in systems]
        from_kb = False if plain else True if grounding.kb is not None else None
        plan = Plan(
            tasks=chosen,
            sources=sources(chosen, items, kb, trainings, grounded=from_kb),
            out=out,
            tokens=max_new_tokens,
            coverage=min_coverage,
            restart=restart,
            settings=_settings(items, tasks, min_coverage),
            bases={system.label: system.base for system in systems if system.base},
        )
        bar = stack.enter_context(_progress())
        found = measure(
            plan,
            [system.open for system in systems],
            lambda title: _Teller(bar, title),
            lambda line: bar.console.print(printable(line), style="dim", markup=False),
        )
    _write(out, found, console, json=json)


@app.command(name="tasks")
def tasks_() -> None:
    """列出全部任务。

    例：

        bentsao evaluate tasks
    """
    from bentsao.evaluation.tasks import TASKS

    for task in TASKS.values():
        where = SOURCES[task.data]
        print(f"{task.name}：{task.title}（{where}）\n    {task.about}")


def _settings(items: ItemChoice, tasks: Sequence[str], coverage: float) -> dict[str, Any]:
    """What the report says of how it was made."""
    return {
        "tasks": list(tasks),
        "data": list(items.data),
        "limit": list(items.limit),
        "count": items.count,
        "seed": items.seed,
        "subjects": list(items.subjects),
        "shots": items.shots,
        "shuffles": items.shuffles,
        "min_coverage": coverage,
    }


def _tasks(names: Sequence[str], known: dict[str, Task[Any]]) -> list[Task[Any]]:
    if strange := [name for name in names if name not in known]:
        raise ConfigError(f"没有任务 {strange[0]}。可用：{'、'.join(known)}。")
    return [known[name] for name in dict.fromkeys(names)]


def _check(items: ItemChoice, coverage: float, tokens: int | None) -> None:
    """Raises ConfigError for values that cannot be."""
    if not 0 <= coverage <= 1:
        raise ConfigError(f"--min-coverage {coverage} 应在 0 与 1 之间。")
    if items.count < 1 or items.shots < 0 or items.shuffles < 0 or (tokens is not None and tokens < 1):
        raise ConfigError("--count、--max-new-tokens 应不小于 1，--shots、--shuffles 应不小于 0。")


def _check_systems(model: ModelChoice, remote: RemoteChoice, beside: Beside) -> None:
    """Raises ConfigError for flags that do not go together."""
    local = model.adapter is not None or model.base is not None or beside.with_base or beside.also
    if remote.api_base is not None and local:
        raise ConfigError(
            "--api-base 与 --adapter、--base、--with-base、--also 不能同用：一次测一个接口，或测本地的模型。"
        )


# ---- progress and report --------------------------------------------------------------------------------------------


@contextmanager
def _progress() -> Generator[Progress]:
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[whole]}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("剩余"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        speed_estimate_period=600,  # a batch may take minutes
    )
    try:
        with bar:
            yield bar
    except KeyboardInterrupt:
        report("已中断。已有的回答都保存了，再次运行同一命令即可继续。")
        raise


class _Teller:
    """Moves the bars of one task put to one system: one for each kind of work."""

    def __init__(self, bar: Progress, title: str) -> None:
        self._bar, self._title = bar, title
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: float, count: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(f"{self._title} {what}", total=count, whole=0)
        self._bar.update(self._tasks[what], completed=done, whole=int(done))


def _write(out: Path, found: Report, console: Console, *, json: bool) -> None:
    from bentsao.apps.reports.evaluation import evaluation_page
    from bentsao.apps.reports.evaluation_tables import markdown, show
    from bentsao.evaluation.running import read_verdicts

    verdicts = {(one.system, one.task): read_verdicts(out, one.system, one.task) for one in found.scores}
    write_text(out / "report.md", markdown(found))
    write_text(out / "report.html", evaluation_page(found, verdicts))
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show(console, found)
    console.print(
        f"用时 {found.seconds / 60:.1f} 分钟。分数：{out / 'scores.json'}；报告：{out / 'report.html'}", markup=False
    )
