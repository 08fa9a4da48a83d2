"""A conversation with grounded answers: who is spoken of carries over, changes, and is asked back when unclear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bentsao.core.errors import ModelError
from bentsao.core.grounding import without_marks
from bentsao.core.records import Alarm, Evidence, Message
from bentsao.inference.grounded.answering import Answerer
from bentsao.inference.grounded.records import Aim, GroundedAnswer, GroundedQuestion
from bentsao.inference.grounded.wording import names_asked
from bentsao.inference.safety import caution, look
from bentsao.inference.session import SavedFiles
from bentsao.knowledge.normalise import normalise

_REPLY = 8
"""Characters that a reply to a question back may have besides the name it chooses."""

_PLACES = tuple(
    re.compile(pattern)
    for pattern in ("第1|^[一1]个?$|前者", "第2|^[二2]个?$|后者", "第3|^[三3]个?$", "第4|^[四4]个?$")
)
_YES = re.compile("^(?:是的?|对的?|嗯+|没错|就是(?:这个|它)?)[。!！,，啊呀]*$")


class GroundedSession:
    """A multi-turn conversation with an answerer.

    facts: the evidence of the last answer that had any. messages: all that was said, citation marks left out.
    """

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._saved = SavedFiles()
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.messages: tuple[Message, ...] = ()
        self.facts: tuple[Evidence, ...] = ()
        self._history: list[str] = []
        self._open: tuple[GroundedQuestion, GroundedAnswer] | None = None

    def alarm(self, text: str) -> Alarm | None:
        """What to show before the answer to what the person says next."""
        return look([*self.messages, Message(role="user", content=text)])

    def ask(self, text: str) -> GroundedAnswer:
        """The answer to what the person says next. When it is interrupted, nothing is added to the conversation.

        A short reply to a question back settles the question that was asked before; anything else is a new question.
        Raises ModelError for a question that cannot be answered (too long).
        """
        said = [text]
        question = GroundedQuestion(id=str(len(self.messages) // 2 + 1), question=text, history=tuple(self._history))
        if self._open is not None:
            before, answer = self._open
            if (meant := chosen(text, answer.ask_back)) is not None:
                question = before.model_copy(update={"id": question.id, "aim": _settled(answer, meant)})
                said = [meant]  # what 那要做什么检查？ will be about
        heard = [*self.messages, Message(role="user", content=text)]
        (answer,) = self._answerer.answer([question])
        if answer.error is not None:
            raise ModelError(answer.error)
        self._history += said
        self._open = (question, answer) if answer.ask_back else None
        self.facts = answer.evidence or self.facts
        self.messages = (*heard, Message(role="assistant", content=without_marks(answer.answer)))
        return answer.model_copy(update={"alarm": look(heard), "cautions": caution(heard)})

    def save(self, path: Path) -> int:
        """Write the conversation as one line of the project's own JSONL; as `Session.save`."""
        return self._saved.save(path, self.messages)


def question_of(name: str, messages: Sequence[Message], answerer: Answerer) -> GroundedQuestion:
    """The question that a conversation ends with, as `GroundedSession` would ask it, from what was said alone.

    name: its id. messages: the last is the user's. Where the answer before asks back and the last message chooses, the
    question before is asked again with what was chosen; the answerer says what it was about.
    """
    said: list[str] = []
    meant: str | None = None
    asked: Sequence[str] = ()
    for message in messages:
        if message.role == "assistant":
            asked = names_asked(message.content)
        elif message.role == "user":
            meant = chosen(message.content, asked) if asked else None
            said.append(meant or message.content)
            asked = ()
    if meant is None or len(said) < 2:
        return GroundedQuestion(id=name, question=said[-1], history=tuple(said[:-1]))
    before = GroundedQuestion(id=name, question=said[-2], history=tuple(said[:-2]))
    aim = answerer.aim_of(before)
    return before.model_copy(update={"aim": _settled(aim, meant)})


def chosen(reply: str, names: Sequence[str]) -> str | None:
    """Which of the names a short reply chooses: by itself, by its place (第二个, 后者), by 是的 where there is one.

    None where it chooses none or several, or says more than that.
    """
    words = normalise(reply.strip().strip("。.!！?？")).text
    written = {name: normalise(name).text for name in names}
    named = [name for name in names if written[name] in words]
    # A name within another one that is named too is not named by itself.
    named = [name for name in named if not any(written[name] in written[o] for o in named if o != name)]
    if len(named) == 1:
        return named[0] if len(words) <= len(written[named[0]]) + _REPLY else None
    if named or len(words) > _REPLY:
        return None
    if len(names) == 1 and _YES.match(reply.strip()):
        return names[0]
    places = [place for place, pattern in enumerate(_PLACES[: len(names)]) if pattern.search(words)]
    if len(places) == 1:
        return names[places[0]]
    part = [name for name in names if len(words) > 1 and words in written[name]]
    return part[0] if len(part) == 1 else None


def _settled(before: GroundedAnswer | Aim, meant: str) -> Aim:
    """What the earlier question is about, now that the person has said which entity is meant."""
    return Aim(entities=(meant, *(name for name in before.entities[1:] if name != meant)), attributes=before.attributes)
