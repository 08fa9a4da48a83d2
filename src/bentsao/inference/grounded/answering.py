"""Questions → grounded answers: what is it about, what does the knowledge base say, what may the model say of that.

Reads top to bottom in `Answerer._together`: aim, look up, write, check. The model sees the words of `core.grounding`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from bentsao.core import grounding
from bentsao.core.grounding import Gap
from bentsao.core.records import Evidence, Fact, Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, MemoryShortageError, fitted_prompt
from bentsao.inference.grounded.aiming import Aiming, Case, NoRoomError
from bentsao.inference.grounded.checking import Checker, Grounds
from bentsao.inference.grounded.premises import asks_leave
from bentsao.inference.grounded.records import Aim, GroundedAnswer, GroundedQuestion, Policy
from bentsao.inference.grounded.resolving import Resolver
from bentsao.inference.grounded.vocabulary import Vocabulary
from bentsao.inference.grounded.wording import abstaining, asking_attribute, asking_back, courtesy, is_disputed
from bentsao.inference.safety import caution, look
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.store import KnowledgeBase

BATCH = 16
"""Questions that are answered together."""

_DOSES = frozenset({"用法用量"})
_FIRST_THE_ALARM = "请先照上面的急症提示去做；怎样用药，听急救人员和医生的。"
"""What is said instead of a dose to who may have taken too much already."""


class Answerer:
    """Answers from one knowledge base with one engine. engine None: aims are found without a model, facts are quoted.

    decoding: for the answers; entities and attributes are always named greedily. linker: None makes one for the base.
    bundle: the hash that every answer names.
    """

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
        if engine is None and policy.path in ("model", "both"):
            raise ValueError("this path needs an engine")
        self.engine = engine
        self.kb = kb
        self.policy = policy
        self.decoding = decoding or Decoding()
        self.bundle = bundle
        words = Vocabulary(kb)
        self._resolver = Resolver(kb, linker or Linker.for_kb(kb), words, policy.nearest)
        self._aiming = Aiming(engine, self._resolver, policy.path)
        self._checker = Checker(words, policy)

    def with_decoding(self, decoding: Decoding) -> Answerer:
        """The same answerer, whose answers are drawn otherwise."""
        other = copy(self)
        other.decoding = decoding
        return other

    def answer(
        self, questions: Sequence[GroundedQuestion], progress: Callable[[int, int], None] | None = None
    ) -> list[GroundedAnswer]:
        """An answer to each question, in their order. progress: called with (answered, all).

        A question that does not fit in the model's context or memory becomes an answer with finish "error".
        """
        answers: list[GroundedAnswer] = []
        for start in range(0, len(questions), BATCH):
            answers += self._answered(questions[start : start + BATCH])
            if progress:
                progress(len(answers), len(questions))
        return answers

    def aim_of(self, asked: GroundedQuestion) -> Aim:
        """What a question is about by the policy's path, without an answer."""
        case = Case(asked)
        self._aiming.aim([case])
        return case.aim

    def evidence_of(self, aim: Aim) -> tuple[Evidence, ...]:
        """What the knowledge base says to an aim."""
        case = Case(GroundedQuestion(id="", question=""), aim=aim)
        self._look_up(case)
        return case.evidence

    def _answered(self, asked: Sequence[GroundedQuestion]) -> list[GroundedAnswer]:
        """Answers to a batch; in halves where one of them does not fit, or memory runs out."""
        try:
            return self._together(asked)
        except (NoRoomError, MemoryShortageError) as error:
            if len(asked) > 1:
                half = len(asked) // 2
                return self._answered(asked[:half]) + self._answered(asked[half:])
            failed: dict[str, Any] = {"finish": "error", "error": str(error)}
            return [_answer_to(Case(asked[0]), self).model_copy(update=failed)]

    def _together(self, asked: Sequence[GroundedQuestion]) -> list[GroundedAnswer]:
        started = time.perf_counter()
        cases = [Case(question) for question in asked]
        self._aiming.aim(cases)
        for case in cases:
            self._look_up(case)
        written = self._write(cases)
        answers = [self._checked(case, said) for case, said in zip(cases, written, strict=True)]
        each = (time.perf_counter() - started) / len(cases)
        return [answer.model_copy(update={"seconds": each}) for answer in answers]

    # ---- what is known ---------------------------------------------------------------------------------------------

    def _look_up(self, case: Case) -> None:
        aim = case.aim
        if aim.ask_back:
            return  # it is not known whose facts are wanted
        facts: list[Fact] = []
        gaps = [Gap(name) for name in aim.unknown]
        told = {entity: self._resolver.answered_by(entity, aim.attributes) for entity in aim.entities}
        for entity, name in zip(aim.entities, aim.called, strict=True):
            for attribute in told[entity]:
                found = self._resolver.facts(entity, attribute)
                facts += found or ()
                if found == []:
                    gaps.append(Gap(name, attribute))
        if facts and len(aim.entities) == 1:
            # An attribute that was only hinted at and is not there is no gap beside what is.
            gaps = [gap for gap in gaps if gap.attribute is None or _agreed(gap, case)]
        attributes = tuple(dict.fromkeys(attribute for each in told.values() for attribute in each))
        case.aim = aim.model_copy(update={"attributes": attributes or aim.attributes})
        case.evidence, case.left_out = _limited(grounding.number_facts(facts), self.policy.most_values)
        case.gaps = tuple(gaps)

    # ---- what is said ----------------------------------------------------------------------------------------------

    def _write(self, cases: Sequence[Case]) -> list[Generated | None]:
        """The model's answers; None where it is not asked: without facts, and with facts that are better quoted."""
        prompts: dict[int, list[int]] = {}
        for place, case in enumerate(cases):
            if case.evidence and self.engine is not None and not self._is_quoted(case):
                prompt, dropped = fitted_prompt(self.engine, _messages(case), self.decoding)
                if not dropped:
                    prompts[place] = prompt
        written = dict(zip(prompts, self._generate(list(prompts.values()), self.decoding), strict=True))
        return [written.get(place) for place in range(len(cases))]

    def _is_quoted(self, case: Case) -> bool:
        """Whether the facts are better quoted than put into words."""
        long = sum(len(value) for item in case.evidence for value in item.fact.values) > self.policy.longest
        if long or is_disputed(case.evidence):
            return True
        if self.policy.guard == "off":
            return False
        subjects = {item.fact.subject for item in case.evidence}
        return len(subjects) > self.policy.subjects or asks_leave(case.asked.question)

    def _checked(self, case: Case, said: Generated | None) -> GroundedAnswer:
        answer = _answer_to(case, self)
        grounds = Grounds(case.asked.question, case.aim, case.evidence, case.gaps, case.left_out)
        if answer.alarm is not None and _DOSES & set(case.aim.attributes):
            return answer.model_copy(update={"answer": _FIRST_THE_ALARM, "evidence": (), "abstained": True})
        if said is None and not case.evidence:
            return answer.model_copy(update=self._without_facts(case))
        if said is None:
            quoted = self._checker.quoted(grounds)
            return answer.model_copy(update={"answer": quoted.answer, "premise": quoted.premise})
        raw = said.text.strip()
        checked = self._checker.check(raw, grounds, cut=said.finish == "length")
        return answer.model_copy(
            update={
                "answer": checked.answer,
                "raw": raw,
                "removed": checked.removed,
                "added": checked.added,
                "premise": checked.premise,
                "finish": said.finish,
                "tokens": len(said.ids),
            }
        )

    def _without_facts(self, case: Case) -> dict[str, Any]:
        """What is said where there is nothing to cite: a question back, or that there is nothing."""
        aim = case.aim
        if said := courtesy(case.asked.question):
            return {"answer": said, "abstained": True}
        if aim.ask_back:
            text = asking_back(aim.ask_back, aim.unknown)
            return {"answer": text, "ask_back": aim.ask_back, "abstained": not aim.entities}
        if aim.entities and (not aim.attributes or _named_by_model_alone(case)):
            return {
                "answer": asking_attribute([(name, self._attributes_of(name)) for name in aim.entities]),
                "abstained": True,
            }
        # An attribute that the entity cannot have is no gap of the base, but it was asked for.
        asked = tuple(Gap(name, attribute) for name in aim.called for attribute in aim.attributes)
        gaps = case.gaps or asked
        return {"answer": abstaining(gaps, self._attributes_of), "abstained": True, "gaps": gaps}

    # ---- shared ----------------------------------------------------------------------------------------------------

    def _generate(self, prompts: Sequence[Sequence[int]], decoding: Decoding) -> list[Generated]:
        return self.engine.generate(prompts, decoding) if self.engine is not None and prompts else []

    def _attributes_of(self, name: str) -> list[str]:
        known = {fact.attribute for fact in self.kb.facts(name)}
        return [attribute for attribute in ATTRIBUTES if attribute in known]


