"""`bentsao answer`: one question, answered from a knowledge base, with what the answer stands on."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from bentsao.apps.commands.grounded import GROUNDING, Grounding, answer_json, opened_answerer, show_answer
from bentsao.apps.commands.kb_import import Json
from bentsao.apps.commands.kb_views import print_json
from bentsao.apps.commands.model_flags import GREEDY, MODEL, Drawing, Model, warn_before
from bentsao.apps.commands.opening import typed
from bentsao.core.errors import ConfigError, ModelError
from bentsao.inference.grounded.records import Aim, GroundedQuestion
from bentsao.knowledge.schema import attribute_of
from bentsao.knowledge.store import KnowledgeBase


def answer(
    question: Annotated[str, Parameter(help="一个问题", converter=typed)],
    /,
    *,
    history: Annotated[
        tuple[str, ...], Parameter(help="之前问过的话，按先后", consume_multiple=True, negative=(), show_default=False)
    ] = (),
    entity: Annotated[
        tuple[str, ...],
        Parameter(help="问的是哪个实体（--path oracle）", consume_multiple=True, negative=(), show_default=False),
    ] = (),
    attribute: Annotated[
        tuple[str, ...],
        Parameter(help="问的是它的哪个属性（--path oracle）", consume_multiple=True, negative=(), show_default=False),
    ] = (),
    grounding: Grounding = GROUNDING,
    model: Model = MODEL,
    decoding: Drawing = GREEDY,
    json: Json = False,
) -> None:
    """依据知识库回答一个问题，并列出依据；知识库里没有的，就说没有。

    例：

        bentsao answer 偏头痛要做哪些检查

        bentsao answer 那怎么治？ --history 偏头痛有什么症状

        bentsao answer 布洛芬有什么副作用 --no-model --json
    """
    if bool(entity or attribute) and (grounding.path not in (None, "oracle") or grounding.bundle is not None):
        raise ConfigError("--entity 与 --attribute 只用于 --path oracle。请去掉它们，或改用 --path oracle。")
    if not entity and (attribute or grounding.path == "oracle"):
        raise ConfigError("--path oracle 要用 --entity 给出问的是哪个实体（--attribute 给出哪个属性）。")
    if not json:
        warn_before(question, history)
    with opened_answerer(grounding, model, decoding, default="oracle" if entity else "both") as answerer:
        aim = _aim(answerer.kb, entity, attribute) if entity else None
        (found,) = answerer.answer([GroundedQuestion(id="1", question=question, history=history, aim=aim)])
    if found.error is not None:
        raise ModelError(found.error)
    if json:
        print_json(answer_json(found))
    else:
        show_answer(found)
        print(f"\n{grounding.notice}")


def _aim(kb: KnowledgeBase, names: tuple[str, ...], wanted: tuple[str, ...]) -> Aim:
    """What the user says that the question is about, by the base's own names."""
    found = [kb.entity(name) for name in names]
    if missing := [name for name, entity in zip(names, found, strict=True) if entity is None]:
        raise ConfigError(f"知识库里没有“{missing[0]}”。可用 bentsao kb search {quote(missing[0])} 查找相近的名称。")
    entities = [entity for entity in found if entity is not None]
    attributes: list[str] = []
    for name in wanted:
        called = [own for entity in entities if (own := attribute_of(name, entity.kind))]
        if not called:
            raise ConfigError(f"“{names[0]}”没有属性“{name}”。可用 bentsao kb show {quote(names[0])} 查看它有什么。")
        attributes += called
    return Aim(
        entities=tuple(dict.fromkeys(entity.name for entity in entities)), attributes=tuple(dict.fromkeys(attributes))
    )
