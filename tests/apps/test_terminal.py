"""What is printed of data, models and names of files: no control characters, no markup of theirs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from bentsao.apps.cli import main
from bentsao.apps.commands.model_flags import report
from bentsao.apps.terminal import plain_markup, printable
from bentsao.apps.training_view import TrainingView

EVIL = "\x1b[2J\x1b]0;owned\x07\r\x9b31m[bold red][link=https://example.com]假"


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command line prints."""
    monkeypatch.setattr(sys, "argv", ["bentsao", *words])
    with pytest.raises(SystemExit):
        main()
    return "".join(capsys.readouterr())


def test_text_stays_text() -> None:
    assert printable("一行\n\t" + EVIL).isprintable() is False, "line ends and tabs stay"
    assert not set(printable(EVIL)) & {"\x1b", "\x07", "\r", "\x9b"}
    console = Console(force_terminal=True, width=200)
    with console.capture() as shown:
        console.print(plain_markup(EVIL), highlight=False)
    assert "[bold red][link=https://example.com]假" in shown.get()
    assert "\x1b" not in shown.get()


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked")
def test_hostile_adapters_and_bases_are_told_without_their_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = tmp_path / "a\x1b[2Jb"
    adapter.mkdir()
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 4, "target_modules": [EVIL], "base_model_name_or_path": EVIL}
    (adapter / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({f"base_model.model.{EVIL}": torch.ones(4, 4)}, adapter / "adapter_model.safetensors")
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps({"model_type": EVIL, "architectures": [EVIL]}), encoding="utf-8")
    data = tmp_path / "\x1b[2J.jsonl"
    data.write_text(json.dumps({"instruction": EVIL, "output": 3}), encoding="utf-8")
    for words in (
        ("adapters", "inspect", str(adapter)),
        ("infer", "--adapter", str(adapter), "--question", "问"),
        ("bases", "check", str(base)),
        ("finetune", "--data", str(data), "-o", str(tmp_path / "out")),
    ):
        said = run(monkeypatch, capsys, *words)
        assert said
        assert not set(said) & {"\x1b", "\x07", "\x9b"}, words


def test_notes_on_the_way_too(capsys: pytest.CaptureFixture[str]) -> None:
    report(f"警告：{EVIL}")
    TrainingView(Console(stderr=True)).note(EVIL)
    said = "".join(capsys.readouterr())
    assert "[bold red]" in said
    assert not set(said) & {"\x1b", "\x07", "\x9b"}
