"""Literature → dialogues: one conclusion a call, 1 to 6 turns, each sentence from the paper or general.

As in arXiv 2309.04198.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from pydantic import Field

from bentsao.construction.teacher import prompts
from bentsao.construction.teacher.checking import Beyond, Checked, Verifier, check_dialogue
from bentsao.construction.teacher.jobs import WritingJob
from bentsao.construction.teacher.replies import MOST_TURNS, Dialogue
from bentsao.core.records import Record
from bentsao.knowledge import contents
from bentsao.knowledge.store import KnowledgeBase, Passage
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.prompts import fenced, fill, one_line
from bentsao.models.remote.reading import read


class DialoguePlan(Record):
    """What dialogues to ask for.

    turns: of a dialogue, drawn between these two by `seed`. rounds: how often each paper is asked about. passages: so
    many drawn at random; None: all. marks: put [1] behind the sentences that are from the paper. prompts: a folder
    whose dialogue.txt and again.txt are taken instead.
    """

    turns: tuple[int, int] = (1, MOST_TURNS)
    rounds: int = Field(default=1, ge=1)
    passages: int | None = Field(default=None, ge=1)
    marks: bool = True
    seed: int = 0
    prompts: Path | None = None


def dialogue_jobs(kb: KnowledgeBase, asking: Asking, plan: DialoguePlan, beyond: Beyond) -> list[WritingJob[Dialogue]]:
    """The calls for dialogues about the literature of a knowledge base, the same for the same seed.

    beyond: what becomes of sentences that go beyond their paper. Raises ConfigError for a prompt that cannot be filled.
    """
    check = Verifier(kb)
    prompt, again = prompts.load("dialogue", plan.prompts), prompts.load("again", plan.prompts)
    jobs: dict[str, WritingJob[Dialogue]] = {}
    for passage in _chosen(kb, plan):
        draw = random.Random(f"{plan.seed} {passage.identifier} {passage.title}")
        lengths = list(range(plan.turns[0], plan.turns[1] + 1))
        draw.shuffle(lengths)
        for turn in range(plan.rounds):
            values = {"passage": fenced(_shown(passage)), "turns": str(lengths[turn % len(lengths)])}
            request = asking.request(fill(prompt, values), Dialogue)
            jobs[request.key] = WritingJob(
                name=passage.identifier or passage.title,
                source=passage.source,
                request=request,
                read=partial(read, shape=Dialogue),
                check=partial(_check, passage=passage, check=check, beyond=beyond, marks=plan.marks),
                again=again,
            )
    return list(jobs.values())


def _chosen(kb: KnowledgeBase, plan: DialoguePlan) -> list[Passage]:
    """The papers to ask about, by id; those without a conclusion have nothing to say."""
    found = [passage for passage in contents.passages(kb) if passage.text.strip()]
    if plan.passages is None or plan.passages >= len(found):
        return found
    return sorted(random.Random(plan.seed).sample(found, plan.passages), key=lambda passage: passage.id)


def _shown(passage: Passage) -> str:
    lines = [f"题目：{one_line(passage.title)}"]
    lines += [f"关键词：{one_line('；'.join(passage.keywords))}"] if passage.keywords else []
    return "\n".join([*lines, f"结论：{one_line(passage.text)}"])


def _check(dialogue: Dialogue, passage: Passage, check: Verifier, beyond: Beyond, *, marks: bool) -> list[Checked]:
    return [check_dialogue(dialogue, passage, check, beyond, marks=marks)]
