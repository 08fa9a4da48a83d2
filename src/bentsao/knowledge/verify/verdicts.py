"""What the verifier says of a text."""

from __future__ import annotations

from typing import Literal

from bentsao.core.records import Fact, Record

Verdict = Literal["supported", "contradicted", "beyond"]


class Claim(Record):
    """One thing that a text claims, at `start:end` of the text as it was given.

    `supported`: a fact says it. `contradicted`: a fact speaks against it. `beyond`: no fact says it and none speaks
    against it; `fact` is then the one that comes nearest, or None. `reason` is for the reader, in Chinese.
    """

    start: int
    end: int
    text: str
    verdict: Verdict
    reason: str
    fact: Fact | None = None
    value: str | None = None


class Verdicts(Record):
    """The claims of a text in its order, and the facts with those of their values that no claim states."""

    claims: tuple[Claim, ...]
    missing: tuple[Fact, ...]

    @property
    def supported(self) -> tuple[Claim, ...]:
        """The claims that a fact says."""
        return tuple(claim for claim in self.claims if claim.verdict == "supported")

    @property
    def contradicted(self) -> tuple[Claim, ...]:
        """The claims that a fact speaks against."""
        return tuple(claim for claim in self.claims if claim.verdict == "contradicted")

    @property
    def beyond(self) -> tuple[Claim, ...]:
        """The claims that go beyond the facts."""
        return tuple(claim for claim in self.claims if claim.verdict == "beyond")
