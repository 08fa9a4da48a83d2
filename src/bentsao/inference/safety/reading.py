"""What a person says, read for signs of an emergency: which are there, and whether they are meant as here and now."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bentsao.inference.safety.lists import CONTEXTS, Lists, Owner
from bentsao.inference.safety.patterns import CLAUSE_ENDS, SENTENCE_ENDS
from bentsao.knowledge.normalise import Normalised, normalise

_BLANKS = re.compile(r"(?<=[^\x00-\x7f])[ \t\u3000]+(?=[^\x00-\x7f])")
_TAKEN_OUT = "\ue0ff"
"""Stands for each character of what is no sign (harmless wordings, what only looks like a denial)."""

_LONGEST = 2000
"""Characters of a turn that are read from its beginning, and from its end. Longer turns are papers, not calls."""

_CLAUSE = 60
"""Characters of a clause that are searched for a denial. Without an end to it, a text of nothing but signs costs the
square of its length.
"""

_PREVENTED = re.compile("(?:预防|防止|避免|以防|谨防)$")
"""What stands right before a sign that nobody has, whatever else is said of today."""

_AGAIN = re.compile("又|再次|这次|这回|还在|仍然|还是|至今|加重")
"""What after a sign of another time says that it is so again."""

_OVER = re.compile("史|过$|过的?病|既往|[做装植放换]过?了?[^,]{0,6}(?:手术|支架|搭桥|起搏器|瓣膜)")
"""What in a clause of another time says that it is over with the clause."""

_TERM = 2
"""Characters of a sign that may be a mere term; a longer one describes what somebody sees or feels."""

_SELF_HARM = "自杀自伤"


@dataclass(frozen=True)
class Hit:
    """A sign found: whose, and from where to where in the turn."""

    owner: Owner
    start: int
    end: int


@dataclass
class Turn:
    """One thing that a person said. earlier: what the same person said before, for who is spoken of."""

    said: str
    lists: Lists
    earlier: Sequence[Turn] = ()
    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict[str, list[tuple[int, int]]])
    _denied: dict[int, bool] = field(default_factory=dict[int, bool])

    def __post_init__(self) -> None:
        said = self.said if len(self.said) <= 2 * _LONGEST else f"{self.said[:_LONGEST]}\n{self.said[-_LONGEST:]}"
        self.said = said
        # A blank between Chinese words parts clauses, which `normalise` would not keep.
        self.written: Normalised = normalise(_BLANKS.sub(lambda found: "，" * len(found.group()), said))
        self.text = self._mended(self.written.text)
        for found in self.lists.contexts.find(self.text):
            self.spans.setdefault(CONTEXTS[found.owner], []).append((found.start, found.end))

    def _mended(self, text: str) -> str:
        """With common misspellings put right, where they are as long as the word, and harmless wordings taken out."""
        text = self.lists.misspelt_words.sub(
            lambda found: right if len(right := self.lists.misspelt[found.group()]) == len(found.group()) else found[0],
            text,
        )
        for found in self.lists.harmless.find(text):
            text = text[: found.start] + _TAKEN_OUT * (found.end - found.start) + text[found.end :]
        return text

    @cached_property
    def hits(self) -> tuple[Hit, ...]:
        """Signs in this turn, whatever is said of them; of those with one end (吐 in 呕吐) the longest."""
        found = self.lists.signs.find(self.text)
        longest: dict[tuple[int, int], int] = {}
        for each in found:
            longest.setdefault((each.owner, each.end), each.start)  # from left to right: the first is the longest
        return tuple(
            Hit(self.lists.owners[each.owner], each.start, each.end)
            for each in found
            if longest[each.owner, each.end] == each.start
        )

    def words(self, hit: Hit) -> str:
        """The sign as the person wrote it."""
        start, end = self.written.span(hit.start, hit.end)
        return self.said[start:end]

    # ---- whether it is meant --------------------------------------------------------------------------------------

    def is_there(self, hit: Hit) -> bool:
        """Whether the sign is said to be so, and not only at another time or in a story."""
        return not (self._is_fiction(hit) or self._is_pet(hit) or self._is_denied(hit) or self._is_past(hit))

    def is_now(self, hit: Hit) -> bool:
        """Whether somebody is in it now, as far as the words tell."""
        if not self.is_there(hit) or self._is_supposed(hit) or self._is_asked_about(hit):
            return False
        return not hit.owner.illness or self._is_somebodys(hit)

    def _is_fiction(self, hit: Hit) -> bool:
        # 论文写不完，我想自杀: who speaks of their own death is believed, whatever it is about besides.
        if self._name(hit) == _SELF_HARM and "我" in self.text[self._start(hit.start, CLAUSE_ENDS) : hit.start]:
            return False
        return bool(self.spans.get("fiction")) or (
            any(turn.spans.get("fiction") for turn in self.earlier) and "我" not in self.text
        )

    def _is_pet(self, hit: Hit) -> bool:
        clause = self._start(hit.start, SENTENCE_ENDS)
        return any(
            self.text[start - 1 : start] not in tuple("被让给遛养喂像")
            for start, _ in self._within("pets", clause, hit.start)
        )

    def _is_denied(self, hit: Hit) -> bool:
        if hit.start not in self._denied:
            before = self.text[max(self._start(hit.start, CLAUSE_ENDS), hit.start - _CLAUSE) : hit.start]
            before = self.lists.not_denied.sub(lambda found: _TAKEN_OUT * len(found.group()), before)
            self._denied[hit.start] = self.lists.denials.reach_the_end(before)
        after = self.text[hit.end : min(self._end(hit.end, CLAUSE_ENDS), hit.end + _CLAUSE)]
        return self._denied[hit.start] or bool(self.lists.gone.match(after))

    def _is_past(self, hit: Hit) -> bool:
        start, end = self._start(hit.start, SENTENCE_ENDS), self._end(hit.end, SENTENCE_ENDS)
        clause_end = self._end(hit.end, CLAUSE_ENDS)
        past = [span[0] for span in self._within("past", start, clause_end) if self._reaches(span, hit)]
        after = any(place <= hit.end + 4 for place, _ in self._within("past_after", hit.end, clause_end))
        if self._within("cleared", hit.end, len(self.text)):
            return True
        resolved = [span for span in self._within("resolved", 0, len(self.text)) if not self._operated(span, hit)]
        now = self._within("now", start, end)
        if past or after:
            last = max((place for place in past if place < hit.start), default=start)
            if any(last < place < hit.start for place, _ in now):
                return False
            return not _AGAIN.search(self.text, hit.end, end) or bool(resolved)
        return bool(resolved) and not now and not self._within("sudden", start, end)

    def _reaches(self, span: tuple[int, int], hit: Hit) -> bool:
        """Whether a word of another time is said of the sign, which may stand some clauses on.

        三年前胸痛，喘不上气 tells of then to its end; what is over with its clause (冠心病病史，胸口疼) does not.
        """
        if hit.start <= span[0] < hit.end:
            return False
        clause = self._start(hit.start, CLAUSE_ENDS)
        if span[0] >= clause:
            return True
        own = self.text[span[0] : self._end(span[0], CLAUSE_ENDS)]
        return not _OVER.search(own)

    def _operated(self, span: tuple[int, int], hit: Hit) -> bool:
        """术后胸痛, 心脏手术后胸痛: an operation before the sign, or within it, heals nothing of it."""
        return span[0] < hit.end and self.text[span[0] : span[1]].endswith("术后")

    def _is_supposed(self, hit: Hit) -> bool:
        sentence, clause = self._start(hit.start, SENTENCE_ENDS), self._start(hit.start, CLAUSE_ENDS)
        if _PREVENTED.search(self.text[clause : hit.start]):
            return True
        if self._within("now", sentence, hit.start):
            return False
        own_harm = self._name(hit) == _SELF_HARM
        if self._within("conditions", sentence, hit.start) and not own_harm:
            return True
        supposed = self._within("supposed", clause, hit.start)
        if supposed and not (own_harm and self._somebody(clause, hit.start, "person")):
            return True
        after = self._within("supposed_after", hit.end, hit.end + 6)
        return bool(after) and not own_harm and not self._somebody(clause, hit.start, "own")

    def _is_asked_about(self, hit: Hit) -> bool:
        """Whether it is a question of knowledge, with no sign of a person who is in it."""
        start, end = self._start(hit.start, SENTENCE_ENDS), self._end(hit.end, SENTENCE_ENDS)
        if self._somebody(self._start(hit.start, CLAUSE_ENDS), hit.start, "own"):
            return False
        somebody, now = self._anybody(), self._is_recent(hit, start, end)
        if self._within("hard", start, end + 1):
            return not (somebody and now)
        plain = hit.owner.together < 0 and (hit.owner.illness or hit.end - hit.start <= _TERM)
        return plain and bool(self._within("soft", start, end + 1)) and not (somebody or now)

    def _is_somebodys(self, hit: Hit) -> bool:
        """Whether an illness is said of a person as happening now."""
        if self._within("after_illness", hit.end, hit.end + 4) or not self._anybody():
            return False
        start, end = self._start(hit.start, SENTENCE_ENDS), self._end(hit.end, SENTENCE_ENDS)
        return self._is_recent(hit, start, end) or bool(self._within("suspected", start, end))

    # ---- where things stand ---------------------------------------------------------------------------------------

    def _is_recent(self, hit: Hit, start: int, end: int) -> bool:
        recent = self._within("now", start, end) or self._within("sudden", start, end)
        return bool(recent) or "了" in self.text[hit.end - 1 : hit.end + 3]

    def _anybody(self) -> bool:
        return self._somebody(0, len(self.text), "person") or any(
            turn._somebody(0, len(turn.text), "person") for turn in self.earlier
        )

    def _somebody(self, start: int, end: int, which: str) -> bool:
        others = self.spans.get("not_person", [])
        return any(
            not any(begin <= place < stop for begin, stop in others) for place, _ in self._within(which, start, end)
        )

    def _within(self, which: str, start: int, end: int) -> list[tuple[int, int]]:
        """Where words of a context begin between two places."""
        return [span for span in self.spans.get(which, ()) if start <= span[0] < end]

    def _start(self, at: int, ends: str) -> int:
        places = self._ends[ends]
        before = bisect_left(places, at)
        return places[before - 1] + 1 if before else 0

    def _end(self, at: int, ends: str) -> int:
        places = self._ends[ends]
        after = bisect_left(places, at)
        return places[after] if after < len(places) else len(self.text)

    @cached_property
    def _ends(self) -> dict[str, list[int]]:
        """Where clauses and sentences end."""
        return {
            ends: [place for place, character in enumerate(self.text) if character in ends]
            for ends in (CLAUSE_ENDS, SENTENCE_ENDS)
        }

    def _name(self, hit: Hit) -> str:
        return self.lists.kinds[hit.owner.kind].name


def signs_now(turns: Sequence[Turn]) -> Iterator[tuple[int, Turn, Hit]]:
    """The signs that count in what was said, oldest turn first: the kind's number, the turn and the sign."""
    together: dict[tuple[int, int], dict[int, tuple[Turn, Hit, bool]]] = {}
    for turn in turns:
        for hit in turn.hits:
            owner = hit.owner
            if owner.together < 0:
                if turn.is_now(hit):
                    yield owner.kind, turn, hit
            elif turn.is_there(hit):
                found = together.setdefault((owner.kind, owner.together), {})
                found.setdefault(owner.group, (turn, hit, turn.is_now(hit)))
    for (kind, place), found in together.items():
        # Any of them asked about as here and now makes all of them so: the others say of whom.
        if len(found) == turns[0].lists.groups[kind, place] and all(now for *_, now in found.values()):
            turn, hit, _ = found[max(found)]
            yield kind, turn, hit
