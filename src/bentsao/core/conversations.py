"""Reading conversations and questions in every form the field uses.

Forms are told apart by their keys, row by row; `FORMS` below is the list. A file with faults gives all of them at once
(DataError), each with line, field and value. What is not a fault but was left aside is counted in `Reading`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.core.errors import DataError, Fault
from bentsao.core.files import Place, iterate_json, read_text, sha256_text
from bentsao.core.grounding import PARTS
from bentsao.core.records import Conversation, Message, Question, Role, Source


@dataclass
class Reading:
    """What a file held. `forms` counts rows by form, `unused` counts fields that no form knows."""

    conversations: list[Conversation]
    forms: Counter[str] = field(default_factory=Counter[str])
    unused: Counter[str] = field(default_factory=Counter[str])


class _RowError(Exception):
    def __init__(self, key: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.key, self.value, self.reason = key, value, reason


def read_conversations(path: Path) -> Reading:
    """Conversations to learn from: every row must end with an answer.

    Raises DataError with all faults of the file, MissingError if there is no file.
    """
    reading = Reading([])
    faults: list[Fault] = []
    first: dict[str, Place] = {}
    for place, row in iterate_json(path):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        try:
            conversation = _conversation(place, row, reading)
        except _RowError as error:
            faults.append(place.fault(error.key, error.value, error.reason))
            continue
        reading.conversations.append(conversation)
        before = first.setdefault(conversation.id, place)
        if before is not place:
            where = f"第 {before.row} {'行' if before.item is None else '项'}"
            faults.append(place.fault("id", conversation.id, f"与{where}重复。"))
    if not faults and not reading.conversations:
        faults.append(Fault(str(path), None, "行", "", "文件里没有任何数据。"))
    if faults:
        raise DataError(faults)
    return reading


def read_questions(path: Path) -> list[Question]:
    """Questions to be answered: conversations (the last answer is the reference), bare questions, or lines of text.

    Raises DataError with all faults of the file, MissingError if there is no file.
    """
    if path.suffix.lower() not in (".json", ".jsonl") and read_text(path).lstrip()[:1] not in ("{", "["):
        return _lines_as_questions(path)
    questions: list[Question] = []
    faults: list[Fault] = []
    for place, row in iterate_json(path):
        if isinstance(row, Fault):
            faults.append(row)
            continue
        try:
            questions.append(_question(place, row))
        except _RowError as error:
            faults.append(place.fault(error.key, error.value, error.reason))
    if not faults and not questions:
        faults.append(Fault(str(path), None, "行", "", "文件里没有任何问题。"))
    if faults:
        raise DataError(faults)
    return _with_unique_ids(questions)


def merge_prefixes(conversations: Sequence[Conversation]) -> tuple[list[Conversation], int]:
    """Without those that are the beginning of another one (or its copy), whose turns are learnt there; and how many.

    A conversation that is exactly equal to an earlier one counts as its beginning. The order is kept.
    """
    longest: set[tuple[tuple[str, ...], ...]] = set()
    keys = [tuple((m.role, m.content, m.input, m.part) for m in c.messages) for c in conversations]
    for key in sorted(set(keys), key=len, reverse=True):
        if key not in longest:
            longest.update(key[:size] for size in range(1, len(key)))
    kept: list[Conversation] = []
    seen: set[tuple[tuple[str, ...], ...]] = set()
    for conversation, key in zip(conversations, keys, strict=True):
        if key not in longest and key not in seen:
            seen.add(key)
            kept.append(conversation)
    return kept, len(conversations) - len(kept)


# --- forms -----------------------------------------------------------------------------------------------------------

_GLUED = re.compile(r"<(user|bot)>:\s*")


def _text(row: dict[str, Any], key: str, *, empty: bool = False) -> str:
    value = row.get(key)
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        raise _RowError(key, value, "应是字符串。" if key in row else "缺少这个字段。")
    if not empty and not value.strip():
        raise _RowError(key, value, "是空的。请补上内容或删去这一行。")
    return value


def _alpaca(row: dict[str, Any]) -> list[Message]:
    """The original's rows (instruction, input, output), with LLaMA-Factory's system and history."""
    instruction = _text(row, "instruction")
    extra = _text(row, "input", empty=True).strip()
    messages: list[Message] = []
    if system := _text(row, "system", empty=True):
        messages.append(Message(role="system", content=system))
    for pair in _list(row, "history"):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) and x.strip() for x in pair)):
            raise _RowError("history", pair, "每一项应是 [问, 答] 两个非空字符串。")
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
            raise _RowError("instruction", instruction, "对话里有一轮是空的。")
    return messages


def _context_target(row: dict[str, Any]) -> list[Message]:
    """Med-ChatGLM's rows: context `问题：…\\n回答: `, target."""
    context = _text(row, "context").strip()
    question = re.sub(r"\s*回答\s*[:：]\s*$", "", re.sub(r"^问题\s*[:：]\s*", "", context)).strip()
    if not question:
        raise _RowError("context", row["context"], "去掉“问题：”和“回答：”后是空的。")
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
        raise _RowError(key, value, "应是数组。")
    return value


