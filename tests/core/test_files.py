from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bentsao.core.errors import BentsaoError, ConfigError, DataError, os_reason
from bentsao.core.files import check_writable, read_json, read_json_object, whole_file, whole_folder, write_jsonl


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with whole_file(path) as temporary:
        temporary.write_text("一", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_text("半", encoding="utf-8")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "一"
    assert names(path.parent) == ["a.txt"]
    assert path.stat().st_mode & 0o077 == 0o666 & ~_umask() & 0o077


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text in ("一", "二"):
        with whole_folder(path) as temporary:
            (temporary / "f").write_text(text, encoding="utf-8")
    with pytest.raises(RuntimeError), whole_folder(path) as temporary:
        (temporary / "g").write_text("半", encoding="utf-8")
        raise RuntimeError
    assert (path / "f").read_text(encoding="utf-8") == "二"
    assert names(tmp_path) == ["a"]
    (tmp_path / "file").touch()
    with pytest.raises(BentsaoError, match="是一个文件"), whole_folder(tmp_path / "file"):
        pass


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path / "new" / "deep" / "a.txt")
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new", folder=True)
    check_writable(tmp_path, folder=True)
    assert names(tmp_path) == ["file"]
    for path, folder, said in (
        (tmp_path / "file" / "a.txt", False, "路径中有一段是文件"),
        (tmp_path / "file", True, "是一个文件，这里要写一个目录"),
        (tmp_path, False, "是一个目录，这里要写一个文件"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_writable(path, folder=folder)


class FullError(Exception):
    """As a library without OSErrors tells it."""


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), FullError("I/O error: No space (os error 28)")]
)
def test_a_full_disk_is_told_with_the_path(tmp_path: Path, error: Exception) -> None:
    for whole in (whole_file, whole_folder):
        with pytest.raises(OSError, match="No space") as told, whole(tmp_path / "a"):
            raise error
        assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(tmp_path / "a"))
        assert os_reason(told.value) == "磁盘已满"
    assert names(tmp_path) == []


def test_a_failing_source_of_lines_leaves_no_file(tmp_path: Path) -> None:
    def lines() -> object:
        yield {"a": 1}
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_jsonl(tmp_path / "a.jsonl", lines())  # pyright: ignore[reportArgumentType]
    assert names(tmp_path) == []


@pytest.mark.parametrize(("text", "says"), [("[" * 100_000, "嵌套太深"), ("9" * 5000, "数字太长")])
def test_json_that_no_parser_takes_is_told(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_json(path)


def test_json_that_is_no_object_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json .*对象"):
        read_json_object(path)


def test_faulty_json_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n"a": }', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json:2"):
        read_json(tmp_path / "a.json")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
