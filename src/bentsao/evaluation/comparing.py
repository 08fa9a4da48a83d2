"""Several systems' answers side by side: what can be measured without a judge, with paired tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from bentsao.core.errors import ConfigError
from bentsao.core.records import Answer, Record
from bentsao.core.repetition import loops
from bentsao.core.rows import read_rows
from bentsao.evaluation import safety
from bentsao.evaluation.answers import Answers, Item
from bentsao.evaluation.judging.judge import judged_by
from bentsao.evaluation.judging.scoring import Judged
from bentsao.evaluation.statistics import Figure, mean, share
from bentsao.evaluation.statistics_paired import Difference, McNemar, difference, holm, mcnemar


@dataclass(frozen=True)
class Measure:
    """Something that an answer has; None: it does not apply. share: yes or no, 1 or 0; better: which way is, '' for
    neither.
    """

    title: str
    of: Callable[[Answer], float | None]
    share: bool = True
    better: str = ""


def _says(one: Answer) -> bool:
    return bool(one.text.strip()) and one.finish != "error"


MEASURES: dict[str, Measure] = {
    "answered": Measure("有回答", lambda one: float(_says(one)), better="high"),
    "ended": Measure("自己说完", lambda one: float(one.finish == "end" and _says(one)), better="high"),
    "repeats": Measure("重复", lambda one: float(loops(one.text)) if _says(one) else None, better="low"),
    "length": Measure("字数", lambda one: float(len(one.text)) if one.finish != "error" else None, share=False),
    "seconds": Measure(
        "用时（秒）", lambda one: one.seconds if one.finish != "error" else None, share=False, better="low"
    ),
}
"""What is measured of every answer; add one here."""

SAFE = "safe"
RULE = 40
"""So many characters of a rule are shown."""


class Row(Record):
    """One question: the answers' texts and scores by system.

    reason: why the safety set asks it, '' for others. verdicts: what its rules find wrong with an answer. apart: how
    far the answers are from one another, 0 to 1.
    """

    id: str
    question: str
    kind: str
    reference: str
    reason: str
    answers: dict[str, str]
    finish: dict[str, str]
    scores: dict[str, dict[str, float]]
    verdicts: dict[str, list[str]]
    apart: float


class AnswerGap(Record):
    """Two systems in one measure, on the same questions. test: McNemar's, for shares where no questions are grouped."""

    first: str
    second: str
    measure: str
    difference: Difference
    test: McNemar | None = None
    p_corrected: float | None = None


class Comparison(Record):
    """The whole table. titles: of the measures; figures: by system and measure."""

    systems: list[str]
    engines: dict[str, str]
    titles: dict[str, str]
    shares: list[str]
    figures: dict[str, dict[str, Figure]]
    gaps: list[AnswerGap]
    rows: list[Row]
    left_out: list[str]


def compare(found: Answers, judged: Sequence[Path] = (), *, seed: int = 0) -> Comparison:
    """The table of all systems. judged: folders of `bentsao evaluate judge`, whose scores are shown and tested too.

    Answers to the project's safety set are scored by its rules. Raises ConfigError where a folder holds no judgements.
    """
    names = [system.name for system in found.systems]
    scores: dict[tuple[str, str], dict[str, float]] = {
        (system.name, item.id): {
            name: value
            for name, measure in MEASURES.items()
            if (value := measure.of(system.answers[item.id])) is not None
        }
        for system in found.systems
        for item in found.items
    }
    titles = {name: measure.title for name, measure in MEASURES.items()}
    shares = [name for name, measure in MEASURES.items() if measure.share]
    verdicts, reasons = _safety(found, scores)
    if verdicts:
        titles[SAFE] = "安全（规则）"
        shares.append(SAFE)
    for folder in judged:
        titles |= _judged(folder, scores)
    groups = {item.id: item.group for item in found.items}
    table = _Table(scores, groups, shares, seed)
    return Comparison(
        systems=names,
        engines={system.name: system.engine for system in found.systems},
        titles=titles,
        shares=shares,
        figures={name: {measure: table.figure(name, measure) for measure in titles} for name in names},
        gaps=table.gaps(names, list(titles)),
        rows=[_row(found, item, scores, verdicts, reasons.get(item.id, "")) for item in found.items],
        left_out=found.left_out,
    )


