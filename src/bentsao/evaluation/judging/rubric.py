"""What answers are judged by: aspects with a scale, or criteria with points. Rubrics are TOML files in `rubrics/`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from bentsao.core.complaints import in_one_line
from bentsao.core.errors import ConfigError
from bentsao.core.files import read_text, sha256_text
from bentsao.core.records import Record
from bentsao.core.rows import read_rows
from bentsao.core.toml import parse_toml

POINTS = "points"
"""The one measure of a rubric with criteria: points met over points possible."""


class Aspect(Record):
    """One thing that a judge gives a score for. levels: what each score means, from `low` upwards, one by one."""

    name: str = Field(pattern=r"^[a-z_]+$")
    title: str
    asks: str
    low: int
    levels: tuple[str, ...] = Field(min_length=2)

    @property
    def high(self) -> int:
        """The best score."""
        return self.low + len(self.levels) - 1


class Criterion(Record):
    """One thing that an answer does or does not; points below 0 are for what it should not do."""

    text: str = Field(min_length=1)
    points: int


class Rubric(Record):
    """Aspects or criteria, not both. source: where it was published. threshold: of the share of points, for `above`."""

    name: str
    title: str
    source: str
    aspects: tuple[Aspect, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    threshold: float | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Rubric:
        if bool(self.aspects) == bool(self.criteria):
            raise ValueError("要么有 aspects，要么有 criteria")
        if self.criteria and sum(max(0, one.points) for one in self.criteria) == 0:
            raise ValueError("criteria 里没有一条是正分")
        return self

    @property
    def measures(self) -> dict[str, str]:
        """What is measured: name → title."""
        return {one.name: one.title for one in self.aspects} or {POINTS: "得分率"}

    @property
    def worst(self) -> dict[str, float]:
        """The scores of an answer that says nothing."""
        return {one.name: float(one.low) for one in self.aspects} or {POINTS: 0.0}

    @property
    def hash(self) -> str:
        """Tells whether two runs were judged by the same words."""
        return sha256_text(self.model_dump_json())[:16]


def names() -> list[str]:
    """The rubrics that ship with the project."""
    folder = files("bentsao.evaluation.judging") / "rubrics"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def load(name: str) -> Rubric:
    """A rubric by name, or from a TOML file of one's own. Raises ConfigError where it is none."""
    if name in names():
        text = (files("bentsao.evaluation.judging") / "rubrics" / f"{name}.toml").read_text(encoding="utf-8")
    elif name.endswith(".toml"):
        text = read_text(Path(name))
    else:
        raise ConfigError(f"没有叫 {name} 的评分标准。可用：{'、'.join(names())}，或一个 .toml 文件。")
    try:
        return Rubric.model_validate({"name": Path(name).stem, **parse_toml(text, name)})
    except ValidationError as error:
        raise ConfigError(f"评分标准 {name} 有误：{in_one_line(error)}。") from None


def read_criteria(path: Path) -> dict[str, tuple[Criterion, ...]]:
    """The criteria of each question by its id: JSON lines `{"id": …, "criteria": [{"text": …, "points": …}]}`.

    Raises DataError with all faults of the file.
    """
    cases = read_rows(path, lambda _, row: _Case.model_validate(row), key=lambda case: case.id)
    return {case.id: case.criteria for case in cases}


class _Case(Record):
    id: str
    criteria: tuple[Criterion, ...]

    @model_validator(mode="after")
    def _can_be_scored(self) -> _Case:
        if sum(max(0, one.points) for one in self.criteria) == 0:
            raise ValueError("没有一条是正分，算不出得分率")
        return self
