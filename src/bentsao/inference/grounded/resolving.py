"""What a question is about: by the linker, by a full-text search, by the model's words, and by both together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bentsao.core.grounding import names_in
from bentsao.core.records import Fact
from bentsao.inference.grounded.premises import asks_leave, asks_whether
from bentsao.inference.grounded.records import Aim, GroundedQuestion
from bentsao.inference.grounded.vocabulary import Vocabulary
from bentsao.inference.grounded.whether import meant
from bentsao.knowledge.grams import folded, grams
from bentsao.knowledge.linking import Linked, LinkedEntity, Linker
from bentsao.knowledge.linking.words import FORMS
from bentsao.knowledge.schema import ATTRIBUTES, answered_by, can_have
from bentsao.knowledge.store import KnowledgeBase

_BESIDE = 0.9
"""What share of the best entity's score another of its kind must reach to be meant as well."""

_MOST_ENTITIES = 3

_SPECIAL = frozenset({"孕妇用药", "儿童用药", "老年用药", "药物相互作用", "禁忌证", "注意事项"})
"""Attributes that say for whom or with what a medicine is dangerous."""

_HINT = 0.5
"""The linker's score of an attribute that a word only hints at."""

_CLAUSE_END = re.compile(r"[，,。？?！!；;…\s]+")
_ASKS = re.compile("什么|啥|哪|多少|几|怎么|咋|吗|呢|多久|多长|会不会|能不能|要不要|有没有|么$")

_NAME_END = re.compile(
    "[病症征炎瘤癌痛热疹疮毒伤折虫菌疫痈疽疸喘聋盲瘫癣疣斑石疝痔瘘丸散膏素片剂液栓酊霜贴苗]$|中毒|感染$|胶囊$|颗粒$|滴眼液$|喷雾$|单抗$|替尼$|检查$|手术$|切除术$"
)
"""How names of diseases, drugs and the like end."""

_CONDITION_END = re.compile("[病症炎瘤癌痛疼疹喘]$|出血$|溃疡$|过敏$")
"""How conditions end that no drug's name ends with."""

_ONLY_FORMS = re.compile(f"(?:{'|'.join(sorted(FORMS, key=len, reverse=True))}|[钠钾钙])+")
"""What makes another form of the same medicine (布洛芬缓释胶囊)."""

_BETWEEN_NAMES = re.compile(
    "[了的着过和与跟及或把被让给在是就也又还都第这那我你他她它们吃喝服用擦抹涂敷打查得患长补之]|出来|起来|偏爱|期间|时候|以[后前]"
    "|孩子|小孩|宝宝|家里|病人|患者|[爸妈爷奶叔婶舅姨哥姐弟妹]"
    "|[一二两三四五六七八九十几每\\d][天日次回周粒片个]"
)
"""Words that stand beside names and in hardly any name: what holds one is a stretch of the sentence and not a name."""


