"""The items that `bentsao evaluate` asks, as the flags choose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bentsao.apps.commands.evaluate_systems import learnt
from bentsao.apps.commands.model_flags import report
from bentsao.core.errors import ConfigError

if TYPE_CHECKING:
    from bentsao.evaluation.contamination import Training
    from bentsao.evaluation.tasks.task import Source, Task
    from bentsao.knowledge.store import KnowledgeBase


@dataclass(frozen=True)
class ItemChoice:
    """Which items are asked."""

    data: Annotated[
        tuple[str, ...],
        Parameter(
            name="--data",
            help="题目文件（选择题也可以是目录）；几个任务时写成 任务=文件，如 choice=cmmlu。knowledge、polarity、"
            "indications、dialogue 没有文件时由知识库写成",
            negative=(),
            show_default=False,
        ),
    ] = ()
    limit: Annotated[
        tuple[str, ...],
        Parameter(
            help="每个任务最多几题，在各科目、各类之间均匀地随机抽，缺省为全部；也可逐个写成 任务=题数",
            consume_multiple=True,
            negative=(),
            show_default=False,
        ),
    ] = ()
    count: Annotated[int, Parameter(help="由知识库写题时，写大约几题（对、段）")] = 120
    seed: Annotated[int, Parameter(help="抽题、写题与重抽样的随机种子")] = 0
    subjects: Annotated[
        tuple[str, ...],
        Parameter(
            help="选择题只用这些科目（科目名、文件名，或 医学、非医学）",
            consume_multiple=True,
            negative=(),
            show_default=False,
        ),
    ] = ()
    shots: Annotated[int, Parameter(help="选择题前面放几道例题；例题不计分")] = 0
    shots_from: Annotated[Path | None, Parameter(help="例题另取自这个文件或目录")] = None
    shuffles: Annotated[int, Parameter(help="选择题的选项另换几种次序再问，看选的是不是同一项；0 为不换")] = 1

    def files(self, tasks: Sequence[str]) -> dict[str, tuple[Path, ...]]:
        """The files of each task. Raises ConfigError where it is left open which task a file is for."""
        found: dict[str, list[Path]] = {task: [] for task in tasks}
        for value in self.data:
            task, equals, path = value.partition("=")
            if equals and task in found:
                found[task].append(Path(path))
            elif len(tasks) == 1:
                found[tasks[0]].append(Path(value))
            else:
                raise ConfigError(f"有几个任务，要说明文件给哪一个：--data 任务={value}（{'、'.join(tasks)}）。")
        return {task: tuple(files) for task, files in found.items()}

    def limits(self, tasks: Sequence[str]) -> dict[str, int | None]:
        """How many items of each task; None: all. Raises ConfigError for what is no number from 1 on, or no task."""
        found: dict[str, int | None] = dict.fromkeys(tasks)
        # What is said of one task counts more than what is said of all.
        for value in sorted(self.limit, key=lambda one: "=" in one):
            task, equals, number = value.rpartition("=")
            if not number.isdecimal() or int(number) < 1:
                raise ConfigError(f"--limit {value} 应是不小于 1 的整数，或 任务=题数。")
            if equals and task not in found:
                raise ConfigError(f"--limit {value}：这次不测任务 {task}（{'、'.join(tasks)}）。")
            found |= {task: int(number)} if equals else dict.fromkeys(tasks, int(number))
        return found


Items = Annotated[ItemChoice, Parameter(name="*", group="题目")]
EVERY = ItemChoice()


def sources(
    tasks: Sequence[Task[Any]],
    items: ItemChoice,
    kb: KnowledgeBase | None,
    trainings: Sequence[Training],
    *,
    grounded: bool | None,
) -> dict[str, Source]:
    """Where the items of each task come from. trainings: of the systems; what they name is not asked about.

    grounded: whether to answer from the knowledge base; None: where the items were composed from it.
    """
    from bentsao.evaluation.tasks.task import Source

    files = items.files([task.name for task in tasks])
    limits = items.limits([task.name for task in tasks])
    composed = kb is not None and any(task.data == "kb" and not files[task.name] for task in tasks)
    seen = learnt(kb, trainings) if composed and kb is not None else frozenset[str]()
    return {
        name: Source(
            files=own,
            kb=kb,
            limit=limits[name],
            count=items.count,
            seed=items.seed,
            learnt=seen.__contains__,
            subjects=items.subjects,
            shots=items.shots,
            shots_from=items.shots_from,
            shuffles=items.shuffles,
            grounded=not own if grounded is None else grounded,
            report=report,
        )
        for name, own in files.items()
    }
