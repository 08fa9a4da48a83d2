"""Experiments that run the whole line, from a knowledge base to figures: one module each."""