class Resolver:
    """Finds the entities and attributes of questions in one knowledge base."""

    def __init__(self, kb: KnowledgeBase, linker: Linker, words: Vocabulary, nearest: float) -> None:
        self._kb = kb
        self._linker = linker
        self._words = words
        self._nearest = nearest

    def by_linker(self, asked: GroundedQuestion) -> Aim:
        """As the linker reads the question and what was asked before."""
        linked = self._linker.link(asked.question, asked.history)
        meant = _meant(linked)
        return Aim(
            entities=tuple(entity.name for entity in meant),
            names=tuple(entity.surface or entity.name for entity in meant),
            attributes=tuple(attribute.name for attribute in linked.attributes),
            ask_back=linked.ask_back,
        )

    def by_search(self, asked: GroundedQuestion) -> Aim:
        """The entity whose name comes first in a full-text search (BM25); attributes as the linker reads them.

        This is the way without any learning that papers compare with.
        """
        hits = self._kb.search(asked.question, 10)
        found = next((hit.entity for hit in hits if hit.entity is not None), None)
        attributes = tuple(attribute.name for attribute in self._linker.link(asked.question, asked.history).attributes)
        names = (found.name,) if found else ()
        return Aim(entities=names, names=names, attributes=attributes)

    def by_model(self, entity_reply: str, attribute_reply: str) -> Aim:
        """The model's two replies, brought onto the knowledge base."""
        entities: list[str] = []
        names: list[str] = []
        unknown: list[str] = []
        whole = entity_reply.strip()
        # A name of the base may have in it what parts names.
        for name in (whole,) if self._kb.entity(whole) else names_in(entity_reply)[:_MOST_ENTITIES]:
            found = self.nearest(name)
            if found is None:
                unknown.append(name)
            elif found not in entities:
                entities.append(found)
                names.append(name)
        return Aim(
            entities=tuple(entities),
            names=tuple(names),
            attributes=tuple(name for name in names_in(attribute_reply) if name in ATTRIBUTES),
            unknown=tuple(unknown),
            ask_back=self._sharing(names[0]) if names else (),
        )

    def nearest(self, name: str) -> str | None:
        """The entity of the base that is called so, or nearly so; None where none is near enough."""
        if entity := self._kb.entity(name):
            return entity.name
        for entity in self._linker.link(name).entities:
            covered = len(entity.surface) >= len(name) - 1
            if covered and (entity.match in ("exact", "alias", "variant") or entity.score >= self._nearest):
                return entity.name
        return None

    def both(self, model: Aim, linker: Aim, question: str) -> Aim:
        """One aim of two.

        What both name is meant, so that each drops what only the other took for asked (a symptom of the story, an
        attribute that a word hints at). Where they share nothing, the longer name of the question decides, which says
        more (of equal ones the model's, which read the sentence). A name that is only a part of a longer one that the
        model read, and the base has not, is nobody's; so is what was spoken of before, where the question names
        something else. Of attributes that they do not share the linker's come first: on questions in everyday words
        it is right more often (docs/grounded.md). Where clauses ask for one thing each, all of them are meant.
        """
        shared = [place for place, name in enumerate(linker.entities) if name in model.entities]
        alone = len(model.entities) + len(model.unknown) < 2
        if shared and alone:
            entities = tuple(linker.entities[place] for place in shared)
            names = tuple(linker.names[place] for place in shared)
        elif self._is_within_unknown(model, linker, question) or _names_another(model, linker, question):
            entities, names = (), ()
        elif linker.entities and not self._is_longer(model, linker, question):
            entities, names = linker.entities, linker.names
        else:
            entities, names = model.entities, model.names
        agreed = tuple(name for name in linker.attributes if name in model.attributes)
        if agreed and len(names) == 1 and set(agreed) & set(asked := self._asked_one_by_one(question, names[0])):
            agreed = tuple(dict.fromkeys((*agreed, *asked)))
        attributes = agreed or (linker.attributes[:1] if model.attributes else linker.attributes) or model.attributes
        return Aim(
            entities=entities,
            names=names,
            attributes=attributes,
            unknown=() if entities else model.unknown,
            # What shares the linker's entity's name, or, where there is no entity, what may be meant.
            ask_back=linker.ask_back if entities == linker.entities else (),
        )

    def whether(self, asked: GroundedQuestion, aim: Aim, found: Sequence[Aim | None]) -> Aim:
        """The aim; where the question names the value of a fact of another attribute or entity, that fact's.

        found: what each way found; its entities and attributes are looked at as well. Questions for leave
        (孕妇能吃吗) are left as they are: what speaks against a medicine must not be taken from them.
        """
        kept = aim.ask_back or set(aim.attributes) & _SPECIAL
        if kept or asks_leave(asked.question) or not asks_whether(asked.question):
            return aim
        ways = [aim, *(way for way in found if way is not None)]
        names = dict.fromkeys(name for way in ways for name in way.entities)
        names |= dict.fromkeys(entity.name for entity in self._linker.link(asked.question).entities[:_MOST_ENTITIES])
        fact = meant(
            asked.question,
            {name: self._words.called(name) for name in names},
            self._kb.facts,
            self._words.names(),
            [name for way in ways for name in way.attributes],
        )
        if fact is None or (aim.entities == (fact.entity,) and fact.attribute in aim.attributes):
            return aim
        return Aim(entities=(fact.entity,), names=(fact.called,), attributes=(fact.attribute,))

    def facts(self, name: str, attribute: str) -> list[Fact] | None:
        """What the base says of all entities with this own name; None where none of them can have the attribute."""
        found = self._kb.entities(name)
        able = [one for one in found if one.name == name and can_have(one.kind, attribute)]
        return [fact for one in able for fact in self._kb.facts(one.id, attribute)] if able else None

    def answered_by(self, name: str, attributes: Sequence[str]) -> tuple[str, ...]:
        """The attributes that answer for those asked of an entity: 怎么治 by its medicines where no plan is known."""
        known = {
            fact.attribute for one in self._kb.entities(name) if one.name == name for fact in self._kb.facts(one.id)
        }
        return tuple(dict.fromkeys(each for attribute in attributes for each in answered_by(attribute, known)))

    def _sharing(self, name: str) -> tuple[str, ...]:
        """The entities that share this name; nothing where one of them alone has it, or has it as its own."""
        sharing = tuple(dict.fromkeys(entity.name for entity in self._kb.entities(name)))
        return sharing if len(sharing) > 1 and name not in sharing else ()

    def _asked_one_by_one(self, question: str, name: str) -> tuple[str, ...]:
        """What each clause that asks (要查哪些项目，去哪个科看) asks of the entity of this name; () for one clause.

        A model is apt to name one attribute of several, and the linker more than are asked.
        """
        clauses = [clause for clause in _CLAUSE_END.split(question) if _ASKS.search(clause)]
        if len(clauses) < 2:
            return ()
        read = [self._linker.link(clause if name in clause else name + clause).attributes for clause in clauses]
        return tuple(dict.fromkeys(found[0].name for found in read if found and found[0].score > _HINT))

    def _is_longer(self, model: Aim, linker: Aim, question: str) -> bool:
        """Whether a name that the model read, most of which the question has, is as long as the linker's or longer."""
        said = grams(folded(question))
        read = [name for name in model.names if 2 * len(grams(folded(name)) & said) >= len(grams(folded(name))) > 0]
        return max(map(len, read), default=0) >= max(map(len, linker.names))

    def _is_within_unknown(self, model: Aim, linker: Aim, question: str) -> bool:
        """Whether what the linker found is only a part of a longer name that the model read and the base has not.

        Not where the model only read on past the name (膀胱膨出偏爱 …): what it read must end as names do, and have no
        words of the sentence in it. A drug's name with anything else after it (布洛芬西平) may be another drug, and is
        taken for one; where leave to take it is asked for, a condition after it is the person's (阿司匹林胃出血能吃吗).
        """
        if not linker.names:
            return False
        kinds = {entity.kind for name in linker.entities if (entity := self._kb.entity(name))}
        asked = asks_leave(question)
        drug = [whole for whole in model.unknown if not (asked and _CONDITION_END.search(whole))]
        longer = drug if "drug" in kinds else [whole for whole in model.unknown if _NAME_END.search(whole)]
        names = sorted(linker.names, key=len, reverse=True)
        return all(
            any(name != whole and _without(whole, names) and _within(name, whole) for whole in longer) for name in names
        )


def _names_another(model: Aim, linker: Aim, question: str) -> bool:
    """Whether the linker's entity was spoken of before, and the model read another name in the question."""
    said = folded(question)
    if any(folded(name) in said for name in linker.names):
        return False
    read = (name for name in model.unknown if folded(name) in said)
    return any(_NAME_END.search(name) and not _BETWEEN_NAMES.search(name) for name in read)


def _without(text: str, names: Sequence[str]) -> str:
    """What is left of a text without these names; nothing where it is only names (阿莫西林青霉素)."""
    for name in names:
        text = text.replace(name, "")
    return text


def _within(name: str, whole: str) -> bool:
    """Whether a longer name holds this one."""
    before, found, after = whole.partition(name)
    if not found or _ONLY_FORMS.fullmatch(after):
        return False
    return not _BETWEEN_NAMES.search(before) and not _BETWEEN_NAMES.search(after)


def _meant(linked: Linked) -> Sequence[LinkedEntity]:
    """The best entity, and others of its kind that are as good: two that are compared."""
    if not linked.entities:
        return ()
    best = linked.entities[0]
    beside = [one for one in linked.entities[1:] if one.kind == best.kind and one.score >= _BESIDE * best.score]
    return (best, *beside)[:_MOST_ENTITIES]