@dataclass(frozen=True)
class _Table:
    """All scores by (system, id), and each question's group."""

    scores: Mapping[tuple[str, str], Mapping[str, float]]
    groups: Mapping[str, str]
    shares: Sequence[str]
    seed: int

    def figure(self, system: str, measure: str) -> Figure:
        """A system's mean over the questions that it has a score for."""
        ids = [name for name in self.groups if measure in self.scores[system, name]]
        values = [self.scores[system, name][measure] for name in ids]
        groups = [self.groups[name] for name in ids]
        if measure in self.shares:
            return share([value == 1 for value in values], groups, seed=self.seed)
        return mean(values, groups, seed=self.seed)

    def gaps(self, systems: Sequence[str], measures: Sequence[str]) -> list[AnswerGap]:
        """Every two systems in every measure; p corrected over all of them."""
        grouped = len(set(self.groups.values())) < len(self.groups)
        out: list[AnswerGap] = []
        for one, other in combinations(systems, 2):
            for measure in measures:
                ids = [name for name in self.groups if measure in self.scores[one, name]]
                ids = [name for name in ids if measure in self.scores[other, name]]
                first, second = ([self.scores[name, at][measure] for at in ids] for name in (one, other))
                gap = difference(first, second, [self.groups[name] for name in ids], seed=self.seed)
                test = None
                if measure in self.shares and not grouped:
                    test = mcnemar([value == 1 for value in first], [value == 1 for value in second])
                out.append(AnswerGap(first=one, second=other, measure=measure, difference=gap, test=test))
        tested = [one.test.p if one.test else one.difference.p for one in out]
        return [one.model_copy(update={"p_corrected": p}) for one, p in zip(out, holm(tested), strict=True)]


def _safety(
    found: Answers, scores: dict[tuple[str, str], dict[str, float]]
) -> tuple[dict[tuple[str, str], list[str]], dict[str, str]]:
    """What the safety set's rules find wrong with each answer to one of its questions, and why those are asked.

    The scores get SAFE.
    """
    cases = {case.id: case for case in safety.read_cases()}
    out: dict[tuple[str, str], list[str]] = {}
    reasons: dict[str, str] = {}
    for item in found.items:
        case = cases.get(item.id)
        for system in found.systems:
            answer = system.answers[item.id]
            if case and answer.question.strip() == case.asked.text.strip():
                verdict = safety.score(case, answer.text)
                reasons[item.id] = case.reason
                scores[system.name, item.id][SAFE] = float(verdict.safe)
                out[system.name, item.id] = [_broken(one) for one in verdict.verdicts if not one.passed]
    return out, reasons


def _broken(verdict: safety.RuleVerdict) -> str:
    rule = verdict.rule.replace("@", "")
    said = f"（说了“{verdict.found}”）" if verdict.found else ""
    return (rule if len(rule) <= RULE else rule[:RULE] + "……") + said


def _judged(folder: Path, scores: dict[tuple[str, str], dict[str, float]]) -> dict[str, str]:
    """Add a judge's scores; the titles of its measures."""
    by = judged_by(folder)
    rubric, judge = by.rubric, by.asking.model
    titles = {f"{rubric.name}.{one.name}": f"{one.title}（{judge}）" for one in rubric.aspects}
    titles = titles or {f"{rubric.name}.points": f"得分率（{judge}）"}
    known = 0
    for one in read_rows(folder / "judgements.jsonl", lambda _, row: Judged.model_validate(row)):
        at = (one.system, one.id)
        if at in scores and one.scores is not None:
            known += 1
            scores[at] |= {f"{rubric.name}.{name}": value for name, value in one.scores.items()}
    if not known:
        raise ConfigError(f"{folder} 评的不是这些回答（按系统名和题目 id 对照）。")
    return titles


def _row(
    found: Answers,
    item: Item,
    scores: Mapping[tuple[str, str], Mapping[str, float]],
    verdicts: Mapping[tuple[str, str], list[str]],
    reason: str,
) -> Row:
    answers = {system.name: system.answers[item.id] for system in found.systems}
    return Row(
        id=item.id,
        question=item.question,
        kind=item.kind,
        reference=item.reference or "",
        reason=reason,
        answers={name: answer.text for name, answer in answers.items()},
        finish={name: answer.error or answer.finish for name, answer in answers.items()},
        scores={name: dict(scores[name, item.id]) for name in answers},
        verdicts={name: verdicts[name, item.id] for name in answers if (name, item.id) in verdicts},
        apart=apart([answer.text for answer in answers.values()]),
    )


def apart(texts: Sequence[str]) -> float:
    """How far texts are apart: 1 − the mean share of character pairs that two of them have in common (Jaccard)."""
    grams = [{text[at : at + 2] for at in range(len(text) - 1)} or {text} for text in texts]
    pairs = [1 - len(one & other) / len(one | other) for one, other in combinations(grams, 2)]
    return sum(pairs) / len(pairs) if pairs else 0.0
