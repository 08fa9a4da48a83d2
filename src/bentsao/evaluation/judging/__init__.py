"""A language model as judge: rubric and answers → calls → journal → scores or preferences → figures with errors.

    rubric, style → scoring | pairing (one job a call) → models/remote (journal, budget, limits) → running → figures

Every system is judged by the same model with the same words and settings. What the judge wrote is kept as it came, and
scores are read from the journal alone: a run that was killed and taken up again gives the same scores.
"""
