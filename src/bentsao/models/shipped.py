"""The adapter that ships with the project, which answers where nobody names another."""

from __future__ import annotations

from pathlib import Path

from bentsao.core.errors import MissingError

SHIPPED = "shipped"
"""What it is called where an adapter can be named."""

_FOLDER = Path(__file__).parent / "shipped"


def shipped_adapter() -> Path | None:
    """The folder of the adapter that is installed along with the package; None where the package came without it."""
    return _FOLDER if (_FOLDER / "adapter_config.json").is_file() else None


def adapter_folder(name: str) -> Path:
    """The folder that a name means: `shipped` the adapter that ships with the project, anything else itself.

    Raises MissingError where `shipped` is asked for and the package came without it.
    """
    if name != SHIPPED:
        return Path(name)
    if (folder := shipped_adapter()) is None:
        raise MissingError("这里没有随项目发布的适配器。请给出适配器目录。")
    return folder
