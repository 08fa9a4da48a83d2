"""Ratings that visitors give to answers, kept in a file on this machine where whoever runs the server allows it."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from pathlib import Path

from bentsao.apps.page.talk import Talk


class Feedback:
    """Appends ratings to a file, a line each."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass  # what cannot be written is found out before anyone rates
        self._path = path
        self._lock = threading.Lock()

    def keep(self, talk: Talk) -> None:
        """The rating of the last answer, with the question and the answer that it is about."""
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
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
