"""The systems that `bentsao evaluate` measures, as the flags name them; each is opened when it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bentsao.apps.commands.api import RemoteChoice
from bentsao.apps.commands.grounded import GroundingChoice
from bentsao.apps.commands.model_flags import ModelChoice, report
from bentsao.core.errors import ConfigError

if TYPE_CHECKING:
    from bentsao.evaluation.contamination import Training
    from bentsao.evaluation.systems import System
    from bentsao.inference.engine import Engine, Spread
    from bentsao.knowledge.store import KnowledgeBase
    from bentsao.models.remote.asking import Asking


@dataclass(frozen=True)
class Beside:
    """What is measured beside the model that the flags name, and what each was tuned on."""

    with_base: Annotated[
        bool, Parameter(help="未微调的基座也测一遍，并排；有非医学选择题时看忘掉多少", negative=())
    ] = False
    also: Annotated[
        tuple[str, ...],
        Parameter(
            help="还要并排测的适配器：目录，或 名称=目录", consume_multiple=True, negative=(), show_default=False
        ),
    ] = ()
    trained_on: Annotated[
        tuple[str, ...],
        Parameter(
            help="适配器的训练数据，用来查题目有没有学过，缺省按适配器里记下的；几个适配器时写成 名称=文件",
            consume_multiple=True,
            negative=(),
            show_default=False,
        ),
    ] = ()

    def adapters(self) -> dict[str, Path]:
        """The further adapters by what they are called."""
        named = [_named(value) for value in self.also]
        return {as_label(name or Path(path).resolve().name): Path(path) for name, path in named}

    def files(self, labels: Sequence[str]) -> dict[str, tuple[Path, ...]]:
        """The training data given for each system. Raises ConfigError where it is left open whose it is."""
        found: dict[str, list[Path]] = {label: [] for label in labels}
        for value in self.trained_on:
            name, path = _named(value)
            if name in found:
                found[name].append(Path(path))
            elif len(labels) == 1:
                found[labels[0]].append(Path(value))
            else:
                raise ConfigError(
                    f"有几个适配器，要说明 {value} 是谁的：--trained-on 名称=文件（{'、'.join(labels)}）。"
                )
        return {label: tuple(files) for label, files in found.items()}


ALONE = Beside()


@dataclass(frozen=True)
class Opening:
    """A system that is opened when it is its turn. label: what it is called, also as a folder.

    base: the label of what it was tuned from, where that is measured too.
    """

    label: str
    training: Training
    open: Callable[[], System]
    base: str = ""


@dataclass(frozen=True)
class Measured:
    """What is to be measured: local models, with their bases beside them or without, or one behind an API.

    opened: how a local model is opened: on this machine, or on a cluster, which answers from no knowledge base.
    """

    model: ModelChoice
    remote: RemoteChoice
    grounding: GroundingChoice
    beside: Beside
    repetition_penalty: float
    opened: Callable[[ModelChoice], Engine | Spread] = ModelChoice.open

    def systems(self, kb: KnowledgeBase | None) -> list[Opening]:
        """The systems; a base comes before what was tuned from it. kb: what they answer from, where a task has it.

        Raises ConfigError for flags that do not go together, and for two systems of one name.
        """
        from bentsao.evaluation.contamination import Training

        if (api := self.remote.chosen()) is not None:
            return [self._behind(api)]
        chosen = self.model.with_default()
        if chosen.adapter is None or not self.model.use_lora:
            if self.beside != ALONE:
                raise ConfigError("--with-base、--also、--trained-on 是测适配器用的：请给出 --adapter。")
            return [self._local(as_label(chosen.base or ""), chosen, Training(), kb)]
        adapters = {as_label(chosen.adapter.resolve().name): chosen}
        for label, folder in self.beside.adapters().items():
            if label in adapters:
                raise ConfigError(f"有两个适配器都叫 {label}。请用 --also 名称=目录 给 {folder} 另起一个名字。")
            adapters[label] = chosen.with_adapter(folder)
        return self._tuned(adapters, kb)

    def _behind(self, api: Asking) -> Opening:
        from bentsao.evaluation.contamination import of_files
        from bentsao.evaluation.systems import RemoteSystem

        label = as_label(api.model)
        told = of_files(self.beside.files([label])[label])
        return Opening(label, told, lambda: RemoteSystem(label, api, told))

    def _tuned(self, adapters: Mapping[str, ModelChoice], kb: KnowledgeBase | None) -> list[Opening]:
        """Adapters by their labels; each base once, before the first that was tuned from it."""
        from bentsao.evaluation.contamination import Training, training_of
        from bentsao.models.adapters import read_adapter

        given = self.beside.files(list(adapters))
        found: dict[str, Opening] = {}
        for label, model in adapters.items():
            assert model.adapter is not None
            base = ""
            if self.beside.with_base:
                untuned = model.without_adapter()
                base = as_label(untuned.base or "")
                base = f"{base}-base" if base in adapters else base
                found.setdefault(base, self._local(base, untuned, Training(), kb))
            training = training_of(model.adapter, read_adapter(model.adapter).manifest, given[label])
            found[label] = replace(self._local(label, model, training, kb), base=base)
        return list(found.values())

    def kept(self, kb: KnowledgeBase | None, out: Path) -> list[Opening]:
        """The same, but of what they answered before."""
        from bentsao.evaluation.answers import engine_in
        from bentsao.evaluation.systems import KeptSystem

        def again(system: Opening) -> Opening:
            made_with = next((out / system.label).glob("*/*.manifest.json"), None)
            made_by = (engine_in(made_with) if made_with else "") or system.label
            return replace(system, open=lambda: KeptSystem(system.label, made_by, system.training))

        return [again(system) for system in self.systems(kb)]

    def _local(self, label: str, model: ModelChoice, training: Training, kb: KnowledgeBase | None) -> Opening:
        from bentsao.evaluation.systems import LocalSystem

        def opened() -> System:
            from bentsao.inference.decoding import Decoding
            from bentsao.inference.engine import Spread
            from bentsao.inference.grounded import Answerer

            engine = self.opened(model)
            answerer = None
            if kb is not None and not isinstance(engine, Spread):
                # A base that was not tuned to name entities is told them by the linker: retrieval without tuning.
                policy = self.grounding.policy("both" if training.tuned else "linker")
                decoding = Decoding(max_new_tokens=200, repetition_penalty=self.repetition_penalty)
                answerer = Answerer(engine, kb, policy, decoding=decoding)
            return LocalSystem(label, engine, training, self.repetition_penalty, answerer)

        return Opening(label, training, opened)


def _named(value: str) -> tuple[str, str]:
    """名称=路径, or a path alone."""
    name, equals, path = value.partition("=")
    return (name, path) if equals else ("", value)


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
