"""Tasks × systems → a report: answers first, then the check for contamination, then verdicts and figures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from bentsao import __version__
from bentsao.core.errors import ConfigError
from bentsao.core.files import iterate_json, write_json, write_jsonl
from bentsao.core.records import Record
from bentsao.evaluation.contamination import contaminated
from bentsao.evaluation.gaps import Gap, corrected, gaps
from bentsao.evaluation.scoring import COVERAGE, Measured, measured
from bentsao.evaluation.statistics import Figure, mean
from bentsao.evaluation.systems import Run, System, Telling
from bentsao.evaluation.tasks.choice_files import OTHER
from bentsao.evaluation.tasks.task import Item, Source, Task, Verdict

VERDICTS = "verdicts.jsonl"


class Scores(Record):
    """What a system has in a task. figures: of the items that are not known to be in its training data.

    parts: the same by tag and its value. contaminated: how many items are in the training data, by how; and
    contaminated_figures: what these came to. check: what the reader must know of that check. seconds: it took, with
    what an earlier run had answered left out.
    """

    task: str
    system: str
    items: int
    figures: dict[str, Measured]
    parts: dict[str, dict[str, dict[str, Measured]]] = Field(default_factory=dict)
    contaminated: dict[str, int] = Field(default_factory=dict)
    contaminated_figures: dict[str, Measured] = Field(default_factory=dict)
    check: str = ""
    seconds: float = 0.0


class Forgetting(Record):
    """What tuning cost outside medicine: the same questions before and after. change: after − before, by question."""

    system: str
    base: str
    measure: str
    before: Figure
    after: Figure
    change: Figure


class Report(Record):
    """What `scores.json` holds. systems: what identifies each, by its label. settings: of the run.

    tuned: the labels of those that were tuned. gaps: the systems against one another.
    """

    bentsao: str = __version__
    systems: dict[str, str]
    settings: dict[str, Any]
    scores: tuple[Scores, ...]
    tuned: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    forgetting: tuple[Forgetting, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is to be measured. sources: by task. tokens: of an answer at the most; None: as each task says.

    bases: the labels of the untuned systems, by those of what was tuned from them.
    """

    tasks: Sequence[Task[Any]]
    sources: Mapping[str, Source]
    out: Path
    tokens: int | None = None
    coverage: float = COVERAGE
    restart: bool = False
    settings: Mapping[str, Any] | None = None
    bases: Mapping[str, str] = field(default_factory=dict[str, str])


def folder_of(out: Path, system: str, task: str) -> Path:
    """Where the answers of a system to a task are kept."""
    return out / system / task


def evaluate(
    plan: Plan,
    systems: Sequence[Callable[[], System]],
    tell: Callable[[str], Telling],
    report: Callable[[str], None],
) -> Report:
    """Measure every system on every task; answers, verdicts and `scores.json` are written into `plan.out`.

    systems: each is opened when it is its turn, and let go afterwards. tell: gives what is told of the progress of a
    piece of work of this title. Raises ConfigError where two items of a task have one id.
    """
    started = time.perf_counter()
    items = {task.name: _loaded(task, plan.sources[task.name]) for task in plan.tasks}
    scores: list[Scores] = []
    names: dict[str, str] = {}
    verdicts: dict[str, dict[str, list[Verdict]]] = {task.name: {} for task in plan.tasks}
    tuned: list[str] = []
    for opened in systems:
        system = opened()
        names[system.label] = system.name
        tuned += [system.label] if system.training.tuned else []
        for task in plan.tasks:
            told = tell(f"{system.label}·{task.title}")
            found, one = _measure(task, items[task.name], system, plan, tell=told, report=report)
            verdicts[task.name][system.label] = found
            scores.append(one)
    found = Report(
        systems=names,
        settings=dict(plan.settings or {}),
        scores=tuple(scores),
        tuned=tuple(tuned),
        gaps=tuple(
            corrected([gap for task in plan.tasks for gap in gaps(task, verdicts[task.name], coverage=plan.coverage)])
        ),
        forgetting=tuple(_forgetting(verdicts.get("choice", {}), plan)),
        seconds=time.perf_counter() - started,
    )
    write_json(plan.out / "scores.json", found.model_dump(mode="json"))
    return found


