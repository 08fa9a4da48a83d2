"""Language: answers are to be Chinese in simplified script, names and formulas aside."""

from __future__ import annotations

import re
import unicodedata

from bentsao.construction.filters.context import Context, around, reason
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation

MIN_CHINESE = 0.5
"""Share of Chinese characters among Chinese characters and foreign words, a run of letters counting as one word.

Counted in letters, good rows of the original's data are less than half Chinese (Noonan综合征, LGMD1型); counted in
words, none is, but for figures (1/10 000), which have no words at all.
"""

PHRASE = 8
"""So many foreign words one after the other are a sentence that was not translated.

Names have up to six (NOD-like receptor signaling pathway; covalently closed circular DNA, cccDNA).
"""

_WORD = re.compile(r"[^\W\d_]+")
_CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_PHRASE = re.compile(rf"(?:[A-Za-z]{{2,}}[ ,]+){{{PHRASE - 1},}}[A-Za-z]{{2,}}")
_BROKEN = re.compile(r"[\ufffd\ue000-\uf8ff]|锟斤拷|[ÃÂ][\x80-\xbf]")
_OTHER = ("HIRAGANA", "KATAKANA", "HANGUL", "CYRILLIC", "ARABIC", "THAI", "HEBREW", "DEVANAGARI")


def wrong_language(conversation: Conversation, _: Context) -> str | None:
    """A question or answer in another language, in another script, or in broken characters."""
    said = texts(conversation)
    for text in (*said.questions, *said.answers):
        if found := _BROKEN.search(text):
            return reason("乱码", around(text, found))
        if foreign := _foreign(text):
            return reason("夹有其他文字", foreign)
        if chinese_share(text) < MIN_CHINESE:
            return reason("不是中文", text)
        if found := _PHRASE.search(text):
            return reason("夹有没有翻译的外文", found.group())
    return None


def chinese_share(text: str) -> float:
    """Chinese characters over Chinese characters and foreign words; 1 where there are neither (figures only)."""
    chinese = words = 0
    for run in _WORD.findall(text):
        characters = len(_CHINESE.findall(run))
        chinese += characters
        words += len([piece for piece in _CHINESE.sub(" ", run).split() if piece])
    return chinese / (chinese + words) if chinese + words else 1.0


def _foreign(text: str) -> str | None:
    """A character of a script that Chinese medicine does not use; Latin and Greek letters are used."""
    for at, character in enumerate(text):
        if character > "\u036f" and unicodedata.name(character, "").startswith(_OTHER):
            return text[max(0, at - 6) : at + 12]
    return None
