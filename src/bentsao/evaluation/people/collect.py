"""What the raters wrote, read back and put together: do they agree, how do the systems stand, does a judge agree."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean

from pydantic import Field

from bentsao.core.errors import ConfigError, DataError, Fault
from bentsao.core.files import read_text
from bentsao.core.records import Record
from bentsao.core.rows import read_rows
from bentsao.evaluation.judging.judge import judged_by
from bentsao.evaluation.judging.scoring import Judged
from bentsao.evaluation.people.sheet import CODE, NOTE, Key, read_key
from bentsao.evaluation.statistics import Figure, mean
from bentsao.evaluation.statistics_agreement import cohen_kappa, krippendorff_alpha
from bentsao.evaluation.statistics_paired import Difference, difference, holm
from bentsao.evaluation.statistics_ranking import Match, Strength, bradley_terry


@dataclass(frozen=True)
class Ratings:
    """One rater's scores: by code and aspect, and the notes."""

    rater: str
    scores: dict[str, dict[str, int]]
    notes: dict[str, str]


class Agreement(Record):
    """Of one aspect. alpha: Krippendorff's, ordinal, of the people. kappa: mean over pairs, quadratic weights.

    with_judge: alpha with the judge as one more rater; judge_kappa: the judge with each rater. None, {}: no judge.
    """

    aspect: str
    alpha: Figure
    kappa: float | None
    with_judge: Figure | None = None
    judge_kappa: dict[str, float | None] = Field(default_factory=dict)


class Standing(Record):
    """A system's scores by aspect: the raters' mean for each answer, then over answers. rated: answers with a score."""

    system: str
    rated: int
    answers: int
    measures: dict[str, Figure]


class RatedGap(Record):
    """Two systems on the same questions, in one aspect."""

    first: str
    second: str
    measure: str
    difference: Difference
    p_corrected: float | None = None


class Collected(Record):
    """All that came of a sheet. raters: how many answers each has rated in full. missing: raters without any rating."""

    sheet: str
    raters: dict[str, int]
    missing: tuple[str, ...]
    agreement: list[Agreement]
    standings: list[Standing]
    gaps: list[RatedGap]
    strengths: list[Strength]
    judge: str = ""