def _loaded(task: Task[Any], source: Source) -> list[Item[Any]]:
    items = task.load(source)
    if twice := [name for name, count in Counter(item.id for item in items).items() if count > 1]:
        raise ConfigError(
            f"任务 {task.name} 有 {len(twice)} 个编号各用在几道题上（{'、'.join(twice[:3])} …）。"
            "请改掉重复的 id，同一个文件不要给两次。"
        )
    return items


def read_verdicts(out: Path, system: str, task: str) -> list[Verdict]:
    """The verdicts that a run left behind."""
    return [Verdict.model_validate(row) for _, row in iterate_json(folder_of(out, system, task) / VERDICTS)]


def _measure(
    task: Task[Any],
    items: Sequence[Item[Any]],
    system: System,
    plan: Plan,
    *,
    tell: Telling,
    report: Callable[[str], None],
) -> tuple[list[Verdict], Scores]:
    started = time.perf_counter()
    folder = folder_of(plan.out, system.label, task.name)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, plan.tokens or task.tokens, plan.restart, tell, report)
    responses = system.respond(items, run, grounded=task.grounded and plan.sources[task.name].grounded)
    known = contaminated(items, system.training)
    source = plan.sources[task.name]
    verdicts = [one.model_copy(update={"contaminated": known.get(one.id, "")}) for one in task.judge(items, responses)]
    write_jsonl(folder / VERDICTS, [one.model_dump(mode="json") for one in verdicts])
    clean = [one for one in verdicts if not one.contaminated]
    dirty = [one for one in verdicts if one.contaminated]
    return verdicts, Scores(
        task=task.name,
        system=system.label,
        items=len(verdicts),
        figures=_figures(task, clean, plan, source.seed),
        parts={
            tag: {
                part: _figures(task, [one for one in clean if one.tags.get(tag) == part], plan, source.seed)
                for part in sorted({one.tags[tag] for one in clean if tag in one.tags})
            }
            for tag in task.splits
        },
        contaminated=dict(Counter(one.contaminated for one in dirty)),
        contaminated_figures=_figures(task, dirty, plan, source.seed) if dirty else {},
        check=system.training.account,
        seconds=time.perf_counter() - started,
    )


def _figures(task: Task[Any], verdicts: Sequence[Verdict], plan: Plan, seed: int) -> dict[str, Measured]:
    return measured(task.measures, verdicts, coverage=plan.coverage, seed=seed)


# ---- what was forgotten ---------------------------------------------------------------------------------------------


def _forgetting(verdicts: Mapping[str, Sequence[Verdict]], plan: Plan) -> list[Forgetting]:
    """Questions outside medicine, of each tuned system beside its base."""
    return [
        found
        for label, base in plan.bases.items()
        for measure in ("likelihood", "letter")
        if (found := _compared(label, base, measure, verdicts, plan.coverage))
    ]


def _compared(
    label: str, base: str, measure: str, verdicts: Mapping[str, Sequence[Verdict]], coverage: float
) -> Forgetting | None:
    """None where too few of the questions that both were asked have a score of both."""
    theirs = {one.id: one for one in _other(verdicts.get(base, ())) if measure in one.scores}
    asked = [one for one in _other(verdicts.get(label, ())) if measure in one.scores and one.id in theirs]
    before = {name: one for name, one in theirs.items() if one.scores[measure] is not None}
    after = [one for one in asked if one.scores[measure] is not None and one.id in before]
    if not after or len(after) < coverage * len(asked):
        return None
    groups = [one.group for one in after]
    new = [one.scores[measure] or 0.0 for one in after]
    old = [before[one.id].scores[measure] or 0.0 for one in after]
    return Forgetting(
        system=label,
        base=base,
        measure=measure,
        before=mean(old, groups),
        after=mean(new, groups),
        change=mean([a - b for a, b in zip(new, old, strict=True)], groups),
    )


def _other(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [one for one in verdicts if one.tags.get("领域") == OTHER and not one.contaminated]
