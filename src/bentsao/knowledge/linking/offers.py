"""What a question calls by a name that the base does not have, and the names that hold it (细小: 犬细小病毒病)."""

from __future__ import annotations

from bentsao.knowledge.linking.index import NameIndex
from bentsao.knowledge.linking.mentions import Reading, names_something
from bentsao.knowledge.linking.words import ENDINGS

_MOST = 4
"""Entities that are offered at most: what stands in more names calls none of them."""

_SHORTEST, _LONGEST = 2, 8
"""Characters of what may be a shorter name."""

_QUESTION = 20
"""Characters of a question; a longer one tells a story, in which too much is like some name."""

_MORE = 5
"""Characters that the name has besides, at most."""


def offers(reading: Reading, index: NameIndex) -> tuple[str, ...]:
    """The own names of the entities whose names hold a stretch that may be a name; () where none or too many do."""
    for stretch in _stretches(reading) if len(reading.text) <= _QUESTION else ():
        titles: dict[str, None] = {}
        for number in index.holding(stretch):
            key = index.key(number)
            if len(key) - len(stretch) <= _MORE and names_something(key):
                titles |= dict.fromkeys(owner.title for owner in index.owners(number))
            if len(titles) > _MOST:
                break
        if 0 < len(titles) <= _MOST:
            return tuple(titles)
    return ()


def names_unknown(reading: Reading) -> bool:
    """Whether the question names something that the base does not have (那羊角疯病怎么治): it is not about what was
    spoken of before.
    """
    return any(stretch.endswith(ENDINGS) for stretch in _stretches(reading))


def _stretches(reading: Reading) -> list[str]:
    """What stands between words of more than one character, from the first unexplained on (细小 in 那细小)."""
    word = [not character.isalnum() for character in reading.text]
    for start, end in reading.words:
        word[start:end] = [True] * (end - start)
    found: list[str] = []
    start = 0
    for end in range(len(word) + 1):
        if end == len(word) or word[end]:
            begin = next((at for at in range(start, end) if reading.open[at]), end)
            if _SHORTEST <= end - begin <= _LONGEST:
                found.append(reading.text[begin:end])
            start = end + 1
    return found