def collect(folder: Path, judged: Path | None = None, *, seed: int = 0) -> tuple[Key, Collected]:
    """Put the sheets of a folder together. judged: the folder of a `bentsao evaluate judge` run of the same rubric.

    Raises DataError with all faults of all files, ConfigError where nothing is rated or the rubrics differ.
    """
    key = read_key(folder)
    found, faults = list[Ratings](), list[Fault]()
    for path in sorted(folder.glob("*.csv")):
        try:
            found.append(read_ratings(path, key))
        except DataError as error:
            faults += error.faults
    rated = [one for one in found if one.scores]
    names = [one.rater for one in rated]
    faults += [
        Fault(str(folder), None, "评分人", name, "有两份填过的 CSV。请只留一份。")
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    if faults:
        raise DataError(faults)
    if not rated:
        raise ConfigError(f"{folder} 里的 CSV 都还没有评分。请把评分人导出的 rater-N.csv 放进去。")
    table = _Table(key, rated, _judge_scores(judged, key) if judged else {}, seed)
    aspects = [one.name for one in key.rubric.aspects]
    return key, Collected(
        sheet=key.sheet,
        raters={one.rater: sum(len(scores) == len(aspects) for scores in one.scores.values()) for one in rated},
        missing=tuple(sorted({one.rater for one in found} - set(names))),
        agreement=[table.agreement(name) for name in aspects],
        standings=table.standings(aspects),
        gaps=table.gaps(aspects),
        strengths=bradley_terry(table.matches(aspects), seed=seed),
        judge=judged_by(judged).asking.model if judged else "",
    )


def read_ratings(path: Path, key: Key) -> Ratings:
    """One rater's file; answers without any score are left out. Raises DataError with all its faults."""
    codes = {one.code for one in key.answers}
    aspects = {one.title: one for one in key.rubric.aspects}
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    faults: list[Fault] = []
    scores: dict[str, dict[str, int]] = {}
    notes: dict[str, str] = {}
    head = next(reader, [])
    if missing := [name for name in (CODE, *aspects) if name not in head]:
        raise DataError([Fault(str(path), 1, "表头", "、".join(head), f"缺少列 {'、'.join(missing)}。")])
    line = reader.line_num
    for row in reader:
        start, line = line + 1, reader.line_num
        if not any(cell.strip() for cell in row):
            continue
        cells = dict(zip(head, row, strict=False))
        code = cells.get(CODE, "").strip().upper()
        if code not in codes:
            faults.append(Fault(str(path), start, CODE, code, "不是这份表的编号。"))
            continue
        if code in scores:
            faults.append(Fault(str(path), start, CODE, code, "重复。"))
        scores[code] = {}
        notes[code] = cells.get(NOTE, "").strip()
        for title, aspect in aspects.items():
            written = cells.get(title, "").strip()
            if not written:
                continue
            if written not in {str(value) for value in range(aspect.low, aspect.high + 1)}:
                reason = f"应是 {aspect.low} 到 {aspect.high} 的整数，或留空。"
                faults.append(Fault(str(path), start, title, written, reason))
                continue
            scores[code][aspect.name] = int(written)
    if faults:
        raise DataError(faults)
    rater = re.sub(r"\s*\(\d+\)$", "", path.stem)  # what a browser adds to a name that is taken
    return Ratings(rater, {code: own for code, own in scores.items() if own}, {c: n for c, n in notes.items() if n})


def _judge_scores(folder: Path, key: Key) -> dict[str, dict[str, float]]:
    """The judge's scores by code. Raises ConfigError where it judged by other words."""
    by = judged_by(folder)
    if by.rubric_hash != key.rubric.hash:
        raise ConfigError(f"裁判用的评分标准（{by.rubric.name}）与表上的（{key.rubric.name}）不同，不能比较。")
    codes = {(one.system, one.id): one.code for one in key.answers}
    out: dict[str, dict[str, float]] = {}
    for one in read_rows(folder / "judgements.jsonl", lambda _, row: Judged.model_validate(row)):
        if one.scores is not None and (code := codes.get((one.system, one.id))):
            out[code] = one.scores
    if not out:
        raise ConfigError(f"{folder} 评的不是这份表上的回答（按系统名和题目 id 对照）。")
    return out


@dataclass(frozen=True)
class _Table:
    """All ratings by rater and code, and the judge's."""

    key: Key
    ratings: Sequence[Ratings]
    judge: dict[str, dict[str, float]]
    seed: int

    def agreement(self, aspect: str) -> Agreement:
        """Of one aspect."""
        people = {one.rater: self._column(one.scores, aspect) for one in self.ratings}
        kappas = [_kappa(first, second) for first, second in combinations(people.values(), 2)]
        known = [kappa for kappa in kappas if kappa is not None]
        out = Agreement(
            aspect=aspect,
            alpha=krippendorff_alpha(list(people.values()), "ordinal", seed=self.seed),
            kappa=fmean(known) if known else None,
        )
        if not self.judge:
            return out
        judge = self._column(self.judge, aspect)
        return out.model_copy(
            update={
                "with_judge": krippendorff_alpha([*people.values(), judge], "ordinal", seed=self.seed),
                "judge_kappa": {rater: _kappa(judge, own) for rater, own in people.items()},
            }
        )

    def _column(
        self, scores: dict[str, dict[str, int]] | dict[str, dict[str, float]], aspect: str
    ) -> list[float | None]:
        return [scores.get(one.code, {}).get(aspect) for one in self.key.answers]

    def _means(self, aspect: str) -> dict[tuple[str, str], float]:
        """The raters' mean for each answer that anyone rated: (system, id) → mean."""
        out: dict[tuple[str, str], float] = {}
        for one in self.key.answers:
            given = [own.scores[one.code][aspect] for own in self.ratings if aspect in own.scores.get(one.code, {})]
            if given:
                out[one.system, one.id] = fmean(given)
        return out

    def standings(self, aspects: Sequence[str]) -> list[Standing]:
        """Each system's scores."""
        groups = {(one.system, one.id): one.group for one in self.key.answers}
        means = {aspect: self._means(aspect) for aspect in aspects}
        out: list[Standing] = []
        for system in dict.fromkeys(one.system for one in self.key.answers):
            own = [place for place in groups if place[0] == system]
            measures = {
                aspect: mean(
                    [found[place] for place in own if place in found],
                    [groups[place] for place in own if place in found],
                    seed=self.seed,
                )
                for aspect, found in means.items()
            }
            rated = sum(all(place in found for found in means.values()) for place in own)
            out.append(Standing(system=system, rated=rated, answers=len(own), measures=measures))
        return out

    def gaps(self, aspects: Sequence[str]) -> list[RatedGap]:
        """Every two systems on the questions where both were rated; p corrected over all of them."""
        groups = {one.id: one.group for one in self.key.answers}
        out: list[RatedGap] = []
        for one, other in combinations(dict.fromkeys(item.system for item in self.key.answers), 2):
            for aspect in aspects:
                found = self._means(aspect)
                ids = [name for name in groups if (one, name) in found and (other, name) in found]
                gap = difference(
                    [found[one, name] for name in ids],
                    [found[other, name] for name in ids],
                    [groups[name] for name in ids],
                    seed=self.seed,
                )
                out.append(RatedGap(first=one, second=other, measure=aspect, difference=gap))
        corrected = holm([one.difference.p for one in out])
        return [one.model_copy(update={"p_corrected": p}) for one, p in zip(out, corrected, strict=True)]

    def matches(self, aspects: Sequence[str]) -> list[Match]:
        """For each rater and question, every two answers rated in full: who has more points in all."""
        out: list[Match] = []
        by_id: dict[str, list[tuple[str, str, str]]] = {}
        for one in self.key.answers:
            by_id.setdefault(one.id, []).append((one.system, one.code, one.group))
        for rater in self.ratings:
            totals = {code: sum(own.values()) for code, own in rater.scores.items() if len(own) == len(aspects)}
            for rows in by_id.values():
                for (one, code, group), (other, other_code, _) in combinations(rows, 2):
                    if code in totals and other_code in totals:
                        gap = totals[code] - totals[other_code]
                        winner = one if gap > 0 else other if gap < 0 else ""
                        out.append(Match(first=one, second=other, winner=winner, group=group))
        return out


def _kappa(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return cohen_kappa([a for a, _ in pairs], [b for _, b in pairs], "quadratic")
