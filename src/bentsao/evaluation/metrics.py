"""How near an answer is to its reference, and how varied it is, on characters: Chinese writes no blanks between words.

BLEU and chrF are sacrebleu's. All are of one answer, from 0 to 1; what is reported is their mean over the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from bentsao.core.subsequence import in_order


def bleu(answer: str, reference: str) -> float:
    """BLEU-4 of one answer on characters (Papineni et al. 2002), with exponential smoothing and effective order, which
    short answers need (Chen and Cherry 2014); 0 for an empty answer.
    """
    return _sacrebleu()[0].sentence_score(answer, [reference]).score / 100


def chrf(answer: str, reference: str) -> float:
    """chrF2: F-score (β = 2) of character n-grams up to 6 (Popović 2015)."""
    return _sacrebleu()[1].sentence_score(answer, [reference]).score / 100


@cache
def _sacrebleu() -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return BLEU(tokenize="char", effective_order=True), CHRF()


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L: F1 of the longest common subsequence of characters, blanks left out (Lin 2004)."""
    ours, theirs = "".join(answer.split()), "".join(reference.split())
    common = in_order(ours, theirs)
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def distinct(texts: Iterable[str], size: int) -> float | None:
    """Different runs of `size` characters over all of them, in all texts together (Li et al. 2016); None without any.

    It falls as texts get more and longer, so only answers to the same questions can be compared.
    """
    seen: set[str] = set()
    count = 0
    for text in texts:
        runs = ngrams(text, size)
        seen.update(runs)
        count += len(runs)
    return len(seen) / count if count else None


def ngrams(text: str, size: int) -> Sequence[str]:
    """The runs of `size` characters, blanks left out."""
    joined = "".join(text.split())
    return [joined[at : at + size] for at in range(len(joined) - size + 1)]


def echo(answer: str, question: str) -> float:
    """The share of the answer's bigrams that the question has: near 1 for an answer that only says the question again.

    0 for an answer of less than two characters.
    """
    said = ngrams(answer, 2)
    asked = set(ngrams(question, 2))
    return sum(pair in asked for pair in said) / len(said) if said else 0.0
