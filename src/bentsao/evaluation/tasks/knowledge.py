"""Knowledge: whether the right entity, attribute and facts are found, and the answer says them and nothing else.

The scores are those of `evaluation/grounding.py` (after arXiv 2309.04175). A system that answers from a knowledge base
is scored on every stage; one that does not, on what it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from bentsao.construction.grammar import load_grammar
from bentsao.construction.subjects import gather
from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError
from bentsao.core.files import iterate_json
from bentsao.core.records import Conversation, Message
from bentsao.evaluation.grounding import Gold, Said, Score, score
from bentsao.evaluation.questions import as_kind, by_hand, composed
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
from bentsao.knowledge.contents import names_of
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.verify import KnownNames

KINDS: dict[str, str] = {
    "plain": "直接问", "several": "问几样", "compare": "比较", "follow_up": "跟问", "typo": "写错",
    "missing": "没有的属性", "unknown": "没有的名字", "premise_true": "真前提", "premise_false": "假前提",
}  # fmt: skip


Scored = Callable[[Gold, Said], Score]


@dataclass(frozen=True)
class Key:
    """A gold question, and how an answer to it is scored."""

    gold: Gold
    scored: Scored


def load(source: Source) -> list[Item[Key]]:
    """Gold questions of files (rows of `bentsao build`, or by hand), or composed about what was not learnt.

    Raises ConfigError where the files hold none.
    """
    golds = golds_of(source) if source.files else compose(source)
    scored = scorer(source.kb)
    return limited([_item(gold, scored) for gold in golds], source, "问法")


def compose(source: Source) -> list[Gold]:
    """Questions about the knowledge base's entities, in the question patterns that are kept for testing."""
    material = gather(needed_kb(source, "knowledge"), load_grammar())
    return composed(
        material, load_grammar(), source.count, seed=source.seed, limit=lambda subject: not source.learnt(subject.name)
    )


def golds_of(source: Source) -> list[Gold]:
    """Gold questions of the files: rows that say how they were constructed, or questions written by hand.

    What else the files hold is left out and told. Raises ConfigError where they hold no gold question.
    """
    found: list[Gold] = []
    for file in source.files:
        row = next((row for _, row in iterate_json(file) if isinstance(row, dict)), {})
        if "messages" not in row:
            found += _named(by_hand(file, needed_kb(source, "knowledge")), prefix(file, source.files))
            continue
        rows = read_conversations(file).conversations
        golds = [gold for row in rows if (gold := gold_of(row))]
        found += _named(golds, prefix(file, source.files))
        if left_out := len(rows) - len(golds):
            source.report(f"{file}：{left_out} 条没有写明所问的实体、属性与依据，不能评，没有用到。")
    if not found:
        raise ConfigError(
            f"{'、'.join(map(str, source.files))} 里没有写明依据的题。请给出 bentsao build grounded 或 polarity "
            "写出的文件，或只给 --kb，由知识库写成。"
        )
    return found


def _named(golds: Sequence[Gold], before: str) -> list[Gold]:
    return [
        gold.model_copy(update={"id": before + gold.id, "pair": gold.pair and before + gold.pair}) for gold in golds
    ]


def gold_of(row: Conversation) -> Gold | None:
    """The question that a constructed row asks, with what the knowledge base says to it; None for other rows."""
    if row.made is None or row.made.asked is None or (kind := as_kind(row.made.form)) is None:
        return None
    asked = row.made.asked
    return Gold(
        id=row.id,
        question=asked.question,
        kind=kind,
        history=asked.history,
        entities=asked.entities,
        attributes=asked.attributes,
        facts=tuple(item.fact for item in row.evidence),
        value=asked.value,
        pair=row.id.rpartition("#")[0],
    )


def _item(gold: Gold, scored: Scored) -> Item[Key]:
    """Earlier questions, to which no answers are known, stand on lines of their own before it."""
    text = "\n".join((*gold.history, gold.question))
    return Item(
        id=gold.id,
        group=(*gold.entities, gold.id)[0],
        messages=(Message(role="user", content=text),),
        key=Key(gold, scored),
        asked=gold.question,
        earlier=gold.history,
        tags={"问法": KINDS.get(gold.kind, gold.kind)},
        whole=gold.pair,
    )


def scorer(kb: KnowledgeBase | None) -> Scored:
    """Scores answers with the names of a knowledge base, where there is one."""
    if kb is None:
        return score

    def aliases(name: str) -> Iterable[str]:
        entity = kb.entity(name)
        return names_of(entity) if entity else ()

    names = KnownNames(text for text, _, kind, _ in kb.names() if kind in ("disease", "drug"))
    return partial(score, vocabulary=names, aliases=aliases)


