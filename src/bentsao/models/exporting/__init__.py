"""A base with its adapter, written for other runtimes. `exporting.py` says which formats there are.

Everything begins with the merged Hugging Face folder (`merged.py`), made tensor by tensor in bounded memory.
"""
