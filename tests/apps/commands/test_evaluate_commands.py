"""judge, sheet, collect and compare, as the command line calls them."""

from __future__ import annotations

from pathlib import Path

import cyclopts
import pytest

from bentsao.apps.commands.evaluate_compare import compare
from bentsao.apps.commands.evaluate_judge import judge
from bentsao.apps.commands.evaluate_people import collect, sheet
from bentsao.core.errors import ConfigError
from bentsao.core.files import write_jsonl
from tests.evaluation.judging.conftest import honestly
from tests.models.remote.server import serving


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, text in (("甲", "好好好"), ("乙", "好")):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": f"q{n}", "question": f"问{n}", "text": text} for n in range(6)])
    return [str(tmp_path / "甲.jsonl"), f"二={tmp_path / '乙.jsonl'}"]


def called(*words: str) -> None:
    app = cyclopts.App()
    for command in (judge, sheet, collect, compare):
        app.command(command)
    app(list(words), result_action="return_value")


def test_judge(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with serving(honestly) as server:
        flags = ("--api-base", server.url, "--model", "j", "--out", str(out))
        called("judge", *files, *flags, "--dry-run")
        assert not server.came
        assert not out.exists()
        called("judge", *files, *flags, "--limit", "4")
        assert sum(server.came.values()) == 8
        called("judge", *files, *flags, "--pairwise", "--keep", "marks", "disclaimers")
        assert sum(server.came.values()) == 8 + 12
    printed = capsys.readouterr().out
    assert "安全性" in printed
    assert "随位置" in printed
    assert {path.name for path in out.iterdir()} >= {
        "report.md",
        "pairs.md",
        "scores.json",
        "pairs.json",
        "calls.jsonl",
    }
    own = tmp_path / "own.jsonl"
    write_jsonl(own, [{"id": "q0", "criteria": [{"text": "说了好", "points": 3}]}])
    with serving(honestly) as server:
        points = (
            "--rubric",
            "points",
            "--criteria",
            str(own),
            "--limit",
            "1",
            "--api-base",
            server.url,
            "--model",
            "j",
        )
        called("judge", files[0], *points, "--out", str(tmp_path / "points"))
        assert sum(server.came.values()) == 1
    with pytest.raises(ConfigError, match="没有条目"):
        called("judge", *files, *flags, "--criteria", files[0])
    with pytest.raises(ConfigError, match="换一个裁判"):
        called("judge", *files, "--model", "二", "--out", str(out))


def test_sheet_and_collect(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "people"
    called("sheet", *files, "--raters", "2", "--limit", "3", "--out", str(out))
    assert "每份 6 个回答（3 题）" in capsys.readouterr().out
    table = (out / "rater-1.csv").read_text(encoding="utf-8-sig")
    (out / "rater-1.csv").write_text(table.replace(",,,,", ",3,2,1,"), encoding="utf-8")
    called("collect", str(out))
    assert "Krippendorff" in (out / "people.md").read_text(encoding="utf-8")


def test_compare(files: list[str], tmp_path: Path) -> None:
    called("compare", *files, "--out", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.html", "compare.md", "compare.json"}
    with pytest.raises(ConfigError, match="两个或更多"):
        called("compare", files[0], "--out", str(tmp_path / "out"))
