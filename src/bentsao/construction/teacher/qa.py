"""Knowledge → questions and answers: the facts of one entity, several pairs a call (as in arXiv 2304.06975)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from pydantic import Field

from bentsao.construction.teacher import prompts
from bentsao.construction.teacher.checking import REPEATED, Beyond, Checked, Verifier, check_pair
from bentsao.construction.teacher.jobs import WritingJob
from bentsao.construction.teacher.replies import Pairs, check_numbers
from bentsao.core.grounding import fact_line
from bentsao.core.records import Fact, Record
from bentsao.knowledge import contents
from bentsao.knowledge.normalise import normalise
from bentsao.knowledge.schema import KINDS, Kind
from bentsao.knowledge.store import Entity, KnowledgeBase
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.exchange import Reply
from bentsao.models.remote.prompts import fenced, fill, one_line
from bentsao.models.remote.reading import read

LONGEST = 3000
"""Characters of facts in a call; more are divided among several."""


class QAPlan(Record):
    """What questions and answers to ask for.

    pairs: of one call, at the most (two a fact). facts: of one call; an entity with more is divided evenly. rounds: how
    often each is asked, every time for another style. entities: so many drawn at random by `seed`; None: all.
    kinds: of these kinds only; empty: of all. names: these only; empty: all. prompts: a folder whose qa.txt, styles.txt
    and again.txt are taken instead.
    """

    pairs: int = Field(default=5, ge=1)
    facts: int = Field(default=12, ge=1)
    rounds: int = Field(default=1, ge=1)
    entities: int | None = Field(default=None, ge=1)
    kinds: tuple[Kind, ...] = ()
    names: tuple[str, ...] = ()
    seed: int = 0
    prompts: Path | None = None


def qa_jobs(kb: KnowledgeBase, asking: Asking, plan: QAPlan, beyond: Beyond) -> list[WritingJob[Pairs]]:
    """The calls for questions and answers about a knowledge base, by entity, the same for the same seed.

    beyond: what becomes of answers that go beyond their facts. Raises ConfigError for a prompt that cannot be filled.
    """
    check = Verifier(kb)
    prompt, again = prompts.load("qa", plan.prompts), prompts.load("again", plan.prompts)
    styles = [line for line in prompts.load("styles", plan.prompts).splitlines() if line.strip()]
    jobs: dict[str, WritingJob[Pairs]] = {}
    for entity in _chosen(kb, plan):
        for number, facts in enumerate(_divided(kb.facts(entity.id), plan.facts)):
            for turn in range(plan.rounds):
                values = {
                    "entity": one_line(entity.name),
                    "kind": KINDS[entity.kind],
                    "facts": fenced("\n".join(f"{n}. {fact_line(fact)}" for n, fact in enumerate(facts, 1))),
                    "count": str(min(plan.pairs, 2 * len(facts))),
                    "style": styles[_first_style(entity, number, plan.seed, len(styles), turn)],
                }
                request = asking.request(fill(prompt, values), Pairs)
                jobs[request.key] = WritingJob(
                    name=entity.name,
                    source=facts[0].source,
                    request=request,
                    read=partial(_read, facts=len(facts)),
                    check=partial(_check, entity=entity, facts=facts, check=check, beyond=beyond),
                    again=again,
                )
    return list(jobs.values())


def _chosen(kb: KnowledgeBase, plan: QAPlan) -> list[Entity]:
    """The entities to ask about, by id."""
    found = [
        entity
        for entity in contents.entities(kb)
        if (not plan.kinds or entity.kind in plan.kinds) and (not plan.names or entity.name in plan.names)
    ]
    if plan.entities is None or plan.entities >= len(found):
        return found
    return sorted(random.Random(plan.seed).sample(found, plan.entities), key=lambda entity: entity.id)


def _divided(facts: Sequence[Fact], most: int) -> list[tuple[Fact, ...]]:
    """Facts in as few calls as hold them, about equally many in each; none without facts."""
    characters = sum(len(fact_line(fact)) for fact in facts)
    parts = min(len(facts), max(-(-len(facts) // most), -(-characters // LONGEST)))
    edges = [len(facts) * part // parts for part in range(parts + 1)] if parts else [0]
    return [tuple(facts[start:end]) for start, end in pairwise(edges)]


def _first_style(entity: Entity, number: int, seed: int, styles: int, turn: int) -> int:
    """The style of a call: another one each round, and the first drawn by the entity's name."""
    return (random.Random(f"{seed} {number} {entity.name}").randrange(styles) + turn) % styles


def _read(reply: Reply, facts: int) -> Pairs:
    return check_numbers(read(reply, Pairs), facts)


def _check(pairs: Pairs, entity: Entity, facts: Sequence[Fact], check: Verifier, beyond: Beyond) -> list[Checked]:
    out: list[Checked] = []
    asked: set[str] = set()
    for pair in pairs.pairs:
        question = normalise(pair.question).text
        repeated = question in asked
        asked.add(question)
        out.append(Checked(dropped=REPEATED) if repeated else check_pair(pair, entity, facts, check, beyond))
    return out
