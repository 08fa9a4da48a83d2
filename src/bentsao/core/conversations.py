"""Reading conversations and questions in every form the field uses.

Forms are told apart by their keys, row by row; `row_forms.py` has the list. A file with faults gives all of them at
once (DataError), each with line, field and value. What is not a fault but was left aside is counted in `Reading`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.core.errors import DataError, Fault
from bentsao.core.files import Place, read_text, sha256_text
from bentsao.core.records import Conversation, Message, Question, Source
from bentsao.core.row_forms import FORMS, parse
from bentsao.core.rows import RowError, read_rows


@dataclass
class Reading:
    """What a file held. `forms` counts rows by form, `unused` counts fields that no form knows."""

    conversations: list[Conversation]
    forms: Counter[str] = field(default_factory=Counter[str])
    unused: Counter[str] = field(default_factory=Counter[str])


def read_conversations(path: Path) -> Reading:
    """Conversations to learn from: every row must end with an answer.

    Raises DataError with all faults of the file, MissingError if there is no file.
    """
    reading = Reading([])
    reading.conversations += read_rows(
        path,
        lambda place, row: _conversation(place, row, reading),
        key=lambda one: one.id,
        nothing="文件里没有任何数据。",
    )
    return reading


def read_questions(path: Path) -> list[Question]:
    """Questions to be answered: conversations (the last answer is the reference), bare questions, or lines of text.

    Raises DataError with all faults of the file, MissingError if there is no file.
    """
    if path.suffix.lower() not in (".json", ".jsonl") and read_text(path).lstrip()[:1] not in ("{", "["):
        return _lines_as_questions(path)
    return _with_unique_ids(read_rows(path, _question, nothing="文件里没有任何问题。"))


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


def _conversation(place: Place, row: Any, reading: Reading) -> Conversation:
    form, messages = parse(row)
    if messages[-1].role != "assistant":
        missing = {"alpaca": "output", "med_chatglm": "target", "question": "answer"}.get(form, "messages")
        raise RowError(missing, row.get(missing), "没有回答：训练数据的最后一轮应是回答。")
    known = {*FORMS[form].keys, *FORMS[form].extra, "id", "group"}
    reading.forms[form] += 1
    reading.unused.update(str(key) for key in row if key not in known)
    own = {key: row[key] for key in ("evidence", "source", "made") if form == "messages" and key in row}
    return Conversation.model_validate(
        {
            "id": _identifier(place, row),
            "group": _group(row, messages),
            "messages": messages,
            "source": Source(name=Path(place.file).name, file=Path(place.file).name, row=place.row),
            **own,
        }
    )


def _question(place: Place, row: Any) -> Question:
    if isinstance(row, dict):  # an unlabelled row often has its answer's field, empty
        row = {k: v for k, v in row.items() if k not in ("output", "target", "answer") or v not in (None, "")}
    _, messages = parse(row)
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
