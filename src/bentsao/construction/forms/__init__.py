"""The forms of an exchange: plain questions, vignettes, premises, comparisons, drugs, gaps, follow-ups.

Each form is a function (subject …, Pen) → Exchange, or None where it does not fit this subject.
"""
