from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclopts import App

from bentsao.apps.commands import experiment
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.core.errors import ConfigError
from tests.inference.grounded.reader import Reader
from tests.knowledge.bases import entity, put

DRUGS = ("布洛芬", "奥美拉唑", "多奈哌齐", "阿莫西林", "普萘洛尔", "氯苯那敏")
DISEASES = ("偏头痛", "胃溃疡", "高血压", "感冒", "哮喘", "痛风")


@pytest.fixture
def kb(tmp_path: Path) -> Path:
    put(
        tmp_path / "my.kb",
        "甲",
        *(entity(name, ("药物治疗", drug)) for name, drug in zip(DISEASES, DRUGS, strict=True)),
    )
    return tmp_path / "my.kb"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    app = App(name="bentsao", result_action="return_value")
    app.command(experiment.app)
    app(["experiment", "swap-facts", *arguments], exit_on_error=False)
    return capsys.readouterr().out


def test_answers_follow_the_base(kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = kb.read_bytes()
    said = run(capsys, "--kb", str(kb), "--swaps", "4", "--no-model")
    assert "换了 4 个值。换之前答出原值：4；换之后答新值、不再答原值：4。" in said
    assert kb.read_bytes() == before


def test_a_model_that_does_not_follow_is_told(
    kb: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = Reader(lambda _: "药物有" + "、".join(DRUGS))
    monkeypatch.setattr(ModelChoice, "open", lambda _: stubborn)
    found = json.loads(run(capsys, "--kb", str(kb), "--swaps", "3", "--path", "oracle", "--guard", "off", "--json"))
    assert (found["swaps"], found["said_before"], found["followed"]) == (3, 3, 0)
    assert len(found["lagging"]) == 3
    with pytest.raises(ConfigError, match="--swaps"):
        run(capsys, "--kb", str(kb), "--swaps", "0")
