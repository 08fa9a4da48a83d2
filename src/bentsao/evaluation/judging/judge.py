"""One run of a judge, from answers to a folder: judgements, calls, figures, a report, and what it was all made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bentsao import __version__
from bentsao.core.complaints import in_one_line
from bentsao.core.errors import ConfigError
from bentsao.core.files import read_json_object, sha256_file, sha256_text, write_json, write_jsonl, write_text
from bentsao.evaluation.answers import Answers, refuse_own_judge
from bentsao.evaluation.judging import report
from bentsao.evaluation.judging.asking import prompt
from bentsao.evaluation.judging.pair_figures import Ranking, pair_figures
from bentsao.evaluation.judging.pairing import Compared, Pair, compared, pairs
from bentsao.evaluation.judging.rubric import Rubric
from bentsao.evaluation.judging.running import PLAINLY, Doing, Outcomes, Spent, ask, distinct
from bentsao.evaluation.judging.score_figures import COVERAGE, Contrast, SystemScores, score_figures
from bentsao.evaluation.judging.scoring import Case, Judged, Scoring, cases, judged
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.jobs import Job

SCORE_TOKENS = 120
"""About how many tokens a judge's reply has, for estimates."""


@dataclass(frozen=True)
class Plan:
    """What is judged, how and by whom. pairwise: answers against each other instead of each by itself.

    least: the share of answers that must be scored for a score to be printed.
    """

    found: Answers
    asking: Asking
    scoring: Scoring
    pairwise: bool = False
    least: float = COVERAGE
    seed: int = 0

    @property
    def rubric(self) -> Rubric:
        """What is judged by."""
        return self.scoring.rubric


class _Titled(BaseModel):
    name: str
    title: str


class _RubricAsWritten(BaseModel):
    name: str
    aspects: tuple[_Titled, ...] = ()


class _Asked(BaseModel):
    model: str


class JudgedBy(BaseModel):
    """What a judge's folder says it was judged by, and who judged; all else it says is left."""

    rubric: _RubricAsWritten
    rubric_hash: str
    asking: _Asked


def judged_by(folder: Path) -> JudgedBy:
    """What `evaluate judge` wrote into a folder of scores. Raises ConfigError where it is none of its own."""
    path = folder / "scores.json"
    if not (folder / "judgements.jsonl").is_file() or not path.is_file():
        raise ConfigError(
            f"{folder} 里没有 judgements.jsonl 和分数。请给出 bentsao evaluate judge（不带 --pairwise）写的目录。"
        )
    try:
        return JudgedBy.model_validate(read_json_object(path).get("settings"))
    except ValidationError as error:
        raise ConfigError(f"{path} 不是 evaluate judge 写的：{in_one_line(error)}") from None


@dataclass(frozen=True)
class Prepared:
    """A plan with its calls, before any is made. `jobs`: each call once."""

    plan: Plan
    cases: list[Case]
    pairs: list[Pair]

    @property
    def jobs(self) -> list[Job[Any]]:
        """The calls."""
        return distinct([job for one in (*self.cases, *self.pairs) for job in one.jobs])


@dataclass(frozen=True)
class Result:
    """What a run came to, by scores or by pairs; `lines` is the report."""

    judged: list[Judged]
    scores: list[SystemScores]
    contrasts: list[Contrast]
    compared: list[Compared]
    ranking: Ranking | None
    spent: Spent
    lines: list[str]


def prepare(plan: Plan) -> Prepared:
    """The calls of a plan. Raises ConfigError where the judge is judged too, or pairs are wanted of one system."""
    refuse_own_judge(plan.asking.model, plan.found.systems)
    if plan.pairwise:
        if len(plan.found.systems) < 2:
            raise ConfigError("--pairwise 要比较两个或更多系统：请再给一个回答文件。")
        made = pairs(plan.found, plan.asking, plan.rubric, plan.scoring.style, reference=plan.scoring.reference)
        return Prepared(plan, [], made)
    return Prepared(plan, cases(plan.found, plan.asking, plan.scoring), [])


def run(prepared: Prepared, out: Path, journal: Path, doing: Doing = PLAINLY) -> Result:
    """Have it judged and write everything into `out`. The same call again goes on where a killed run was.

    Raises RemoteError where the server or the journal allow no run, ConfigError where the server says that the judge
    is one of the judged after all.
    """
    plan = prepared.plan
    outcomes, spent = ask(prepared.jobs, plan.asking, journal, doing)
    for model in spent.models:
        refuse_own_judge(model, plan.found.systems)
    result = _by_pairs(prepared, outcomes, spent) if plan.pairwise else _by_scores(prepared, outcomes, spent)
    _save(plan, result, out)
    return result


def _by_scores(prepared: Prepared, outcomes: Outcomes, spent: Spent) -> Result:
    plan = prepared.plan
    found = [judged(case, outcomes.of(case.jobs), plan.scoring) for case in prepared.cases]
    scores, contrasts = score_figures(found, plan.found, plan.rubric, least=plan.least, seed=plan.seed)
    lines = report.score_lines(scores, contrasts, plan.rubric, plan.least)
    return Result(found, scores, contrasts, [], None, spent, _report(plan, spent, lines))


def _by_pairs(prepared: Prepared, outcomes: Outcomes, spent: Spent) -> Result:
    plan = prepared.plan
    found = [compared(pair, outcomes.of(pair.jobs)) for pair in prepared.pairs]
    ranking = pair_figures(found, plan.found, least=plan.least, seed=plan.seed)
    return Result([], [], [], found, ranking, spent, _report(plan, spent, report.pair_lines(ranking, plan.least)))


def _report(plan: Plan, spent: Spent, lines: Sequence[str]) -> list[str]:
    return [*report.heading(plan.rubric, plan.asking.model, plan.found), *lines, *report.spent_lines(spent)]


def _save(plan: Plan, result: Result, out: Path) -> None:
    asking = plan.asking.model_dump(mode="json", exclude={"endpoint": {"key_env"}})
    names = ("pair",) if plan.pairwise else ("score",) if plan.rubric.aspects else ("criterion",)
    settings = {
        "bentsao": __version__,
        "asking": asking,
        "rubric": plan.rubric.model_dump(mode="json"),
        "rubric_hash": plan.rubric.hash,
        "own_criteria": {key: [one.model_dump() for one in some] for key, some in plan.scoring.criteria.items()},
        "prompts": {name: sha256_text(prompt(name)) for name in (*names, "again")},
        "style": plan.scoring.style.model_dump(),
        "reference": plan.scoring.reference,
        "pairwise": plan.pairwise,
        "least_coverage": plan.least,
        "seed": plan.seed,
        "systems": [
            {"name": one.name, "file": one.path.name, "sha256": sha256_file(one.path), "engine": one.engine}
            for one in plan.found.systems
        ],
        "items": len(plan.found.items),
        "left_out": plan.found.left_out,
    }
    scores: dict[str, Any] = {"settings": settings, "spent": result.spent.model_dump()}
    if result.ranking:
        write_jsonl(out / "pairs.jsonl", [one.model_dump() for one in result.compared])
        scores["ranking"] = result.ranking.model_dump()
    else:
        write_jsonl(out / "judgements.jsonl", [one.model_dump() for one in result.judged])
        scores["scores"] = [one.model_dump() for one in result.scores]
        scores["contrasts"] = [one.model_dump() for one in result.contrasts]
    write_json(out / ("pairs.json" if result.ranking else "scores.json"), scores)
    write_text(out / ("pairs.md" if result.ranking else "report.md"), "\n".join(result.lines) + "\n")