def said(item: Item[Key], response: Response) -> Said:
    """The answer as it is scored. A system without a knowledge base names no entity, and abstains in words only."""
    answer = response.answer
    if (found := response.grounded) is None:
        abstained = declines(answer.text, asserted=bool(item.key.gold.value))
        return Said(id=item.id, answer=answer.text, finish=answer.finish, abstained=abstained)
    return Said(
        id=item.id,
        answer=found.answer,
        entities=found.entities,
        attributes=found.attributes,
        evidence=found.evidence,
        abstained=found.abstained,
        finish=found.finish,
    )


def declines(text: str, *, asserted: bool = False) -> bool:
    """Whether an answer says that it cannot be given: in so many words, and not by silence.

    asserted: the question asserts a value: that nothing is said of it is then an answer, and no abstention.
    """
    first = re.split(r"[。！？!?\n]", text.strip(), maxsplit=1)[0]
    return bool(_CANNOT.search(text) or (not asserted and _NOTHING.search(first)))


_CANNOT = re.compile("(?:不能|无法|没法)回答|我不知道")
_NOTHING = re.compile("(?:知识库|资料)(?:里|中)?没有|没有(?:查到|找到|收录|记载|相关)|未(?:查到|收录)")


def _one(item: Item[Key], response: Response) -> Verdict:
    gold = item.key.gold
    facts = "；".join(f"{fact.subject}·{fact.attribute}：{'、'.join(fact.values)}" for fact in gold.facts)
    if broken := failed(item, response):
        return broken.model_copy(update={"expected": facts})
    what = said(item, response)
    if not what.answer.strip():
        # Silence is neither an abstention nor an answer: it says none of the facts.
        what = what.model_copy(update={"abstained": False, "finish": "length"})
    found = item.key.scored(gold, what)
    return verdict(item, response).model_copy(
        update={
            "expected": facts or "知识库里没有，应当说没有",
            "said": _read_as(what, found),
            "right": _right(found),
            "scores": scores_of(found),
        }
    )


def scores_of(found: Score) -> dict[str, float | None]:
    """What the task's measures are made of."""
    plain = {
        "entity": found.entity,
        "attribute": found.attribute,
        "hit": found.hit,
        f"abstained_{found.kind}": found.abstained_right,
        "abstained_wrong": found.abstained_wrong,
        f"affirmed_{found.kind}": found.affirmed,
        "ended": found.ended,
        "repeats": found.repeats,
    }
    scores: dict[str, float | None] = {name: float(value) for name, value in plain.items() if value is not None}
    counts = {"claims": found.claims, "supported": found.supported, "hallucinated": found.hallucinated}
    if found.values and not found.kind.startswith("premise"):
        counts |= {"stated": found.stated, "values": found.values}
    return scores | {name: float(value) for name, value in counts.items()}


def _right(found: Score) -> bool | None:
    if found.abstained_right is not None:
        return found.abstained_right
    if found.premise is not None:
        return found.premise
    return bool(found.stated) and not found.hallucinated and not found.abstained_wrong


def _read_as(what: Said, found: Score) -> str:
    parts = (
        [] if what.entities is None else [f"查 {'、'.join(what.entities) or '无'}·{'、'.join(what.attributes or ())}"]
    )
    if what.abstained:
        return "；".join([*parts, "说没有依据"])
    return "；".join([*parts, f"说出 {found.stated}/{found.values} 个值，{found.hallucinated} 处没有依据"])


TASK: Task[Key] = Task(
    name="knowledge",
    title="知识",
    about="问的是谁、问的是什么、查到没有、说全没有、编了没有、该说没有时说了没有（arXiv 2309.04175）。",
    load=load,
    judge=each(_one),
    measures={
        "entity": Measure("实体@1", "entity", about="第一个实体就是所问的实体的比例"),
        "attribute": Measure("属性@1", "attribute", about="第一个属性就是所问的属性的比例"),
        "hit": Measure("查到全部事实", "hit", about="所问的每个（实体，属性）都在依据里的比例"),
        "precision": Measure("事实准确率", "supported", "claims", about="有依据的断言 / 全部断言"),
        "recall": Measure("事实召回率", "stated", "values", about="说出的值 / 知识库里的值（不计真假前提题）"),
        "hallucinated": Measure(
            "没有依据的断言", "hallucinated", "claims", better="low", about="没有依据或与依据相反的断言 / 全部断言"
        ),
        "abstains_unknown": Measure("对没有的名字说没有", "abstained_unknown"),
        "abstains_missing": Measure("对没有的属性说没有", "abstained_missing"),
        "abstains_wrongly": Measure("有却说没有", "abstained_wrong", better="low"),
        "ended": Measure("自己说完", "ended"),
        "repeats": Measure("一段话重复", "repeats", better="low"),
    },
    headline=("recall", "precision", "entity"),
    data="kb",
    splits=("问法",),
    tokens=200,
    grounded=True,
)  # fmt: skip
