"""The adapter that ships with the project, which answers where nobody names another."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "shipped"


def shipped_adapter() -> Path | None:
    """The folder of the adapter that is installed along with the package; None where the package came without it."""
    return _FOLDER if (_FOLDER / "adapter_config.json").is_file() else None
