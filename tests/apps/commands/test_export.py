from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from bentsao.apps.commands.export import Form, export
from bentsao.inference import parity as gate
from bentsao.models.exporting.exporting import FORMATS
from tests.models.exporting.adapted import adapted_folders


def test_the_flag_knows_every_format() -> None:
    assert set(get_args(Form)) == set(FORMATS) == set(gate.TOLERANCE)


def test_writes_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, adapter = adapted_folders(tmp_path, "llama")
    asked = tmp_path / "asked.txt"
    asked.write_text("感冒怎么办\n头痛吃什么药\n", encoding="utf-8")
    out = tmp_path / "out"
    export("hf", out=out, adapter=adapter, base=str(base), chat_format="plain", questions=asked, tokens=8)
    said = capsys.readouterr().out
    assert "提示 token 相同 2/2，贪心文字相同 2/2" in said
    assert "通过" in said
    assert json.loads((out / "parity.json").read_text(encoding="utf-8"))["passed"] is True


def test_a_gate_that_fails_is_the_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, adapter = adapted_folders(tmp_path, "llama")
    real = gate.check_parity
    monkeypatch.setattr(gate, "check_parity", lambda *a, **k: real(*a, **k).model_copy(update={"passed": False}))
    given: dict[str, Any] = {"adapter": adapter, "base": str(base), "chat_format": "plain", "count": 1, "tokens": 4}
    with pytest.raises(SystemExit) as stopped:
        export("hf", out=tmp_path / "out", **given)
    assert stopped.value.code == 1
    export("hf", out=tmp_path / "out", check=False, **given)
    assert not (tmp_path / "out/parity.json").exists()
