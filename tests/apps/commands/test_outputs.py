"""Where the output cannot be written, that is found before anything is read or opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentsao.apps import cli
from bentsao.core.errors import ConfigError


@pytest.mark.parametrize(
    "command",
    [
        "finetune --data none.jsonl -o",
        "infer --out",
        "infer --text",
        "evaluate safety --plain --out",
        "export hf --out",
    ],
)
def test_a_place_that_cannot_be_written_is_told_first(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"不能写.*路径中有一段是文件"):
        cli.build()(
            [*command.split(), str(tmp_path / "file" / "out"), "--base", "no-such"], result_action="return_value"
        )
