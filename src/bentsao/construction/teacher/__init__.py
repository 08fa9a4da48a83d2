"""The teacher: a language model behind an OpenAI-style API that writes conversations from knowledge.

    jobs (writing) → calls (running, calling, client) → journal → replies → checking → conversations

Everything that was paid for is in the journal before anything is made of it, and rows are made from the journal alone,
in the order of the jobs: a run that was killed and taken up again gives the same bytes as one that was not.
"""
