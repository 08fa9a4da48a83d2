"""What is asked and what is answered in a conversation, whatever its form: the texts that filters and figures look at.

In a grounded row (`core.grounding`) the first turn frames the question, the second and third ask for an attribute and
an answer in fixed words; only the question within the first is what a person asked, and names are no answers.
"""

from __future__ import annotations

from typing import NamedTuple

from bentsao.core.grounding import ask_attribute, ask_entity, without_marks
from bentsao.core.records import Conversation, Question

_NAMES = frozenset({"entity", "attribute"})
_FRAME = ask_entity("").content.partition("\n")[0] + "\n"
_QUESTION = "\n问题："
_FIXED = ask_attribute().content
_MATERIAL = "资料：\n"


class Texts(NamedTuple):
    """What the person said and what the assistant answered, turn by turn; names of the first stages left out."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def question(self) -> str:
        """All that is asked, a turn a line."""
        return "\n".join(self.questions)

    @property
    def answer(self) -> str:
        """All that is answered, a turn a line."""
        return "\n".join(self.answers)


def texts(row: Conversation | Question) -> Texts:
    """The questions and answers of a conversation, citation marks left out; a question's answer is its reference."""
    grounded = any(message.part in _NAMES or message.content.startswith(_FRAME) for message in row.messages)
    questions: list[str] = []
    answers: list[str] = []
    for message in row.messages:
        if message.role == "user":
            said = f"{message.content}\n{message.input}" if message.input else message.content
            questions += _asked(said) if grounded else [said]
        elif message.role == "assistant" and message.part not in _NAMES:
            answers.append(without_marks(message.content))
    if isinstance(row, Question) and row.reference:
        answers.append(without_marks(row.reference))
    return Texts(tuple(questions), tuple(answers))


def _asked(said: str) -> list[str]:
    """The question in a turn of a grounded row; none in a turn of fixed words."""
    if said == _FIXED or said.startswith(_MATERIAL):
        return []
    return [said.rpartition(_QUESTION)[2]] if said.startswith(_FRAME) else [said]


def form_of(conversation: Conversation) -> str:
    """The form it was constructed in, "" where it was not."""
    return conversation.made.form if conversation.made else ""
