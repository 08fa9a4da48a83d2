"""The engines, one file each, and how a chosen model is opened in one of them (`opening.py`)."""
