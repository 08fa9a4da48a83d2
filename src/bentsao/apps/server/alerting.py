"""The safety layer's words as they stand around an answer."""

from __future__ import annotations

from collections.abc import Sequence

from bentsao.apps.server.serving import Alert
from bentsao.core.records import Message
from bentsao.inference.safety import alarm_text, caution, look


def alert_of(messages: Sequence[Message]) -> Alert | None:
    """An emergency's advice goes before the answer, what to bear in mind goes after it; None where there is neither."""
    alarm, cautions = look(messages), caution(messages)
    if alarm is None and not cautions:
        return None
    return Alert(
        before="" if alarm is None else f"{alarm_text(alarm)}\n\n",
        after="".join(f"\n\n{line}" for line in cautions),
        data={} if alarm is None else alarm.model_dump(mode="json"),
    )
