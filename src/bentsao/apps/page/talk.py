"""A conversation on the page: what was asked and answered, and how it leaves the page. One of these to each visitor."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from bentsao.core.errors import ConfigError
from bentsao.core.grounding import fact_line, mark, without_marks
from bentsao.core.records import Alarm, Conversation, Evidence, Message, Record
from bentsao.inference.decoding import Decoding
from bentsao.inference.grounded import GroundedAnswer
from bentsao.inference.notice import NOTICE
from bentsao.inference.safety import alarm_text
from bentsao.knowledge.contents import cited

Finish = Literal["writing", "end", "length", "stopped", "error"]


class Turn(Record):
    """A question and what came of it.

    finish: "writing" while the answer comes; "stopped" by the visitor. removed: sentences that the guard took out or
    marked. dropped: messages that no longer fit in the context. rating: the visitor's, +1 or -1; 0 for none.
    """

    question: str
    model: str
    text: str = ""
    alarm: Alarm | None = None
    cautions: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    entities: tuple[str, ...] = ()
    removed: int = 0
    left_out: int = 0
    dropped: int = 0
    finish: Finish = "writing"
    error: str = ""
    rating: int = 0

    def grounded_in(self, answer: GroundedAnswer) -> Turn:
        """With a grounded answer."""
        return self.changed(
            text=answer.answer,
            evidence=answer.evidence,
            entities=answer.entities,
            removed=len(answer.removed),
            left_out=answer.left_out,
            finish=answer.finish,
            error=answer.error or "",
        )

    def changed(self, **fields: Any) -> Turn:
        """With these fields otherwise."""
        return self.model_copy(update=fields)


class Talk(Record):
    """A conversation. id: a name that nobody can guess, for ratings and files."""

    id: str
    turns: tuple[Turn, ...] = ()

    @classmethod
    def new(cls) -> Talk:
        """An empty one."""
        return cls(id=secrets.token_hex(6))

    def messages(self) -> list[Message]:
        """What is said again to the model with the next question: the turns that were answered, without marks."""
        return [
            message
            for turn in self.turns
            if turn.finish != "error" and turn.text.strip()
            for message in (
                Message(role="user", content=turn.question),
                Message(role="assistant", content=without_marks(turn.text)),
            )
        ]

    def said_by_visitor(self) -> list[Message]:
        """All that was said, also where nothing was answered: what safety looks at."""
        return [
            message
            for turn in self.turns
            for message in (
                Message(role="user", content=turn.question),
                *([Message(role="assistant", content=turn.text)] if turn.text else []),
            )
        ]

    def with_last(self, turn: Turn) -> Talk:
        """With another last turn."""
        return self.model_copy(update={"turns": (*self.turns[:-1], turn)})

    def with_new(self, turn: Turn) -> Talk:
        """With one turn more."""
        return self.model_copy(update={"turns": (*self.turns, turn)})

    def rated(self, rating: int) -> Talk:
        """With the visitor's rating of the last answer."""
        return self.with_last(self.turns[-1].changed(rating=rating))

    def as_jsonl(self) -> str:
        """One line in the project's own form, which can be learnt from; empty where nothing was answered."""
        messages = tuple(self.messages())
        if not messages:
            return ""
        numbered = {item.fact: item for turn in self.turns for item in turn.evidence}
        evidence = tuple(
            Evidence(number=number, fact=item.fact) for number, item in enumerate(numbered.values(), start=1)
        )
        conversation = Conversation(id=self.id, group=self.id, messages=messages, evidence=evidence)
        return json.dumps(conversation.model_dump(exclude_defaults=True), ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """The conversation for people, with alarms, facts and sources."""
        parts = ["# 与本草的对话", f"> {NOTICE}"]
        for turn in self.turns:
            parts.append(f"## 问\n\n{_plain(turn.question)}")
            if turn.alarm is not None:
                parts.append("\n".join(f"> {line}" for line in _plain(alarm_text(turn.alarm)).split("\n")))
            parts.append(f"## 答（{_plain(turn.model)}）\n\n{_plain(turn.text or turn.error or '（没有回答）')}")
            facts = [
                f"- {mark(item.number)} {_plain(fact_line(item.fact))} —— {_plain(cited(item.fact))}"
                for item in turn.evidence
            ]
            parts += ["依据：\n\n" + "\n".join(facts)] if facts else []
            parts += [f"> 提醒：{line}" for line in turn.cautions]
        return "\n\n".join(parts) + "\n"


_MARKS = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_<>#|~"})


def _plain(text: str) -> str:
    """The text in Markdown, where its signs stand for themselves."""
    return text.translate(_MARKS)


def decoding_of(values: Mapping[str, Any]) -> Decoding:
    """The decoding that the page's fields ask for. Without chance, what only bears on chance is left out.

    Raises ConfigError for what is none.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if missing := [name for name in Decoding.model_fields if name not in given]:
        raise ConfigError(f"请填写解码设置：{'、'.join(missing)}。")
    whole = ("max_new_tokens", "top_k", "beams", "no_repeat_ngram", "seed")
    given |= {name: int(given[name]) for name in whole}
    if given["temperature"] == 0:
        given |= {"top_p": 1.0, "top_k": 0}
    return Decoding(**given)
