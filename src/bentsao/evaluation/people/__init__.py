"""People as judges: blind, shuffled sheets for several raters, and what came back: agreement, scores, ranks.

answers → sheet (a page and a table for each rater, and the key, which raters do not see) → collect
"""
