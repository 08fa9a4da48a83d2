"""Questions → grounded answers: what is it about, what does the knowledge base say, what may the model say of that.

Reads top to bottom in `Answerer.answer`: aim, look up, write, check. The model sees the words of `core.grounding`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bentsao.core import grounding
from bentsao.core.grounding import Gap
from bentsao.core.records import Evidence, Fact, Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, fitted_prompt
from bentsao.inference.grounded.guarding import guarded
from bentsao.inference.grounded.records import Aim, GroundedAnswer, GroundedQuestion, Policy
from bentsao.inference.grounded.resolving import Resolver
from bentsao.knowledge.contents import names_of
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.verify import KnownNames

_BATCH = 16
_NAMING = Decoding(max_new_tokens=40)
_NAMED_KINDS = frozenset({"disease", "drug", "operation", "symptom", "examination"})
"""Kinds whose names an answer may not bring in without a fact. Parts of the body are in every sentence."""


@dataclass
class _Case:
    """One question on its way."""

    asked: GroundedQuestion
    aim: Aim = field(default_factory=Aim)
    by_model: Aim | None = None
    by_linker: Aim | None = None
    replies: list[str] = field(default_factory=list[str])
    evidence: tuple[Evidence, ...] = ()
    gaps: tuple[Gap, ...] = ()
    left_out: int = 0


class Answerer:
    """Answers from one knowledge base with one engine. engine None: only aims and facts can be found."""

    def __init__(
        self,
        engine: Engine | None,
        kb: KnowledgeBase,
        policy: Policy,
        *,
        decoding: Decoding | None = None,
        linker: Linker | None = None,
        bundle: str = "",
    ) -> None:
        self._engine = engine
        self._kb = kb
        self._policy = policy
        self._decoding = decoding or Decoding(max_new_tokens=400)
        self._resolver = Resolver(kb, linker or Linker.for_kb(kb), policy.nearest)
        self._vocabulary: KnownNames | None = None
        self._bundle = bundle

    def answer(
        self, questions: Sequence[GroundedQuestion], progress: Callable[[int, int], None] | None = None
    ) -> list[GroundedAnswer]:
        """An answer to each question, in their order. progress: called with (answered, all).

        Raises ModelError as the engine does.
        """
        answers: list[GroundedAnswer] = []
        for start in range(0, len(questions), _BATCH):
            cases = [_Case(asked) for asked in questions[start : start + _BATCH]]
            started = time.perf_counter()
            self.aim(cases)
            for case in cases:
                self._look_up(case)
            written = self._write(cases)
            each = (time.perf_counter() - started) / len(cases)
            answers += [
                self._checked(case, said).model_copy(update={"seconds": each})
                for case, said in zip(cases, written, strict=True)
            ]
            if progress:
                progress(len(answers), len(questions))
        return answers

    def aim_of(self, asked: GroundedQuestion) -> Aim:
        """What a question is about by the policy's path, without an answer."""
        case = _Case(asked)
        self.aim([case])
        return case.aim

    def evidence_of(self, aim: Aim) -> tuple[Evidence, ...]:
        """What the knowledge base says to an aim."""
        pairs = self._resolver.able(aim)
        return grounding.number_facts([fact for entity, name in pairs for fact in self._kb.facts(entity, name)])

    # ---- what it is about ------------------------------------------------------------------------------------------

    def aim(self, cases: Sequence[_Case]) -> None:
        """Say what each question is about, by the policy's path."""
        path = self._policy.path
        if path in ("model", "both"):
            self._ask_model(cases)
        for case in cases:
            if path in ("linker", "both"):
                case.by_linker = self._resolver.by_linker(case.asked)
            if path == "oracle":
                case.aim = case.asked.aim or Aim()
            elif path == "bm25":
                case.aim = self._resolver.by_search(case.asked)
            elif path == "linker":
                case.aim = case.by_linker or Aim()
            elif path == "model":
                case.aim = case.by_model or Aim()
            else:
                case.aim = self._resolver.both(case.by_model or Aim(), case.by_linker or Aim())

    def _ask_model(self, cases: Sequence[_Case]) -> None:
        first = [[grounding.ask_entity(case.asked.question, case.asked.history)] for case in cases]
        entities = [said.text for said in self._generate(first, _NAMING)]
        second = [
            [
                *messages,
                Message(role="assistant", content=reply.strip() or grounding.NOTHING),
                grounding.ask_attribute(),
            ]
            for messages, reply in zip(first, entities, strict=True)
        ]
        named = [place for place, reply in enumerate(entities) if grounding.names_in(reply)]
        attributes = dict(zip(named, self._generate([second[place] for place in named], _NAMING), strict=True))
        for place, case in enumerate(cases):
            case.replies = [entities[place], attributes[place].text if place in attributes else ""]
            case.by_model = self._resolver.by_model(*case.replies)

    # ---- what is known ---------------------------------------------------------------------------------------------

    def _look_up(self, case: _Case) -> None:
        aim = case.aim
        facts: list[Fact] = []
        gaps = [Gap(name) for name in aim.unknown]
        said = dict(zip(aim.entities, aim.names, strict=False))
        for entity, attribute in self._resolver.able(aim):
            found = self._kb.facts(entity, attribute)
            facts += found
            if not found:
                gaps.append(Gap(said.get(entity, entity), attribute))
        answered = {fact.attribute for fact in facts}
        if answered and len(aim.entities) == 1:
            # An attribute that was only hinted at and is not there is no gap beside what is.
            gaps = [gap for gap in gaps if gap.attribute is None or case.by_model is None or _agreed(gap, case)]
        case.evidence, case.left_out = _limited(grounding.number_facts(facts), self._policy.most_values)
        case.gaps = tuple(gaps)

    # ---- what is said ----------------------------------------------------------------------------------------------

    def _write(self, cases: Sequence[_Case]) -> list[Generated | None]:
        writing = [place for place, case in enumerate(cases) if case.evidence and self._engine is not None]
        prompts = [self._messages(cases[place]) for place in writing]
        written = dict(zip(writing, self._generate(prompts, self._decoding), strict=True))
        return [written.get(place) for place in range(len(cases))]

    @staticmethod
    def _messages(case: _Case) -> list[Message]:
        """The three turns, with what is taken to be right in the model's place."""
        return [
            grounding.ask_entity(case.asked.question, case.asked.history),
            grounding.named(case.aim.names, "entity"),
            grounding.ask_attribute(),
            grounding.named(case.aim.attributes, "attribute"),
            grounding.ask_answer(case.evidence, case.gaps),
        ]

    def _checked(self, case: _Case, said: Generated | None) -> GroundedAnswer:
        policy = self._policy
        common = GroundedAnswer(
            id=case.asked.id,
            question=case.asked.question,
            answer="",
            entities=case.aim.entities,
            attributes=case.aim.attributes,
            evidence=case.evidence,
            path=policy.path,
            gaps=case.gaps,
            left_out=case.left_out,
            by_model=case.by_model,
            by_linker=case.by_linker,
            bundle=self._bundle,
        )
        if said is None:
            return common.model_copy(update=self._without_facts(case))
        raw = said.text.strip()
        text, removed = raw, ()
        if policy.guard != "off":
            text, removed = guarded(raw, case.evidence, policy.guard, vocabulary=self._names(), aliases=self._aliases)
        if not text:
            text = facts_only(case.evidence)
        return common.model_copy(
            update={
                "answer": text,
                "raw": raw,
                "removed": removed,
                "finish": said.finish,
                "tokens": len(said.ids),
            }
        )

    def _without_facts(self, case: _Case) -> dict[str, object]:
        aim = case.aim
        if case.evidence:  # there is no engine
            return {"answer": facts_only(case.evidence)}
        if aim.ask_back:
            return {
                "answer": f"您是指{'，还是'.join(f'“{name}”' for name in aim.ask_back)}？",
                "ask_back": aim.ask_back,
            }
        if aim.entities and not aim.attributes:
            return {"answer": self._what_is_known(aim.entities[0]), "abstained": True}
        gaps = case.gaps
        if aim.entities and not gaps:
            gaps = tuple(Gap(name, attribute) for name in aim.entities for attribute in aim.attributes)
        return {"answer": grounding.abstention(gaps), "abstained": True, "gaps": gaps}

    def _what_is_known(self, entity: str) -> str:
        known = {fact.attribute for fact in self._kb.facts(entity)}
        attributes = "、".join(name for name in ATTRIBUTES if name in known)
        return f"您想了解“{entity}”的哪一方面？知识库里有它的{attributes}。"

    # ---- shared ----------------------------------------------------------------------------------------------------

    def _generate(self, prompts: Sequence[Sequence[Message]], decoding: Decoding) -> list[Generated]:
        if not prompts:
            return []
        if self._engine is None:
            raise ValueError("this path needs an engine")
        return self._engine.generate(
            [fitted_prompt(self._engine, messages, decoding)[0] for messages in prompts], decoding
        )

    def _names(self) -> KnownNames:
        if self._vocabulary is None:
            self._vocabulary = KnownNames(text for text, _, kind, _ in self._kb.names() if kind in _NAMED_KINDS)
        return self._vocabulary

    def _aliases(self, name: str) -> tuple[str, ...]:
        entity = self._kb.entity(name)
        return names_of(entity) if entity else ()


def facts_only(evidence: Sequence[Evidence]) -> str:
    """The facts as they are, for when there is no sentence of a model that may stand."""
    return (
        "资料中记载："
        + "；".join(f"{grounding.fact_line(item.fact)}{grounding.mark(item.number)}" for item in evidence)
        + "。"
    )


def _agreed(gap: Gap, case: _Case) -> bool:
    return case.by_linker is None or (
        case.by_model is not None
        and gap.attribute in case.by_model.attributes
        and gap.attribute in case.by_linker.attributes
    )


def _limited(evidence: tuple[Evidence, ...], most: int) -> tuple[tuple[Evidence, ...], int]:
    """The first `most` values, and how many are left out."""
    kept: list[Evidence] = []
    room, left_out = most, 0
    for item in evidence:
        values = item.fact.values[:room]
        left_out += len(item.fact.values) - len(values)
        room -= len(values)
        if values:
            kept.append(item.model_copy(update={"fact": item.fact.model_copy(update={"values": values})}))
    return tuple(kept), left_out
