"""A conversation with an engine, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bentsao.core.errors import ConfigError
from bentsao.core.files import write_jsonl
from bentsao.core.records import Alarm, Answer, Conversation, Message, Question
from bentsao.inference.answers import answer_to
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, fitted_prompt
from bentsao.inference.safety import look


class Session:
    """A multi-turn conversation.

    messages: all that was said, also what no longer fits in the context.
    forgotten: how many of the oldest turns the last question was answered without.
    """

    def __init__(self, engine: Engine, decoding: Decoding, *, system: str | None = None) -> None:
        self._engine = engine
        self._decoding = decoding
        self._lead = [Message(role="system", content=system)] if system else []
        self._saved = SavedFiles()
        self.reset()

    def reset(self) -> None:
        """Begin anew; what the system message says stays."""
        self._turns: list[Message] = []
        self.forgotten = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, system message first."""
        return (*self._lead, *self._turns)

    def alarm(self, text: str) -> Alarm | None:
        """What to show before the answer to what the user says next; known before any model is asked."""
        return look([*self.messages, Message(role="user", content=text)])

    def ask(self, text: str, on_text: Callable[[str], None] | None = None) -> Answer:
        """The answer to what the user says next. When it is interrupted, nothing is added to the conversation.

        on_text is given the answer in pieces while it is written. Raises ModelError for a question longer than the
        context.
        """
        started = time.perf_counter()
        asked = Message(role="user", content=text)
        number = str(len(self._turns) // 2 + 1)
        question = Question(id=number, group=number, messages=(*self.messages, asked))
        # What was forgotten once stays forgotten, so that a long conversation is not fitted from its start each time.
        kept = [*self._lead, *self._turns[2 * self.forgotten :], asked]
        prompt, dropped = fitted_prompt(self._engine, kept, self._decoding)
        on_row = None if on_text is None else lambda _row, piece: on_text(piece)
        (generated,) = self._engine.generate([prompt], self._decoding, on_text=on_row)
        seconds = time.perf_counter() - started
        answer = answer_to(
            question, generated.text, finish=generated.finish, tokens=len(generated.ids), seconds=seconds
        )
        self._turns += [asked, Message(role="assistant", content=answer.text)]
        self.forgotten += dropped // 2
        return answer

    def save(self, path: Path) -> int:
        """Write the conversation as one line of the project's own JSONL, which can be learnt from again.

        Turns without words, such as an empty answer, teach nothing and are left out; returns how many they were.
        Raises ConfigError if nothing was said yet, or if the file is there and was not written by this session.
        """
        return self._saved.save(path, self.messages)


class SavedFiles:
    """The files that one session has saved its conversation to, which it alone may write again."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()

    def save(self, path: Path, messages: Sequence[Message]) -> int:
        """Write the messages as one conversation. Errors as `Session.save`."""
        path = path.expanduser().resolve()
        lead = [message for message in messages if message.role == "system"]
        turns = [message for message in messages if message.role != "system"]
        pairs = list(zip(turns[::2], turns[1::2], strict=True))
        kept = [pair for pair in pairs if all(message.content.strip() for message in pair)]
        if not kept:
            raise ConfigError("还没有对话可以保存。" if not pairs else "所有的回答都是空的，没有可以保存的对话。")
        if path.exists() and path not in self._paths:
            raise ConfigError(f"{path} 已经存在，没有覆盖它。请换一个文件名。")
        said = (*lead, *(message for pair in kept for message in pair))
        conversation = Conversation(id=path.stem, group=path.stem, messages=said)
        write_jsonl(path, [conversation.model_dump(exclude_defaults=True)])
        self._paths.add(path)
        return len(pairs) - len(kept)
