"""The systems that the experiment compares: what each is, and how it answers a gold question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bentsao.core.files import iterate_json, sha256_text, write_jsonl
from bentsao.core.records import Message, Record
from bentsao.evaluation.grounding import Gold, Said
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, fitted_prompt
from bentsao.inference.grounded import Aim, Answerer, GroundedAnswer, GroundedQuestion, Policy
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase

TITLES: dict[str, str] = {
    "base": "基座",
    "instruct": "指令微调",
    "retrieval": "检索，不微调",
    "knowledge": "知识微调",
    "unguarded": "知识微调，核对之前",
    "oracle": "知识微调，给对事实",
}
"""The systems, in the order of the report."""

_BATCH = 16

Progress = Callable[[int, int], None]
T = TypeVar("T", bound=Record)


@dataclass(frozen=True)
class Bench:
    """What every system is tried on: the knowledge base, its linker, and how long an answer may be."""

    kb: KnowledgeBase
    linker: Linker
    answer_tokens: int

    @property
    def decoding(self) -> Decoding:
        """Greedy, so that a run can be repeated."""
        return Decoding(max_new_tokens=self.answer_tokens)


def plainly(engine: Engine, bench: Bench, questions: Sequence[Gold], progress: Progress) -> list[Said]:
    """The question as it is, without any facts; what was asked before stands on lines before it."""
    prompts = [
        fitted_prompt(
            engine, [Message(role="user", content="\n".join((*gold.history, gold.question)))], bench.decoding
        )[0]
        for gold in questions
    ]
    said: list[Said] = []
    for start in range(0, len(prompts), _BATCH):
        for gold, generated in zip(
            questions[start:], engine.generate(prompts[start : start + _BATCH], bench.decoding), strict=False
        ):
            said.append(Said(id=gold.id, answer=generated.text.strip(), finish=generated.finish))
        progress(len(said), len(prompts))
    return said


def grounded(
    engine: Engine, bench: Bench, policy: Policy, questions: Sequence[Gold], progress: Progress
) -> list[GroundedAnswer]:
    """Through the knowledge base, as the policy says; path "oracle" is given what is right."""
    answerer = Answerer(engine, bench.kb, policy, decoding=bench.decoding, linker=bench.linker)
    asked = [
        GroundedQuestion(
            id=gold.id,
            question=gold.question,
            history=gold.history,
            # Only this path may know what is right; an aim that is given is taken whatever the path.
            aim=_aim(gold) if policy.path == "oracle" else None,
        )
        for gold in questions
    ]
    return answerer.answer(asked, progress)


def as_said(answer: GroundedAnswer, *, raw: bool = False) -> Said:
    """A grounded answer as it is scored. raw: the model's own words, before the guard."""
    return Said(
        id=answer.id,
        answer=answer.raw if raw and answer.raw else answer.answer,
        entities=answer.entities,
        attributes=answer.attributes,
        evidence=answer.evidence,
        abstained=answer.abstained,
        finish=answer.finish,
    )


def aims(answers: Sequence[GroundedAnswer], questions: Sequence[Gold], bench: Bench) -> dict[str, list[Said]]:
    """What each path alone would have looked up, without an answer: model, linker, bm25."""
    search = Answerer(None, bench.kb, Policy(path="bm25"), linker=bench.linker)
    found = {
        "model": [answer.by_model or Aim() for answer in answers],
        "linker": [answer.by_linker or Aim() for answer in answers],
        "bm25": [
            search.aim_of(GroundedQuestion(id=gold.id, question=gold.question, history=gold.history))
            for gold in questions
        ],
    }
    return {
        path: [
            Said(
                id=gold.id,
                answer="",
                entities=aim.entities,
                attributes=aim.attributes,
                evidence=search.evidence_of(aim),
                abstained=not search.evidence_of(aim),
            )
            for gold, aim in zip(questions, path_aims, strict=True)
        ]
        for path, path_aims in found.items()
    }


def answers_in(
    folder: Path, name: str, *, key: str, questions: Sequence[Gold], make: Callable[[], Sequence[T]], record: type[T]
) -> list[T]:
    """What `make` answers, kept in `folder`; not made again while the system (`key`) and the questions are the same."""
    stamp = sha256_text(repr((key, [(gold.id, gold.history, gold.question) for gold in questions])))[:12]
    path = folder / f"{name}.{stamp}.jsonl"
    if not path.is_file():
        write_jsonl(path, [answer.model_dump(mode="json") for answer in make()])
    return [record.model_validate(row) for _, row in iterate_json(path)]


def _aim(gold: Gold) -> Aim:
    return Aim(entities=gold.entities, names=gold.entities, attributes=gold.attributes)
