"""What each question is about, by the policy's path: the model is asked, the linker reads, and both are made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bentsao.core import grounding
from bentsao.core.errors import ModelError
from bentsao.core.grounding import Gap
from bentsao.core.records import Evidence, Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, fitted_prompt
from bentsao.inference.grounded.records import Aim, GroundedQuestion, Path
from bentsao.inference.grounded.resolving import Resolver
from bentsao.inference.grounded.wording import courtesy

_NAMING = Decoding(max_new_tokens=40)


@dataclass
class Case:
    """One question on its way."""

    asked: GroundedQuestion
    aim: Aim = field(default_factory=Aim)
    by_model: Aim | None = None
    by_linker: Aim | None = None
    evidence: tuple[Evidence, ...] = ()
    gaps: tuple[Gap, ...] = ()
    left_out: int = 0


class NoRoomError(ModelError):
    """A question that does not fit in the model's context."""


class Aiming:
    """Says what questions are about. engine None: paths that need no model."""

    def __init__(self, engine: Engine | None, resolver: Resolver, path: Path) -> None:
        self._engine = engine
        self._resolver = resolver
        self._path = path

    def aim(self, cases: Sequence[Case]) -> None:
        """Say what each question is about, by the policy's path."""
        path = self._path
        cases = [case for case in cases if not courtesy(case.asked.question)]
        open_cases = [case for case in cases if case.asked.aim is None]
        if path in ("model", "both"):
            self._ask_model(open_cases)
        for case in cases:
            if case.asked.aim is not None:
                case.aim = case.asked.aim
                continue
            if path in ("linker", "both"):
                case.by_linker = self._resolver.by_linker(case.asked)
            if path == "bm25":
                case.aim = self._resolver.by_search(case.asked)
            elif path == "linker":
                case.aim = case.by_linker or Aim()
            elif path == "model":
                case.aim = case.by_model or Aim()
            elif path == "both":
                case.aim = self._resolver.both(case.by_model or Aim(), case.by_linker or Aim(), case.asked.question)
            case.aim = self._settled(case.aim)
            if path != "bm25":
                case.aim = self._resolver.whether(case.asked, case.aim, (case.by_model, case.by_linker))

    def _ask_model(self, cases: Sequence[Case]) -> None:
        first = [[grounding.ask_entity(case.asked.question, case.asked.history)] for case in cases]
        entities = [said.text for said in self._name(first)]
        second = [
            [*messages, grounding.named(grounding.names_in(reply), "entity"), grounding.ask_attribute()]
            for messages, reply in zip(first, entities, strict=True)
        ]
        named = [place for place, reply in enumerate(entities) if grounding.names_in(reply)]
        attributes = dict(zip(named, self._name([second[place] for place in named]), strict=True))
        for place, case in enumerate(cases):
            attribute = attributes[place].text if place in attributes else ""
            case.by_model = self._resolver.by_model(entities[place], attribute)

    def _settled(self, aim: Aim) -> Aim:
        """The aim where only one of the entities that share a name has what is asked: that one is meant."""
        if not aim.entities or len(aim.ask_back) < 2:
            return aim if not aim.entities else aim.model_copy(update={"ask_back": ()})
        able = [
            name
            for name in aim.ask_back
            if any(self._resolver.facts(name, each) for each in self._resolver.answered_by(name, aim.attributes))
        ]
        if len(able) != 1:
            return aim.model_copy(update={"ask_back": tuple(able) or aim.ask_back})
        entities = (able[0], *(name for name in aim.entities[1:] if name != able[0]))
        return aim.model_copy(update={"entities": entities, "names": aim.called[: len(entities)], "ask_back": ()})

    def _name(self, prompts: Sequence[Sequence[Message]]) -> list[Generated]:
        """The replies to the first two turns, whose prompts must hold the whole question."""
        assert self._engine is not None
        engine, fitted = self._engine, list[list[int]]()
        for messages in prompts:
            try:
                prompt, dropped = fitted_prompt(engine, messages, _NAMING)
            except ModelError as error:
                raise NoRoomError(str(error)) from None
            if dropped:
                raise NoRoomError(f"问题太长，模型的上下文只有 {engine.context} 个 token。请缩短问题。")
            fitted.append(prompt)
        return engine.generate(fitted, _NAMING) if fitted else []
