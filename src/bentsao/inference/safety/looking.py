"""Looking at what a person says before anybody answers: an alarm for an emergency, a caution for who is at risk."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bentsao.core.records import Alarm, Message
from bentsao.inference.safety.lists import Lists, lists
from bentsao.inference.safety.reading import Hit, Turn, signs_now

TURNS = 3
"""How many of the person's last turns are looked at: who is spoken of, and what happened, is often said before."""

_OVER = re.compile(
    "(?:没事|好)了(?![吗么])|醒了|醒过来|开玩笑|骗你|闹着玩|虚惊|谢谢|在医院|到医院了|医生说|不是我|缓解了|换个(?:话题|问题)|另一个问题"
)
"""What ends an alarm of an earlier turn."""

_YES = re.compile("(?:有|是|对|嗯|会|确实)(?:的|点|一点|啊|呀|呢)*(?:[,。!]|$)")


def look(said: str | Sequence[Message]) -> Alarm | None:
    """The alarm to put before any answer to this, or None.

    said: what a person asks, or the conversation so far, which ends with it. Only what the person says is read, the
    last three turns of it; a model's words can neither raise nor stop an alarm, save as the question that 有 answers.
    """
    texts = [said] if isinstance(said, str) else _said_by_user(said)
    if not texts:
        return None
    known = lists()
    turns: list[Turn] = []
    for text in texts:
        turns.append(Turn(text, known, tuple(turns)))
    found = list(signs_now(turns))
    last = turns[-1]
    if not any(turn is last for _, turn, _ in found) and _OVER.search(last.text):
        return None
    if not found and not isinstance(said, str):
        found = _agreed_to(said, last, known)
    return _alarm(found, known) if found else None


def caution(said: str | Sequence[Message]) -> tuple[str, ...]:
    """What to bear in mind with any answer, behind it: the lines of cautions.toml (pregnancy, small children …)."""
    texts = [said] if isinstance(said, str) else _said_by_user(said)
    known = lists()
    found: set[int] = set()
    for text in texts:
        turn = Turn(text, known)
        if not turn.spans.get("fiction"):
            found |= {each.owner for each in known.caution_words.find(turn.text)}
    return tuple(known.cautions[number][1] for number in sorted(found))


def alarm_text(alarm: Alarm) -> str:
    """The alarm as plain text, to stand before an answer."""
    lines = [f"【急症提示】{alarm.title}", alarm.call, "等待时：", *(f"· {line}" for line in alarm.until)]
    return "\n".join([*lines, *(f"· {line}" for line in alarm.never)])


def with_alarm(alarm: Alarm | None, answer: str) -> str:
    """The answer with the alarm before it, for ways out that have text only."""
    return answer if alarm is None else f"{alarm_text(alarm)}\n\n{answer}"


def _said_by_user(messages: Sequence[Message]) -> list[str]:
    said = [f"{each.content}\n{each.input}" if each.input else each.content for each in messages if each.role == "user"]
    return said[-TURNS:]


def _agreed_to(messages: Sequence[Message], last: Turn, known: Lists) -> list[tuple[int, Turn, Hit]]:
    """The signs that the person was asked about, and says to be so."""
    places = [place for place, message in enumerate(messages) if message.role == "user"]
    if not _YES.match(last.text) or places[-1] == 0 or messages[places[-1] - 1].role != "assistant":
        return []
    asked = Turn(messages[places[-1] - 1].content, known)
    sentences = [match.span() for match in re.finditer(r"[^。!?\n]*(?:\?|吗|呢|没有[。\n]?$)", asked.text)]
    return [
        (hit.owner.kind, asked, hit)
        for hit in asked.hits
        if hit.owner.together < 0 and any(start <= hit.start < end for start, end in sentences)
    ]


def _alarm(found: Sequence[tuple[int, Turn, Hit]], known: Lists) -> Alarm:
    """One alarm for all that was found: the gravest kind's, with what the next one adds where the two do not clash."""
    numbers = sorted({number for number, _, _ in found})
    kinds = [known.kinds[number] for number in numbers]
    shown = [kind for kind in kinds[:2] if kind.posture in ("", kinds[0].posture) or not kinds[0].posture]
    words = dict.fromkeys(turn.words(hit) for number in numbers for owner, turn, hit in found if owner == number)
    return Alarm(
        kinds=tuple(kind.name for kind in kinds),
        words=tuple(words),
        title=shown[0].title,
        call=shown[0].call,
        until=tuple(line for kind in shown for line in kind.until),
        never=tuple(line for kind in shown for line in kind.never),
    )
