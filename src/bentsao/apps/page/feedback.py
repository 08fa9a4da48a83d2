"""Ratings that visitors give to answers, kept in a file on this machine where whoever runs the server allows it."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from pathlib import Path

from bentsao.apps.page.talk import Talk
from bentsao.core.errors import ConfigError

LARGEST = 100_000_000
"""Bytes of the file, past which no more ratings are kept: anybody may rate, as often as they like."""


class Feedback:
    """Appends ratings to a file, a line each. largest: bytes past which it does not grow."""

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass  # what cannot be written is found out before anyone rates
        self._path = path
        self._largest = largest
        self._lock = threading.Lock()

    def keep(self, talk: Talk) -> None:
        """The rating of the last answer, with the question and the answer that it is about. Raises ConfigError where
        the file is full.
        """
        turn = talk.turns[-1]
        row = {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "talk": talk.id,
            "turn": len(talk.turns),
            "rating": turn.rating,
            "model": turn.model,
            "question": turn.question,
            "answer": turn.text,
            "evidence": [item.model_dump(mode="json") for item in turn.evidence],
        }
        with self._lock, self._path.open("a", encoding="utf-8", newline="\n") as out:
            if out.tell() > self._largest:
                raise ConfigError(f"评价已满 {self._largest / 1e6:.0f} MB，不再记录。请管理员移走 {self._path.name}。")
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
