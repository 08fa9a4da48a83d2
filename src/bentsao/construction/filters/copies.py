"""Near-duplicates: rows that are like one let through before, by the question or as a whole."""

from __future__ import annotations

from bentsao.construction.filters.context import Context
from bentsao.construction.texts import form_of, texts
from bentsao.core.records import Conversation


def near_duplicate(conversation: Conversation, context: Context) -> str | None:
    """A row that is a near copy of an earlier one, named with how alike they are; else it is remembered.

    Rows are compared within their form and the facts they stand on (subject and attribute): two questions that differ
    only in the disease are two questions, and the two rows of a pair (premise_true, premise_false) are no copies.
    """
    said = texts(conversation)
    question, whole = said.question, f"{said.question}\n{said.answer}"
    topic = _topic(conversation)
    if near := context.questions.nearest(question, topic):
        return f"问题与另一行近似：{near.name}（相似度 {near.similarity:.2f}）"
    if near := context.rows.nearest(whole, topic):
        return f"问答与另一行近似：{near.name}（相似度 {near.similarity:.2f}）"
    context.questions.add(conversation.id, question, topic)
    context.rows.add(conversation.id, whole, topic)
    return None


def _topic(conversation: Conversation) -> str:
    facts = sorted({(item.fact.subject, item.fact.attribute) for item in conversation.evidence})
    return "\n".join([form_of(conversation), *(f"{subject}\t{attribute}" for subject, attribute in facts)])
