"""An OpenAI-compatible server in front of the engines and of grounded answers.

A request goes through `gate.py` (keys, sizes), `wire.py` (its form), `chat.py` or `completions.py` (what it means),
waits in `batching.py` and is worked on in `serving.py`; what comes back goes the same way (`asking.py`).
"""
