"""Answers → numbers with errors. Whatever answers is an argument; nothing here loads a model."""
