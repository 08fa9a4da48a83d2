"""The verifier: the claims of a text against facts → supported, contradicted or beyond the evidence.

One for four uses: filter of constructed data, preference pairs, guard after each answer, metric.

    verify(text, facts) → Verdicts(claims, missing)

It reads surfaces, not meanings: what a text must look like to be understood stands in `cues` (attributes, conditions),
`stance` (negation), `quantities` (units) and `statements` (yes or no); `judging` has the rules.
"""

from bentsao.knowledge.verify.mentions import KnownNames, Mentions
from bentsao.knowledge.verify.verdicts import Claim, Verdict, Verdicts
from bentsao.knowledge.verify.verifier import verify

__all__ = ["Claim", "KnownNames", "Mentions", "Verdict", "Verdicts", "verify"]
