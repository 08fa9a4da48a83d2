"""After a model wrote an answer from facts: what may stand of it, what it left out, whether its yes or no is right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bentsao.core.grounding import Gap, cited_numbers
from bentsao.core.records import Evidence
from bentsao.inference.grounded.guarding import Removed, guarded
from bentsao.inference.grounded.premises import (
    Premise,
    asks_leave,
    asks_whether,
    asserted,
    kept_to,
    refusals,
    says_yes,
    stands_in,
)
from bentsao.inference.grounded.records import Aim, Policy
from bentsao.inference.grounded.vocabulary import Vocabulary
from bentsao.inference.grounded.wording import facts_only, is_disputed, leave_is_not_ours, unsaid
from bentsao.knowledge.schema import ATTRIBUTES


@dataclass(frozen=True)
class Grounds:
    """What an answer was to be written from. left_out: values of the base that were not put before the model."""

    question: str
    aim: Aim
    evidence: tuple[Evidence, ...]
    gaps: tuple[Gap, ...] = ()
    left_out: int = 0

    @property
    def quoted(self) -> str:
        """The facts as they are."""
        return facts_only(self.evidence, disputed=is_disputed(self.evidence))


@dataclass(frozen=True)
class Checked:
    """An answer as it may stand; the rest as in `GroundedAnswer`."""

    answer: str
    removed: tuple[Removed, ...] = ()
    added: int = 0
    premise: Premise | None = None


class Checker:
    """Checks answers against one knowledge base by one policy."""

    def __init__(self, words: Vocabulary, policy: Policy) -> None:
        self.words = words
        self.policy = policy

    def check(self, raw: str, grounds: Grounds, *, cut: bool) -> Checked:
        """What a reader gets for the model's words. cut: they reached the limit of length, and the facts are quoted."""
        if self.policy.guard == "off":
            return Checked(raw or grounds.quoted)
        checked = Checked("", ((raw, "到达长度上限，没有说完。"),)) if cut else self._guarded(raw, grounds)
        premise = self._premise(grounds)
        if premise is None and asks_whether(grounds.question) and says_yes(checked.answer):
            why = "问的这一点，资料里没有可以核对的说法，不由模型说是。"
            checked = Checked(grounds.quoted, (*checked.removed, (checked.answer, why)))
        if self.policy.complete:
            checked = _completed(checked, grounds, premise)
        return checked if checked.answer else replace(checked, answer=grounds.quoted)

    def quoted(self, grounds: Grounds) -> Checked:
        """What a reader gets where no model writes: the facts, with what they say to the question's premise."""
        premise = self._premise(grounds)
        if not asks_leave(grounds.question) or (premise is not None and premise.holds):
            return _completed(Checked(grounds.quoted), grounds, premise)
        refused = refusals(grounds.question, grounds.evidence, self.words.called)
        lead = "".join(map(stands_in, refused)) or leave_is_not_ours(premise)
        return Checked(lead + grounds.quoted, premise=premise)

    def _guarded(self, raw: str, grounds: Grounds) -> Checked:
        text, removed = guarded(
            raw,
            grounds.evidence,
            "mark" if self.policy.guard == "mark" else "remove",
            asked="\n".join([grounds.question, *(gap.entity for gap in grounds.gaps)]),
            vocabulary=self.words.names(),
            aliases=self.words.called,
        )
        return Checked(text if cited_numbers(text) else "", removed)

    def _premise(self, grounds: Grounds) -> Premise | None:
        """What the question asserts; None for an open question, and where it is not clear."""
        aim, words = grounds.aim, self.words
        names = [text for name in (*aim.entities, *aim.called) for text in (name, *words.called(name))]
        return asserted(
            grounds.question,
            names,
            aim.attributes,
            grounds.evidence,
            words.values,
            likely=words.likely,
            called=words.called,
        )


def _completed(checked: Checked, grounds: Grounds, premise: Premise | None) -> Checked:
    """With yes or no as the facts have it, or with the values that the model left out."""
    text = checked.answer
    if premise is None:
        more, added = unsaid(grounds.evidence, text) if text else ("", 0)
        return replace(checked, answer=text + more, added=added)
    against = ATTRIBUTES[premise.attribute].polarity == "against"
    if not premise.holds and (grounds.left_out or against):
        # What is asserted may be among the values that were not looked at; and 禁忌证 without it is no leave.
        return checked
    many = ATTRIBUTES[premise.attribute].many
    text = text or grounds.quoted
    kept, wrong = kept_to(
        premise,
        text,
        grounds.quoted,
        of_one=() if many else [value for item in grounds.evidence for value in item.fact.values],
        plain=against or asks_leave(grounds.question),
    )
    removed = ((text, wrong),) if wrong else ()
    return replace(checked, answer=kept, removed=checked.removed + removed, premise=premise)
