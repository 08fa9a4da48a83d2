"""The systems that `bentsao evaluate` measures, as the flags name them; each is opened when it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bentsao.apps.commands.answering import ModelChoice, report
from bentsao.apps.commands.api import RemoteChoice
from bentsao.apps.commands.grounded import GroundingChoice

if TYPE_CHECKING:
    from bentsao.evaluation.contamination import Training
    from bentsao.evaluation.systems import System
    from bentsao.knowledge.store import KnowledgeBase


@dataclass(frozen=True)
class Opening:
    """A system that is opened when it is its turn. label: what it is called, also as a folder."""

    label: str
    training: Training
    open: Callable[[], System]


@dataclass(frozen=True)
class Measured:
    """What is to be measured: a model on this machine, with its base beside it or without, or one behind an API."""

    model: ModelChoice
    remote: RemoteChoice
    grounding: GroundingChoice
    with_base: bool
    repetition_penalty: float
    trained_on: tuple[Path, ...]

    def systems(self, kb: KnowledgeBase | None) -> list[Opening]:
        """The systems; the base comes before what was tuned from it. kb: what they answer from, where a task has it."""
        from bentsao.evaluation.contamination import Training, training_of
        from bentsao.evaluation.systems import RemoteSystem
        from bentsao.models.adapters import read_adapter

        if (api := self.remote.chosen()) is not None:
            told = Training(self.trained_on, tuned=bool(self.trained_on))
            label = as_label(api.model)
            return [Opening(label, told, lambda: RemoteSystem(label, api, told))]
        chosen = self.model.with_default()
        if chosen.adapter is None or not self.model.use_lora:
            return [self._local(as_label(chosen.base or ""), chosen, Training(), kb)]
        training = training_of(chosen.adapter, read_adapter(chosen.adapter).manifest, self.trained_on)
        tuned = self._local(as_label(chosen.adapter.resolve().name), chosen, training, kb)
        if not self.with_base:
            return [tuned]
        untuned = chosen.without_adapter()
        label = as_label(untuned.base or "")
        return [self._local(f"{label}-base" if label == tuned.label else label, untuned, Training(), kb), tuned]

    def kept(self, kb: KnowledgeBase | None, out: Path) -> list[Opening]:
        """The same, but of what they answered before."""
        from bentsao.core.files import read_json
        from bentsao.evaluation.systems import KeptSystem

        path = out / "scores.json"
        names = read_json(path).get("systems", {}) if path.is_file() else {}

        def again(system: Opening) -> Opening:
            name = names.get(system.label, system.label)
            return replace(system, open=lambda: KeptSystem(system.label, name, system.training))

        return [again(system) for system in self.systems(kb)]

    def _local(self, label: str, model: ModelChoice, training: Training, kb: KnowledgeBase | None) -> Opening:
        from bentsao.evaluation.systems import LocalSystem

        def opened() -> System:
            from bentsao.inference.decoding import Decoding
            from bentsao.inference.grounded import Answerer

            engine = model.open()
            answerer = None
            if kb is not None:
                # A base that was not tuned to name entities is told them by the linker: retrieval without tuning.
                policy = self.grounding.policy("both" if training.tuned else "linker")
                decoding = Decoding(max_new_tokens=200, repetition_penalty=self.repetition_penalty)
                answerer = Answerer(engine, kb, policy, decoding=decoding)
            return LocalSystem(label, engine, training, self.repetition_penalty, answerer)

        return Opening(label, training, opened)


def as_label(name: str) -> str:
    """The last part of a name, as a folder can be called."""
    last = name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    return "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in last).strip(".") or "model"


def learnt(kb: KnowledgeBase, trainings: Sequence[Training]) -> frozenset[str]:
    """The entities that any system's training data names: no question is composed about them."""
    from bentsao.construction.grammar import load_grammar
    from bentsao.construction.subjects import gather
    from bentsao.evaluation.contamination import learnt_names

    tuned = [training for training in trainings if training.files]
    if any(training.tuned and training.gone for training in trainings):
        report("警告：训练数据不在，由知识库写的题目可能问到训练中出现过的实体。可用 --trained-on 给出训练数据。")
    if not tuned:
        return frozenset()
    found = learnt_names(tuned, gather(kb, load_grammar()))
    report(f"{len(found):,} 个实体在训练数据中出现过，不用来写题。")
    return found
