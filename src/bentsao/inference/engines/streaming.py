"""The text of answers while they are written, never half a character."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class RowText:
    """The text of one answer. Its pieces join to the whole, except that bytes which make no character may differ."""

    def __init__(self, decode: Callable[[Sequence[int]], str], send: Callable[[int, str], None], row: int) -> None:
        self._decode = decode
        self._send = send
        self._row = row
        # New tokens are read behind those last sent: at the start of a text, a blank would be lost.
        self._sent: list[int] = []
        self._new: list[int] = []

    def add(self, token: int) -> None:
        """The next token."""
        self._new.append(token)
        # The bytes of a character may come in several tokens; until the last they read as U+FFFD.
        if (text := self._read()) and not text.endswith("\ufffd"):
            self._send(self._row, text)
            self._sent, self._new = self._new, []

    def end(self) -> None:
        """No more tokens come: what was held back is sent."""
        if text := self._read():
            self._send(self._row, text)

    def _read(self) -> str:
        known, text = self._decode(self._sent), self._decode(self._sent + self._new)
        return text[len(known) :] if text.startswith(known) else self._decode(self._new)
