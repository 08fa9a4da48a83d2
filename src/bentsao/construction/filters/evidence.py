"""Names and values in an answer that its evidence does not give."""

from __future__ import annotations

from bentsao.construction.filters.context import Context, reason
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation
from bentsao.knowledge.verify import verify


def ungrounded(conversation: Conversation, context: Context) -> str | None:
    """A claim that goes beyond the row's evidence or against it. A row without evidence cannot be judged: None.

    What the row itself marks as going beyond (`made.beyond`) is allowed: its recipe kept it under that label.
    """
    if not conversation.evidence:
        return None
    facts = [item.fact for item in conversation.evidence]
    allowed = set(conversation.made.beyond) if conversation.made else set[str]()
    for answer in texts(conversation).answers:
        verdicts = verify(answer, facts, vocabulary=context.vocabulary, aliases=context.aliases)
        for claim in (*verdicts.contradicted, *verdicts.beyond):
            if claim.text not in allowed:
                label = "与依据矛盾" if claim.verdict == "contradicted" else "超出依据"
                return reason(label, claim.text) + f"（{claim.reason}）"
    return None
