"""Stop words in text that comes in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class StopText:
    """Hands a text on up to the first stop word, however it is cut into pieces; what may begin one is held back.

    The first word is the one that is complete first (of several, the longest). trim: blanks around the whole are left
    out. `stopped` says whether a stop word came; what is added after it is dropped.
    """

    def __init__(self, words: Sequence[str], send: Callable[[str], None], *, trim: bool = False) -> None:
        self._words = [word for word in words if word]
        self._send = send
        self._trim = trim
        self._held = ""
        self._sent = False
        self.stopped = False

    def add(self, piece: str) -> None:
        """The next piece of the text."""
        if self.stopped:
            return
        self._held += piece
        if (end := self._first()) is not None:
            self._held = self._held[:end]
            self.stopped = True
            self._let_go(len(self._held), last=True)
        else:
            self._let_go(len(self._held) - self._open(), last=False)

    def end(self) -> None:
        """No more pieces come: what was held back is sent."""
        if not self.stopped:
            self._let_go(len(self._held), last=True)

    def _first(self) -> int | None:
        """Where the text before the first stop word ends."""
        found = [(at + len(word), at) for word in self._words if (at := self._held.find(word)) >= 0]
        return min(found)[1] if found else None

    def _open(self) -> int:
        """The length of the longest end of the text that a stop word begins with."""
        longest = max((len(word) for word in self._words), default=0) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(word.startswith(self._held[-length:]) for word in self._words):
                return length
        return 0

    def _let_go(self, count: int, *, last: bool) -> None:
        text, rest = self._held[:count], self._held[count:]
        if self._trim:
            text = text if self._sent else text.lstrip()
            kept = text.rstrip()
            text, rest = kept, "" if last else text[len(kept) :] + rest
        self._held = rest
        if text:
            self._sent = True
            self._send(text)
