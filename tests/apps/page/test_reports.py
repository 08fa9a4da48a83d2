from __future__ import annotations

from pathlib import Path

import pytest

from bentsao.apps.page.reports import LARGEST, check_folders, listed, report_html
from bentsao.core.errors import MissingError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.html").write_text("机密", encoding="utf-8")
    root = tmp_path / "runs"
    (root / "a").mkdir(parents=True)
    (root / "a" / "report.html").write_text("<h1>报告</h1><script>x</script>\"'", encoding="utf-8")
    (root / "notes.txt").write_text("x", encoding="utf-8")
    (root / ".hidden.html").write_text("x", encoding="utf-8")
    (root / "link.html").symlink_to(tmp_path / "secret.html")
    (root / "up").symlink_to(tmp_path)
    return root


def test_only_pages_within_the_folder_are_listed(folder: Path) -> None:
    assert list(listed([folder])) == ["runs/a/report.html"]


OUTSIDE = ["runs/link.html", "runs/../secret.html", "../secret.html", "/etc/passwd", "runs/up/secret.html"]


@pytest.mark.parametrize("name", [*OUTSIDE, "runs/notes.txt"])
def test_nothing_else_can_be_read(folder: Path, name: str) -> None:
    assert "机密" not in report_html([folder], name)
    assert "没有这份报告" in report_html([folder], name)
    (folder / ".." / "secret.html").resolve().read_text(encoding="utf-8")  # which is there


def test_a_report_is_sealed_in_a_frame(folder: Path) -> None:
    html = report_html([folder], "runs/a/report.html")
    assert 'sandbox=""' in html
    assert "default-src &#x27;none&#x27;" in html
    assert "<script>" not in html
    assert html.count('"') % 2 == 0
    assert "&lt;h1&gt;报告" in html
    assert report_html([folder], None) == ""


def test_what_cannot_be_shown_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "large.html").write_bytes(b"x" * (LARGEST + 1))
    (folder / "odd.html").write_bytes(b"\xff\xfe\xfd")
    assert "超过" in report_html([folder], "runs/large.html")
    assert "读不出来" in report_html([folder], "runs/odd.html")
    with pytest.raises(MissingError, match="不是目录"):
        check_folders([folder, tmp_path / "nowhere"])
