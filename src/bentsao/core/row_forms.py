"""The forms of a row in the field's files of conversations, and how each becomes messages.

`FORMS` is the list: a new form is one function and one line of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bentsao.core.grounding import PARTS
from bentsao.core.records import Message, Role
from bentsao.core.rows import RowError


def parse(row: Any) -> tuple[str, list[Message]]:
    """The form's name and the messages, in right order. Raises RowError where it is none, or not as it should be."""
    if not isinstance(row, dict):
        raise RowError("行", row, "每一行应是一个 JSON 对象。")
    for name, form in FORMS.items():
        if form.keys <= row.keys():
            messages = form.parse(row)
            _check_order(messages)
            return name, messages
    known = "；".join("+".join(sorted(form.keys)) for form in FORMS.values())
    raise RowError("行", sorted(map(str, row)), f"认不出这一行的格式。应有其中一组字段：{known}。")


def _check_order(messages: Sequence[Message]) -> None:
    turns = [m for m in messages if m.role != "system"]
    if any(m.role == "system" for m in messages[1:]):
        raise RowError("messages", [m.role for m in messages], "system 只能在最前面。")
    for number, message in enumerate(turns):
        wanted = "user" if number % 2 == 0 else "assistant"
        if message.role != wanted:
            raise RowError("messages", [m.role for m in messages], f"第 {number + 1} 轮应是 {wanted}：问与答须交替。")
    if not turns:
        raise RowError("messages", [m.role for m in messages], "没有用户的问题。")


_GLUED = re.compile(r"<(user|bot)>:\s*")


def _text(row: dict[str, Any], key: str, *, empty: bool = False) -> str:
    value = row.get(key)
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        raise RowError(key, value, "应是字符串。" if key in row else "缺少这个字段。")
    if not empty and not value.strip():
        raise RowError(key, value, "是空的。请补上内容或删去这一行。")
    return value


def _check_texts(row: dict[str, Any], question: str, answer: str) -> None:
    """Raises RowError for both of these texts, where both are wrong. A row may have no answer."""
    found: list[RowError] = []
    for key in (question, *([answer] if answer in row else [])):
        try:
            _text(row, key)
        except RowError as error:
            found.append(error)
    if found:
        found[0].others = tuple(found[1:])
        raise found[0]


def _alpaca(row: dict[str, Any]) -> list[Message]:
    """The original's rows (instruction, input, output), with LLaMA-Factory's system and history."""
    _check_texts(row, "instruction", "output")
    instruction = _text(row, "instruction")
    extra = _text(row, "input", empty=True).strip()
    messages: list[Message] = []
    if system := _text(row, "system", empty=True):
        messages.append(Message(role="system", content=system))
    for pair in _list(row, "history"):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) and x.strip() for x in pair)):
            raise RowError("history", pair, "每一项应是 [问, 答] 两个非空字符串。")
        messages += [Message(role="user", content=pair[0]), Message(role="assistant", content=pair[1])]
    if _GLUED.match(instruction.lstrip()):
        messages += _unglue(instruction)
    else:
        messages.append(Message(role="user", content=instruction, input=extra))
    return messages + _answer(row, "output")


def _unglue(instruction: str) -> list[Message]:
    """The original's dialogues: ` <user>: … <bot>: … <user>: …` in one string."""
    parts = _GLUED.split(instruction)[1:]
    roles: dict[str, Role] = {"user": "user", "bot": "assistant"}
    messages = [
        Message(role=roles[who], content=said.strip()) for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]
    for message in messages:
        if not message.content:
            raise RowError("instruction", instruction, "对话里有一轮是空的。")
    return messages


def _context_target(row: dict[str, Any]) -> list[Message]:
    """Med-ChatGLM's rows: context `问题：…\\n回答: `, target."""
    _check_texts(row, "context", "target")
    context = _text(row, "context").strip()
    question = re.sub(r"\s*回答\s*[:：]\s*$", "", re.sub(r"^问题\s*[:：]\s*", "", context)).strip()
    if not question:
        raise RowError("context", row["context"], "去掉“问题：”和“回答：”后是空的。")
    return [Message(role="user", content=question), *_answer(row, "target")]


