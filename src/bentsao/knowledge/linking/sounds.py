"""How characters sound: toneless syllables, and syllables that many speakers do not tell apart."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

ALIKE: tuple[tuple[str, str], ...] = (
    ("zh", "z"),
    ("ch", "c"),
    ("sh", "s"),
    ("^n(?!g)", "l"),
    ("ang$", "an"),
    ("eng$", "en"),
    ("ing$", "in"),
)
"""Sounds that are taken for one another (patterns in a syllable, and what they become)."""

_FIRST_SYLLABLE = 0xE000
"""Syllables are numbered from here, in a range that no written character uses, so that both fit one array."""

_TONES = str.maketrans("āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜüńňǹḿ", "aaaaeeeeiiiioooouuuuvvvvvnnnm")


def sound_table() -> NDArray[np.uint16]:
    """For each character up to U+FFFF its syllable, exactly (row 0) and as loosely heard (row 1).

    A character that is not Chinese sounds like nothing but itself.
    """
    from pypinyin.pinyin_dict import pinyin_dict  # a tenth of a second, needed only when names are indexed

    table = np.tile(np.arange(1 << 16, dtype=np.uint16), (2, 1))
    numbers: dict[str, int] = {}
    for code, readings in pinyin_dict.items():
        if code < 1 << 16:
            syllable = readings.split(",")[0].translate(_TONES)
            loose = syllable
            for heard, taken_for in ALIKE:
                loose = re.sub(heard, taken_for, loose)
            for row, sound in enumerate((syllable, loose)):
                table[row, code] = _FIRST_SYLLABLE + numbers.setdefault(sound, len(numbers))
    return table


def sounds_of(codes: NDArray[np.uint64], table: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """The loosely heard syllable of each code point."""
    return np.where(codes < 1 << 16, table[1][np.minimum(codes, 0xFFFF)], codes).astype(np.uint64)


def sounding_alike(one: str, other: str, table: NDArray[np.uint16]) -> float:
    """1 for the same character, 0.9 for the same syllable, 0.8 for syllables easily confused, else 0."""
    if one == other:
        return 1.0
    a, b = ord(one), ord(other)
    if max(a, b) >= 1 << 16 or min(table[0, a], table[0, b]) < _FIRST_SYLLABLE:
        return 0.0
    if table[0, a] == table[0, b]:
        return 0.9
    return 0.8 if table[1, a] == table[1, b] else 0.0
