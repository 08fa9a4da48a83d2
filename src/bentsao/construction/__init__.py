"""Knowledge → conversations to learn from: questions and answers, dialogues, grounded rows, pairs, multiple choice.

Two writers: the composer (`composer.py`, no model) and the teacher (`teacher/`, any LLM behind an OpenAI-style API).
What they write is filtered (`filters/`), split by entity, and written with its origin (`writing.py`).
"""