def _openai(row: dict[str, Any]) -> list[Message]:
    """OpenAI's messages, which is also the project's own form."""
    roles: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
    return _turns(row, "messages", "role", "content", roles)


def _sharegpt(row: dict[str, Any]) -> list[Message]:
    """ShareGPT's conversations: from / value."""
    roles: dict[str, Role] = {
        "system": "system",
        "human": "user",
        "user": "user",
        "gpt": "assistant",
        "assistant": "assistant",
        "bot": "assistant",
    }
    messages = _turns(row, "conversations", "from", "value", roles)
    if system := _text(row, "system", empty=True):
        messages.insert(0, Message(role="system", content=system))
    return messages


def _pair(row: dict[str, Any]) -> list[Message]:
    """Plain question and answer."""
    _check_texts(row, "question", "answer")
    return [Message(role="user", content=_text(row, "question")), *_answer(row, "answer")]


@dataclass(frozen=True)
class Form:
    """A row form: the keys that tell it, the keys it may have besides, and how it becomes messages."""

    keys: frozenset[str]
    extra: frozenset[str]
    parse: Callable[[dict[str, Any]], list[Message]]


FORMS: dict[str, Form] = {
    "messages": Form(frozenset({"messages"}), frozenset({"evidence", "source", "made"}), _openai),
    "sharegpt": Form(frozenset({"conversations"}), frozenset({"system"}), _sharegpt),
    "alpaca": Form(frozenset({"instruction"}), frozenset({"input", "output", "system", "history"}), _alpaca),
    "med_chatglm": Form(frozenset({"context"}), frozenset({"target"}), _context_target),
    "question": Form(frozenset({"question"}), frozenset({"answer"}), _pair),
}
"""The row forms by name, looked through in this order."""


def _answer(row: dict[str, Any], key: str) -> list[Message]:
    """The answer as a message; none where the key is absent (a bare question)."""
    return [Message(role="assistant", content=_text(row, key))] if key in row else []


def _list(row: dict[str, Any], key: str) -> list[Any]:
    value = row.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise RowError(key, value, "应是数组。")
    return value


def _turns(row: dict[str, Any], key: str, role_key: str, text_key: str, roles: dict[str, Role]) -> list[Message]:
    messages: list[Message] = []
    for number, turn in enumerate(_list(row, key)):
        place = f"{key}[{number}]"
        if not isinstance(turn, dict):
            raise RowError(place, turn, "应是 JSON 对象。")
        role = turn.get(role_key)
        if not isinstance(role, str) or role not in roles:
            raise RowError(f"{place}.{role_key}", role, f"应是 {'、'.join(roles)} 之一。")
        content = turn.get(text_key)
        if isinstance(content, list):
            content = _joined_parts(content, f"{place}.{text_key}")
        if not isinstance(content, str):
            raise RowError(f"{place}.{text_key}", content, "应是字符串。")
        if not content.strip():
            raise RowError(f"{place}.{text_key}", content, "是空的。")
        extra = turn.get("input", "")
        if not isinstance(extra, str):
            raise RowError(f"{place}.input", extra, "应是字符串。")
        part = turn.get("part", "")
        if not isinstance(part, str):
            raise RowError(f"{place}.part", part, "应是字符串。")
        if part and part not in PARTS:
            raise RowError(f"{place}.part", part, f"应是 {'、'.join(PARTS)} 之一，或不写。")
        messages.append(Message(role=roles[role], content=content, input=extra, part=part))
    if not messages:
        raise RowError(key, row.get(key), "没有任何一轮对话。")
    return messages


def _joined_parts(parts: list[Any], place: str) -> str:
    """OpenAI's content parts: only text is understood."""
    texts: list[str] = []
    for part in parts:
        if not (isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise RowError(place, part, '只支持 {"type": "text"} 的内容。')
        texts.append(part["text"])
    return "".join(texts)