def _turns(row: dict[str, Any], key: str, role_key: str, text_key: str, roles: dict[str, Role]) -> list[Message]:
    messages: list[Message] = []
    for number, turn in enumerate(_list(row, key)):
        place = f"{key}[{number}]"
        if not isinstance(turn, dict):
            raise _RowError(place, turn, "应是 JSON 对象。")
        role = turn.get(role_key)
        if not isinstance(role, str) or role not in roles:
            raise _RowError(f"{place}.{role_key}", role, f"应是 {'、'.join(roles)} 之一。")
        content = turn.get(text_key)
        if isinstance(content, list):
            content = _joined_parts(content, f"{place}.{text_key}")
        if not isinstance(content, str):
            raise _RowError(f"{place}.{text_key}", content, "应是字符串。")
        if not content.strip():
            raise _RowError(f"{place}.{text_key}", content, "是空的。")
        extra = turn.get("input", "")
        if not isinstance(extra, str):
            raise _RowError(f"{place}.input", extra, "应是字符串。")
        part = turn.get("part", "")
        if not isinstance(part, str):
            raise _RowError(f"{place}.part", part, "应是字符串。")
        if part and part not in PARTS:
            raise _RowError(f"{place}.part", part, f"应是 {'、'.join(PARTS)} 之一，或不写。")
        messages.append(Message(role=roles[role], content=content, input=extra, part=part))
    if not messages:
        raise _RowError(key, row.get(key), "没有任何一轮对话。")
    return messages


def _joined_parts(parts: list[Any], place: str) -> str:
    """OpenAI's content parts: only text is understood."""
    texts: list[str] = []
    for part in parts:
        if not (isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise _RowError(place, part, '只支持 {"type": "text"} 的内容。')
        texts.append(part["text"])
    return "".join(texts)


# --- rows ------------------------------------------------------------------------------------------------------------


def _parse(row: Any) -> tuple[str, list[Message]]:
    if not isinstance(row, dict):
        raise _RowError("行", row, "每一行应是一个 JSON 对象。")
    for name, form in FORMS.items():
        if form.keys <= row.keys():
            messages = form.parse(row)
            _check_order(messages)
            return name, messages
    known = "；".join("+".join(sorted(form.keys)) for form in FORMS.values())
    raise _RowError("行", sorted(map(str, row)), f"认不出这一行的格式。应有其中一组字段：{known}。")


def _check_order(messages: Sequence[Message]) -> None:
    turns = [m for m in messages if m.role != "system"]
    if any(m.role == "system" for m in messages[1:]):
        raise _RowError("messages", [m.role for m in messages], "system 只能在最前面。")
    for number, message in enumerate(turns):
        wanted = "user" if number % 2 == 0 else "assistant"
        if message.role != wanted:
            raise _RowError("messages", [m.role for m in messages], f"第 {number + 1} 轮应是 {wanted}：问与答须交替。")
    if not turns:
        raise _RowError("messages", [m.role for m in messages], "没有用户的问题。")


def _conversation(place: Place, row: Any, reading: Reading) -> Conversation:
    form, messages = _parse(row)
    if messages[-1].role != "assistant":
        missing = {"alpaca": "output", "med_chatglm": "target", "question": "answer"}.get(form, "messages")
        raise _RowError(missing, row.get(missing), "没有回答：训练数据的最后一轮应是回答。")
    known = {*FORMS[form].keys, *FORMS[form].extra, "id", "group"}
    reading.forms[form] += 1
    reading.unused.update(str(key) for key in row if key not in known)
    own = {key: row[key] for key in ("evidence", "source", "made") if form == "messages" and key in row}
    try:
        return Conversation.model_validate(
            {
                "id": _identifier(place, row),
                "group": _group(row, messages),
                "messages": messages,
                "source": Source(name=Path(place.file).name, file=Path(place.file).name, row=place.row),
                **own,
            }
        )
    except ValueError as error:
        raise _RowError("evidence/source/made", own, f"不合规范：{error}") from None


def _question(place: Place, row: Any) -> Question:
    if isinstance(row, dict):  # an unlabelled row often has its answer's field, empty
        row = {k: v for k, v in row.items() if k not in ("output", "target", "answer") or v not in (None, "")}
    _, messages = _parse(row)
    reference = None
    if messages[-1].role == "assistant":
        reference = messages.pop().content
    return Question(
        id=_identifier(place, row), group=_group(row, messages), messages=tuple(messages), reference=reference
    )


def _identifier(place: Place, row: dict[str, Any]) -> str:
    """The row's own id where it is text, else the file's name and the row (the original numbers some rows, twice)."""
    value = row.get("id")
    return value if isinstance(value, str) and value else f"{Path(place.file).stem}:{place.row}"


def _group(row: dict[str, Any], messages: Sequence[Message]) -> str:
    """The row's own group, else its first question: what begins alike stays together when data is split."""
    value = row.get("group")
    if isinstance(value, str) and value:
        return value
    first = next(m for m in messages if m.role == "user")
    return "q:" + sha256_text(first.content.strip())[:16]


def _lines_as_questions(path: Path) -> list[Question]:
    """A question a line; a first line that is only the column's name (`input`, `question`) is not one."""
    questions: list[Question] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        text = line.strip()
        if not text or (number == 1 and text.lower() in ("input", "question", "instruction", "问题")):
            continue
        message = Message(role="user", content=text)
        questions.append(Question(id=f"{path.stem}:{number}", group=_group({}, [message]), messages=(message,)))
    if not questions:
        raise DataError([Fault(str(path), None, "行", "", "文件里没有任何问题。")])
    return questions


def _with_unique_ids(questions: Sequence[Question]) -> list[Question]:
    """Questions are asked by id, so a repeated id gets its occurrence's number."""
    seen: Counter[str] = Counter()
    out: list[Question] = []
    for question in questions:
        seen[question.id] += 1
        count = seen[question.id]
        out.append(question if count == 1 else question.model_copy(update={"id": f"{question.id}~{count}"}))
    return out
