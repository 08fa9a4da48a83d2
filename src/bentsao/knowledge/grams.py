"""Character bigrams: the words of the search index.

Chinese has no blanks, and most medical terms have two to four characters, so every pair of neighbouring characters is
a word. Width and case are folded; punctuation and blanks are left out (β-内酰胺 and β内酰胺 are the same).
"""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """The letters and digits of a text, in one width and one case."""
    if text.isalnum() and min(text) >= "\u3400" and max(text) < "\uf900":
        return text  # ideographs only, which is most of what is stored: nothing to fold
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def grams(plain: str, width: int = 2) -> set[str]:
    """All runs of `width` characters in a folded text; empty where it is shorter."""
    return {plain[at : at + width] for at in range(len(plain) - width + 1)}


def indexed_grams(text: str) -> set[str]:
    """The grams under which a text is found: its bigrams, and its last character, so that each begins some gram."""
    plain = folded(text)
    return grams(plain) | {plain[-1:]} if plain else set()
