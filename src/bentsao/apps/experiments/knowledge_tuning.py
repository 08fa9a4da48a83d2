"""The knowledge-tuning experiment (after arXiv 2309.04175): from a knowledge base to a table, in one run.

Data from the training entities → an instruction-tuned and a knowledge-tuned adapter → questions about entities that no
training row names, in patterns that no training row uses → five systems side by side, with intervals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.apps.experiments import systems
from bentsao.apps.experiments.systems import Bench
from bentsao.apps.training_view import TrainingView
from bentsao.construction.grammar import load_grammar
from bentsao.construction.shares import Split, split_of
from bentsao.construction.subjects import Material, gather
from bentsao.construction.writing import BuildOptions, build
from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_file, write_json
from bentsao.core.records import Conversation
from bentsao.evaluation.grounding import Gold, Said, Score, score
from bentsao.evaluation.grounding_figures import figures
from bentsao.evaluation.questions import by_hand, composed, named_in, sample
from bentsao.evaluation.statistics import Figure
from bentsao.inference.engine import Engine
from bentsao.inference.engines.opening import open_engine
from bentsao.inference.grounded import GroundedAnswer, Policy
from bentsao.inference.grounded import Path as GroundedPath
from bentsao.knowledge.contents import names_of
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.verify import KnownNames
from bentsao.models.adapters import MANIFEST_NAME, WEIGHTS_NAME
from bentsao.tuning.recipe import load_recipe
from bentsao.tuning.run import tune

SHARES: dict[Split, float] = {"train": 0.8, "valid": 0.05, "test": 0.15}


@dataclass(frozen=True)
class Setting:
    """What is run.

    rows: training rows of each tuned system; epochs over them. questions: composed questions (premises and unknown
    names come on top); baseline_questions: how many of all are put to the systems that are not grounded, which answer
    at length. sizes: further knowledge-tuned adapters with these many rows, for the curve. adapter, instruct: adapters
    tuned elsewhere, with the files they were tuned on; None: tuned here.
    """

    rows: int = 300
    epochs: float = 2
    questions: int = 60
    baseline_questions: int = 24
    answer_tokens: int = 200
    sizes: tuple[int, ...] = ()
    seed: int = 42
    base: str = "embedded"
    adapter: Path | None = None
    instruct: Path | None = None
    trained_on: tuple[Path, ...] = ()
    by_hand: Path | None = None
    path: GroundedPath = "both"


@dataclass
class Result:
    """What came out: scores of each system on each set, figures, and the answers for the report.

    sets: questions by the name of their set. scores: by set, system. answers: by set, system. paths: figures of what
    each path alone finds, by set, path. curve: (rows, figures) by training size. seconds: of each stage.
    """

    sets: dict[str, list[Gold]] = field(default_factory=dict[str, list[Gold]])
    scores: dict[str, dict[str, list[Score]]] = field(default_factory=dict[str, dict[str, list[Score]]])
    answers: dict[str, dict[str, list[Said]]] = field(default_factory=dict[str, dict[str, list[Said]]])
    grounded: dict[str, list[GroundedAnswer]] = field(default_factory=dict[str, list[GroundedAnswer]])
    paths: dict[str, dict[str, dict[str, Figure]]] = field(default_factory=dict[str, dict[str, dict[str, Figure]]])
    curve: list[tuple[int, dict[str, Figure]]] = field(default_factory=list[tuple[int, dict[str, Figure]]])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    notes: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        """The figures, for another program."""
        return {
            "figures": {
                name: {system: _dumped(figures(scores)) for system, scores in by_system.items()}
                for name, by_system in self.scores.items()
            },
            "paths": {
                name: {path: _dumped(one) for path, one in by_path.items()} for name, by_path in self.paths.items()
            },
            "curve": [{"rows": rows, "figures": _dumped(one)} for rows, one in self.curve],
            "seconds": self.seconds,
            "notes": self.notes,
        }


@dataclass(frozen=True)
class _Run:
    """One run under way."""

    kb: KnowledgeBase
    setting: Setting
    out: Path
    view: TrainingView
    result: Result
    bench: Bench


def run(kb: KnowledgeBase, setting: Setting, out: Path, view: TrainingView) -> Result:
    """Run the experiment into `out`; what stands there from an earlier run of the same setting is not made again."""
    result = Result()
    this = _Run(kb, setting, out, view, result, Bench(kb, Linker.for_kb(kb), setting.answer_tokens))
    material = gather(kb, load_grammar())
    adapters = _adapters(this)
    seen = named_in(_learnt(setting, out), material)
    view.note(f"{len(seen):,} 个实体在训练数据中出现过，不用来提问")
    result.sets["composed"] = _composed(material, setting, seen)
    if setting.by_hand:
        questions = by_hand(setting.by_hand, kb)
        result.sets["by_hand"] = [gold for gold in questions if seen.isdisjoint(gold.entities)]
        left_out = len(questions) - len(result.sets["by_hand"])
        result.notes.append(f"手写的问题 {len(questions)} 条；{left_out} 条问到训练中出现过的实体，不用")
    for name, questions in result.sets.items():
        _compare(this, name, questions, adapters)
    write_json(out / "scores.json", result.as_json())
    return result


# ---- data and tuning ------------------------------------------------------------------------------------------------


def _adapters(this: _Run) -> dict[str, Path]:
    """The instruction-tuned and the knowledge-tuned adapter, by system."""
    found: dict[str, Path] = {}
    for system, given in (("instruct", this.setting.instruct), ("knowledge", this.setting.adapter)):
        found[system] = given or _tuned(this, system, this.setting.rows)
    for size in this.setting.sizes:
        found[f"knowledge-{size}"] = _tuned(this, "knowledge", size)
    return found


def _tuned(this: _Run, system: str, rows: int) -> Path:
    started = time.perf_counter()
    adapter = this.out / f"adapter-{system}-{rows}"
    files = [str(_data(this, "grounded" if system == "knowledge" else "qa", rows) / "train.jsonl")]
    if system == "knowledge":
        # Plain instructions stay in the mixture, so that the adapter still answers without a knowledge base.
        files.append(str(_data(this, "qa", max(rows // 6, 8)) / "train.jsonl"))
    if not (adapter / MANIFEST_NAME).is_file():
        recipe = load_recipe(
            None,
            {
                "base.name": this.setting.base,
                "data.files": files,
                "data.validation": 0,
                "training.epochs": this.setting.epochs,
                "training.seed": this.setting.seed,
                "output": str(adapter),
            },
        )
        with this.view:
            tune(recipe, this.view)
    this.result.seconds[f"tune {system} {rows}"] = time.perf_counter() - started
    return adapter


def _data(this: _Run, dataset: str, rows: int) -> Path:
    folder = this.out / f"data-{dataset}-{rows}"
    if not folder.is_dir():
        # `rows` are those of training; the test part is composed apart, in its own patterns.
        options = BuildOptions(
            dataset=dataset, rows=round(rows / SHARES["train"]), seed=this.setting.seed, shares=SHARES
        )
        build(this.kb, options, folder)
    return folder


def _learnt(setting: Setting, out: Path) -> list[Conversation]:
    """All that any adapter of the run was tuned on."""
    files = [*setting.trained_on, *sorted(out.glob("data-*/train.jsonl"))]
    if (setting.adapter or setting.instruct) and not setting.trained_on:
        raise ConfigError("给出现成的适配器时，要用 --trained-on 给出它的训练数据，好把其中的实体排除在提问之外。")
    return [conversation for file in files for conversation in read_conversations(file).conversations]


def _composed(material: Material, setting: Setting, seen: set[str]) -> list[Gold]:
    def is_new(subject: Any) -> bool:
        held_out = setting.adapter is not None or split_of(subject.name, setting.seed, SHARES) == "test"
        return held_out and subject.name not in seen

    return composed(material, load_grammar(), setting.questions, seed=setting.seed, limit=is_new)


# ---- answering and scoring ------------------------------------------------------------------------------------------


def _compare(this: _Run, name: str, questions: Sequence[Gold], adapters: dict[str, Path]) -> None:
    """Put the questions of one set to every system, and score what they say."""
    setting, result = this.setting, this.result
    few = sample(questions, setting.baseline_questions, setting.seed)
    judge = _Judge(this.kb)
    answers = result.answers.setdefault(name, {})
    for system, adapter in (("base", None), ("instruct", adapters["instruct"])):
        answers[system] = _plain(this, name, system, adapter, few)
    tuned = adapters["knowledge"]
    answers["retrieval"] = _said(_grounded(this, f"{name}-retrieval", None, _UNTUNED, few))
    found = _grounded(this, f"{name}-knowledge", tuned, Policy(path=setting.path), questions)
    answers["knowledge"] = _said(found)
    answers["unguarded"] = [systems.as_said(answer, raw=True) for answer in found]
    answers["oracle"] = _said(_grounded(this, f"{name}-oracle", tuned, Policy(path="oracle"), questions))
    result.grounded[name] = found
    aims = systems.aims(found, questions, this.bench)
    result.paths[name] = {path: figures(judge.scores(questions, said)) for path, said in aims.items()}
    result.scores[name] = {system: judge.scores(questions, said) for system, said in answers.items()}
    if name == "composed":
        for size in setting.sizes:
            where = adapters[f"knowledge-{size}"]
            sized = _said(_grounded(this, f"{name}-{size}", where, Policy(path="model"), few))
            result.curve.append((size, figures(judge.scores(few, sized))))


_UNTUNED = Policy(path="linker", guard="off")


def _plain(this: _Run, name: str, system: str, adapter: Path | None, few: Sequence[Gold]) -> list[Said]:
    started = time.perf_counter()
    answers = systems.answers_in(
        this.out,
        f"{name}-{system}",
        key=_key(adapter, this.setting),
        questions=few,
        make=lambda: systems.plainly(_engine(adapter, this), this.bench, few, _told(this.view, system)),
        record=Said,
    )
    this.result.seconds[f"{name}-{system}"] = time.perf_counter() - started
    return answers


def _grounded(
    this: _Run, name: str, adapter: Path | None, policy: Policy, asked: Sequence[Gold]
) -> list[GroundedAnswer]:
    started = time.perf_counter()
    answers = systems.answers_in(
        this.out,
        name,
        key=_key(adapter, this.setting) + policy.model_dump_json(),
        questions=asked,
        make=lambda: systems.grounded(_engine(adapter, this), this.bench, policy, asked, _told(this.view, name)),
        record=GroundedAnswer,
    )
    this.result.seconds[name] = time.perf_counter() - started
    return answers


def _said(answers: Sequence[GroundedAnswer]) -> list[Said]:
    return [systems.as_said(answer) for answer in answers]


class _Judge:
    """Scores answers with the names of one knowledge base."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._kb = kb
        self._vocabulary = KnownNames(text for text, _, kind, _ in kb.names() if kind in ("disease", "drug"))

    def scores(self, questions: Sequence[Gold], said: Sequence[Said]) -> list[Score]:
        gold = {question.id: question for question in questions}
        return [score(gold[one.id], one, vocabulary=self._vocabulary, aliases=self._aliases) for one in said]

    def _aliases(self, name: str) -> tuple[str, ...]:
        entity = self._kb.entity(name)
        return names_of(entity) if entity else ()


def _engine(adapter: Path | None, this: _Run) -> Engine:
    base = None if adapter else this.setting.base
    return open_engine(adapter=adapter, base=base, chat_format=None, report=this.view.note)


def _key(adapter: Path | None, setting: Setting) -> str:
    """What decides the answers of a system: its weights and how long they may be."""
    weights = sha256_file(adapter / WEIGHTS_NAME) if adapter else setting.base
    return f"{weights} {setting.answer_tokens}"


def _told(view: TrainingView, system: str) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if done == total or done % 64 == 0:
            view.note(f"{systems.TITLES.get(system, system)}：{done}/{total}")

    return tell


def _dumped(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.model_dump() for name, figure in found.items()}
