"""From a question to the entities it is about and the attributes it asks for.

A cascade: the text is normalised; names are looked up as written, longest first; what is left over is looked up as
misspelt; what is found is ranked by how it was recognised and by whether it can have what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bentsao.core.files import cache_folder, sha256_text
from bentsao.knowledge.linking.attributes import PLAIN, Asked
from bentsao.knowledge.linking.index import Name, NameIndex, Owner
from bentsao.knowledge.linking.mentions import Mention, Reading, best_owners, read
from bentsao.knowledge.linking.misspellings import MARGIN, SURE, Slip, slips
from bentsao.knowledge.linking.offers import names_unknown, offers
from bentsao.knowledge.linking.records import Linked, LinkedAttribute, LinkedEntity, Match
from bentsao.knowledge.linking.words import KIND_WORDS
from bentsao.knowledge.normalise import Normalised, normalise
from bentsao.knowledge.schema import KINDS, Kind
from bentsao.knowledge.store import KnowledgeBase

_MATCHES: tuple[tuple[Match, float], ...] = (("exact", 1.0), ("alias", 0.97), ("variant", 0.92))
"""How an owner is called, and what that is worth."""

_HINTED, _UNFIT = 0.85, 0.6
"""What an entity is worth that can have only what is hinted at, and one that can have nothing of what is asked."""

_BROAD = 0.8
"""What a complaint is worth beside a name."""

_BESIDE_ILLNESS = 0.7
"""What an examination is worth beside an illness or complaint that can have what is asked."""

_HISTORY = 0.8
"""What the entity of an earlier question is worth."""

_ASKED_FIRST: dict[Kind, int] = {"drug": 0, "operation": 0, "disease": 1, "examination": 2}
"""Who asks of a drug names the illness along with it: of equal candidates the lower number comes first."""

_REMEMBERED = 8000
"""Characters of what was said before that are looked at, the last ones."""

_NAMED = 3
"""Characters of a question that its naming a kind (这个药) is worth."""

_NEXT_TO_NOTHING = 6
_MOST_ASKED_BACK = 4


@dataclass(frozen=True)
class _Candidate:
    """An entity that may be meant: the mention, how it was recognised, and what both are worth."""

    mention: Mention
    owner: Owner
    match: Match
    score: float


@dataclass(frozen=True)
class _Found:
    """What one text holds."""

    normalised: Normalised
    reading: Reading
    candidates: tuple[_Candidate, ...]
    doubts: tuple[str, ...]


class Linker:
    """Links questions to the entities of one knowledge base. May be shared by threads."""

    def __init__(self, index: NameIndex) -> None:
        self._index = index

    @staticmethod
    def build(names: Iterable[Name]) -> Linker:
        """A linker for these names, in memory."""
        return Linker(NameIndex.build(names))

    @staticmethod
    def for_kb(kb: KnowledgeBase, folder: Path | None = None) -> Linker:
        """A linker for a knowledge base. Its index is kept on disk and built again when the contents change.

        folder: where the indexes of all knowledge bases are kept; None: in the user's cache folder.
        """
        place = (folder or cache_folder() / "linking") / sha256_text(str(kb.path.resolve()))[:16]
        index = NameIndex.open(place, kb.version)
        if index is None:
            index = NameIndex.build(kb.names())
            with suppress(OSError):  # without a place to write it is built again the next time
                index.save(place, kb.version)
        return Linker(index)

    def link(self, question: str, history: Sequence[str] = ()) -> Linked:
        """What the question is about and what it asks for.

        history: what the person said before, oldest first: it says what 那怎么治？ is about, and what 那布洛芬呢 asks.
        """
        found = self._find(question)
        candidates, asking = found.candidates, found.reading
        if history and not candidates and not found.doubts and not names_unknown(found.reading):
            candidates = self._from_history(found, history)
        elif history and candidates and _elliptical(asking):
            earlier = (self._find(text).reading for text in _latest(history))
            asking = next((reading for reading in earlier if reading.strongest == PLAIN), asking)
        asked = asking.asked_of(candidates[0].owner.kind) if candidates else _asked_of_any(asking)
        return Linked(
            entities=tuple(_entity(question, found.normalised, candidate) for candidate in candidates),
            attributes=tuple(
                LinkedAttribute(name=name, score=round(score, 3)) for name, score in asked.attributes.items()
            ),
            ask_back=found.doubts or (() if candidates else offers(found.reading, self._index)),
        )

    def _find(self, text: str) -> _Found:
        normalised = normalise(text)
        reading = read(normalised.text, self._index)
        taken, unsure = self._misspelt(reading) if reading.unclear else ([], [])
        whole = [mention for mention in reading.mentions if not mention.partial]
        whole = [mention for mention in whole if not any(_overlap(mention, slip) for slip, _ in taken)]
        doubts = [owner.title for mention in reading.mentions if mention.partial for owner in mention.owners]
        candidates = [*map(_as_written, whole), *(_as_misspelt(slip, owners) for slip, owners in taken)]
        ranked = _ranked(candidates, reading)
        asked_back = dict.fromkeys([] if ranked else [*doubts, *unsure])
        if ranked:
            first = ranked[0]
            asked_back = dict.fromkeys(owner.title for owner in first.mention.owners if len(first.mention.owners) > 1)
        return _Found(normalised, reading, tuple(ranked), tuple(asked_back)[:_MOST_ASKED_BACK])

    def _misspelt(self, reading: Reading) -> tuple[list[tuple[Slip, tuple[Owner, ...]]], list[str]]:
        """The slips that are sure enough, with whom they call, and the names that are not."""
        taken: list[tuple[Slip, tuple[Owner, ...]]] = []
        unsure: list[str] = []
        left = slips(reading, self._index)
        while left:
            best, owners = left[0], best_owners(self._index.owners(left[0].number))
            rivals = [slip for slip in left[1:] if _overlap(slip, best)]
            left = [slip for slip in left[1:] if not _overlap(slip, best)]
            near = [slip for slip in rivals if slip.likeness > best.likeness - MARGIN and not _inside(slip, best)]
            others = [owner for slip in near for owner in best_owners(self._index.owners(slip.number))]
            titles = {owner.title for owner in owners}
            if best.likeness >= SURE and all(owner.title in titles for owner in others):
                taken.append((best, owners))
            else:
                unsure += [owner.title for owner in (*owners, *others)]
        return taken, unsure

    def _from_history(self, found: _Found, history: Sequence[str]) -> tuple[_Candidate, ...]:
        """The entity spoken of last that can have what is asked; none where nothing is asked of it."""
        if found.reading.strongest < PLAIN:
            return ()
        for text in _latest(history):
            for candidate in self._find(text).candidates:
                if found.reading.asked_of(candidate.owner.kind).strength == PLAIN:
                    score = candidate.score * _HISTORY
                    return (_Candidate(Mention(0, 0, "", candidate.mention.owners), candidate.owner, "history", score),)
        return ()


def _latest(history: Sequence[str]) -> Iterator[str]:
    """What was said before, the last first, as far as it is remembered."""
    left = _REMEMBERED
    for text in reversed(history):
        if left <= 0:
            return
        yield text[-left:]
        left -= len(text)


def _as_written(mention: Mention) -> _Candidate:
    match, worth = _MATCHES[mention.owners[0].how]
    return _Candidate(mention, mention.owners[0], match, worth)


def _as_misspelt(slip: Slip, owners: tuple[Owner, ...]) -> _Candidate:
    mention = Mention(slip.start, slip.end, slip.key, owners, slip.likeness)
    return _Candidate(mention, owners[0], "homophone" if slip.homophone else "misspelt", 0.95 * slip.likeness)


def _ranked(candidates: Iterable[_Candidate], reading: Reading) -> list[_Candidate]:
    """Best first, each entity once: an entity that can have what is asked before one that cannot, a name before a
    complaint, then in the order of the question.
    """
    candidates = list(candidates)
    kinds: set[Kind] = {owner.kind for candidate in candidates for owner in candidate.mention.owners}
    fits = {kind: _fit(reading, kind) for kind in kinds}
    weighed: list[_Candidate] = []
    if max(fits.get("disease", 0), fits.get("symptom", 0)) == 1:
        # 水肿要做CT吗 asks about the complaint, not about the examination.
        fits["examination"] = fits.get("examination", 1) * _BESIDE_ILLNESS
    for candidate in candidates:
        owner = max(candidate.mention.owners, key=lambda owner: fits[owner.kind])
        broad = _BROAD if candidate.mention.broad else 1.0
        score = candidate.score * fits[owner.kind] * broad
        weighed.append(_Candidate(candidate.mention, owner, candidate.match, score))
    weighed.sort(key=lambda one: (-round(one.score, 1), _ASKED_FIRST.get(one.owner.kind, 3), one.mention.start))
    first: dict[int, _Candidate] = {}
    for one in weighed:
        first.setdefault(one.owner.entity, one)
    return list(first.values())


def _fit(reading: Reading, kind: Kind) -> float:
    """What an entity of this kind is worth for what is asked."""
    strength = reading.asked_of(kind).strength
    if strength == reading.strongest:
        return 1.0
    return _HINTED if strength or reading.strongest < PLAIN else _UNFIT


def _asked_of_any(reading: Reading) -> Asked:
    """What is asked of an entity that is not known: of the kind that explains most of the question's words, or that it
    names (这个药, 综合征).
    """

    def worth(kind: Kind) -> tuple[float, int]:
        asked = reading.asked_of(kind)
        named = any(word in reading.text for word in KIND_WORDS.get(kind, ()))
        return asked.strength, asked.words + (_NAMED if named else 0)

    return reading.asked_of(max((kind for kind in KINDS if kind != "other"), key=worth))


def _elliptical(reading: Reading) -> bool:
    """Whether a question is a name and next to nothing else (那布洛芬呢？)."""
    named = sum(mention.end - mention.start for mention in reading.mentions)
    return len(reading.text) - named <= _NEXT_TO_NOTHING and reading.strongest < PLAIN and not any(reading.open)


def _inside(one: Slip, other: Slip) -> bool:
    return other.start <= one.start and one.end <= other.end and one.end - one.start < other.end - other.start


def _overlap(one: Mention | Slip, other: Slip) -> bool:
    return one.start < other.end and other.start < one.end


def _entity(question: str, normalised: Normalised, candidate: _Candidate) -> LinkedEntity:
    mention = candidate.mention
    start, end = normalised.span(mention.start, mention.end) if mention.end else (0, 0)
    return LinkedEntity(
        id=candidate.owner.entity,
        name=candidate.owner.title,
        kind=candidate.owner.kind,
        surface=question[start:end],
        start=start,
        end=end,
        score=round(candidate.score, 3),
        match=candidate.match,
        alternatives=tuple(owner.title for owner in mention.owners if owner is not candidate.owner),
    )