def _messages(case: Case) -> list[Message]:
    """The three turns, with what is taken to be right in the model's place."""
    return [
        grounding.ask_entity(case.asked.question, case.asked.history),
        grounding.named(case.aim.called, "entity"),
        grounding.ask_attribute(),
        grounding.named(case.aim.attributes, "attribute"),
        grounding.ask_answer(case.evidence, case.gaps),
    ]


def _answer_to(case: Case, answerer: Answerer) -> GroundedAnswer:
    """All of the answer but its words."""
    said = [Message(role="user", content=text) for text in (*case.asked.history, case.asked.question)]
    return GroundedAnswer(
        id=case.asked.id,
        question=case.asked.question,
        answer="",
        alarm=look(said),
        cautions=caution(said),
        entities=case.aim.entities,
        attributes=case.aim.attributes,
        evidence=case.evidence,
        path=answerer.policy.path,
        gaps=case.gaps,
        left_out=case.left_out,
        by_model=case.by_model,
        by_linker=case.by_linker,
        bundle=answerer.bundle,
    )


def _agreed(gap: Gap, case: Case) -> bool:
    """Whether all that were asked say that this attribute is asked for."""
    return all(aim is None or gap.attribute in aim.attributes for aim in (case.by_model, case.by_linker))


def _named_by_model_alone(case: Case) -> bool:
    """Whether no word of the question asks for the attribute that the model named: 心梗能不能坐飞机 is not 是否医保."""
    return case.by_linker is not None and not case.by_linker.attributes


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
