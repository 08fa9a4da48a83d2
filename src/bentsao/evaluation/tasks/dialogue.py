"""Dialogue: answers with what was said before, and whether a follow-up is taken to be about the right thing."""

from __future__ import annotations

from bentsao.construction.grammar import load_grammar
from bentsao.construction.subjects import gather
from bentsao.core.conversations import read_questions
from bentsao.core.errors import ConfigError
from bentsao.core.grounding import without_marks
from bentsao.core.records import Message
from bentsao.evaluation.grounding import Gold
from bentsao.evaluation.questions import Turn, turns
from bentsao.evaluation.tasks.task import (
    Item,
    Measure,
    Response,
    Source,
    Task,
    Verdict,
    each,
    failed,
    limited,
    needed_kb,
    prefix,
    verdict,
)
from bentsao.evaluation.tasks.text import FORM, NEARNESS, form_scores, nearness_scores
from bentsao.knowledge.normalise import normalise


def load(source: Source) -> list[Item[Gold | None]]:
    """The last turns of the files' dialogues, or the later turns of dialogues composed from the knowledge base."""
    if source.files:
        return limited(_of_files(source), source, "轮次")
    material = gather(needed_kb(source, "dialogue"), load_grammar())
    unseen = material.part(lambda subject: not source.learnt(subject.name))
    items = [_item(turn) for turn in turns(unseen, load_grammar(), source.count, seed=source.seed)]
    return limited(items, source, "轮次")


def _of_files(source: Source) -> list[Item[Gold | None]]:
    items: list[Item[Gold | None]] = []
    for file in source.files:
        for question in read_questions(file):
            number = sum(message.role == "user" for message in question.messages)
            if number > 1:
                name = prefix(file, source.files) + question.id
                tags = {"轮次": _turn(number)}
                items.append(
                    Item(name, question.group, question.messages, None, reference=question.reference, tags=tags)
                )
    if not items:
        raise ConfigError("数据里没有一轮以上的对话。请用 --data 给出多轮对话，或只给 --kb，由知识库写成。")
    return items


def _item(turn: Turn) -> Item[Gold | None]:
    gold = turn.gold
    said: list[Message] = []
    for question, answer in turn.before:
        said += [Message(role="user", content=question), Message(role="assistant", content=answer)]
    return Item(
        id=gold.id,
        group=(*gold.entities, gold.id)[0],
        messages=(*said, Message(role="user", content=gold.question)),
        key=gold,
        reference=turn.answer,
        tags={"轮次": _turn(len(turn.before) + 1)},
    )


def _turn(number: int) -> str:
    return f"第 {number} 轮" if number < 6 else "第 6 轮及以后"


def _one(item: Item[Gold | None], response: Response) -> Verdict:
    if broken := failed(item, response):
        return broken
    scores = form_scores(item, response) | nearness_scores(item, without_marks(response.answer.text))
    found = verdict(item, response)
    if item.key is None:
        return found.model_copy(update={"scores": scores})
    resolved = _resolved(item, item.key, response)
    stated, values = _stated(item, item.key, response)
    scores |= {"stated": float(len(stated)), "values": float(len(values))}
    if resolved is not None:
        scores["resolved"] = float(resolved)
    said = f"说出 {'；'.join(stated)}" if stated else "没有说出所问的任何一个值"
    return found.model_copy(update={"scores": scores, "right": resolved, "said": said})


def _resolved(item: Item[Gold | None], gold: Gold, response: Response) -> bool | None:
    """Whether a question that does not name what it is about was taken to be about it; None for those that do.

    A system that names its entity is read by that; any other by whether it says one of the values asked for.
    """
    if any(name in gold.question for name in gold.entities) or not gold.entities:
        return None
    if response.grounded is not None:
        return response.grounded.entities[:1] == gold.entities[:1]
    return bool(_stated(item, gold, response)[0])


def _stated(item: Item[Gold | None], gold: Gold, response: Response) -> tuple[list[str], list[str]]:
    """The values asked for that the answer says, and all of them; those that were said before are left out."""
    before = _bare("".join(message.content for message in item.messages))
    values = list(dict.fromkeys(value for fact in gold.facts for value in fact.values if _bare(value) not in before))
    text = _bare(without_marks(response.answer.text))
    return [value for value in values if _bare(value) in text], values


def _bare(text: str) -> str:
    return "".join(character for character in normalise(text).text if character.isalnum())


TASK: Task[Gold | None] = Task(
    name="dialogue",
    title="多轮对话",
    about="带着前面几轮来答；跟问里没有说出的“它”，认没认对。",
    load=load,
    judge=each(_one),
    measures={
        "resolved": Measure(
            "跟问认对", "resolved",
            about="问题里没有名称的跟问：依据知识库的系统看它查的实体，其他系统看它有没有说出所问的、前面没有出现过的值",
        ),
        "recall": Measure("所问的值说出多少", "stated", "values", about="前面几轮已经说过的值不计"),
        **NEARNESS,
        **FORM,
    },
    headline=("resolved", "chrf"),
    data="kb",
    splits=("轮次",),
    tokens=200,
    grounded=True,
)  # fmt: skip
