"""Files: read in whatever encoding the field uses, written whole or not at all, hashed.

Knows nothing of what is in a file; that is `conversations.py`'s and the importers' matter.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bentsao.core.errors import (
    GIVES_UP,
    BentsaoError,
    ConfigError,
    DataError,
    Fault,
    MissingError,
    gave_up,
    os_reason,
)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 (with or without BOM), UTF-16 with BOM, or GB18030; line ends become `\\n`.

    Raises MissingError if there is no such file and DataError if it is in none of these encodings.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"找不到文件 {path}。请检查路径。") from None
    except IsADirectoryError:
        raise MissingError(f"{path} 是一个目录，这里需要文件。") from None
    except PermissionError:
        raise MissingError(f"没有权限读取 {path}。") from None
    if raw[:4] == b"PK\x03\x04":
        fault = Fault(
            str(path), None, "格式", path.suffix, "是 Excel 或压缩文件，不是文本。请另存为 UTF-8 的 CSV，或先解压。"
        )
        raise DataError([fault])
    encodings = ["utf-16"] if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    line = _first_undecodable_line(raw)
    reason = "既不是 UTF-8 也不是 GB18030 编码。请另存为 UTF-8。"
    raise DataError([Fault(str(path), line, "编码", raw.split(b"\n")[line - 1][:40], reason)])


def _first_undecodable_line(raw: bytes) -> int:
    for number, line in enumerate(raw.split(b"\n"), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return 1


@dataclass(frozen=True)
class Place:
    """Where a JSON value stands: its line, and its number in the array (None in a file of JSON lines), from 1."""

    file: str
    line: int
    item: int | None = None

    @property
    def row(self) -> int:
        """What people call the row: the item of an array, else the line."""
        return self.line if self.item is None else self.item

    def fault(self, field: str, value: object, reason: str) -> Fault:
        """Something wrong here."""
        return Fault(self.file, self.line, field, value, reason, self.item)


def iterate_json(path: Path) -> Iterator[tuple[Place, Any | Fault]]:
    """Each JSON value of a file with its place: a JSON array's items, or one value a line.

    A line that is not JSON comes as a Fault in its place and reading goes on; in an array nothing after a syntax
    error can be read, so the Fault is the last item.
    """
    text = read_text(path)
    if text.lstrip()[:1] == "[":
        yield from _iterate_array(str(path), text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = Place(str(path), number)
        try:
            value = json.loads(line)
            yield place, place.fault("JSON", line, HALF_CHARACTER) if _has_half_character(line, value) else value
        except json.JSONDecodeError as error:
            reason = f"不是合法的 JSON（第 {error.colno} 列：{error.msg}）。每行应是一个 JSON 对象。"
            yield place, place.fault("JSON", line, reason)
        except GIVES_UP as error:
            yield place, place.fault("JSON", line, gave_up(error))


def _iterate_array(file: str, text: str) -> Iterator[tuple[Place, Any | Fault]]:
    decoder = json.JSONDecoder()
    at = _skip_blanks(text, text.index("[") + 1)
    line, counted, item = 1, 0, 0
    after_comma = False
    while True:
        line, counted, item = line + text.count("\n", counted, at), at, item + 1
        place = Place(file, line, item)
        if at >= len(text):
            yield place, place.fault("JSON", "", "数组没有结束：缺少 ]。文件可能被截断。")
            return
        if text[at] == "]" and not after_comma:
            if tail := text[at + 1 :].strip():
                yield place, place.fault("JSON", tail, "数组结束后还有内容。")
            return
        start = at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            place = Place(file, error.lineno, item)
            yield place, place.fault("JSON", text[error.pos : error.pos + 40], f"不是合法的 JSON：{error.msg}。")
            return
        except GIVES_UP as error:
            yield place, place.fault("JSON", text[at : at + 40], gave_up(error))
            return
        written = text[start:at]
        yield place, place.fault("JSON", written, HALF_CHARACTER) if _has_half_character(written, value) else value
        at = _skip_blanks(text, at)
        after_comma = text[at : at + 1] == ","
        if after_comma:
            at = _skip_blanks(text, at + 1)
        elif text[at : at + 1] not in ("]", ""):
            yield place, place.fault("JSON", text[at : at + 40], "数组的两项之间缺少逗号。")
            return


HALF_CHARACTER = "含有半个字符（单独的 \\ud8xx 代理码），不是合法的文本。请修正这个转义。"


def _has_half_character(written: str, value: Any) -> bool:
    """Whether an escape such as `\\ud83d` stands alone: JSON lets it through, and no file can hold it afterwards."""
    if "\\ud" not in written and "\\uD" not in written:
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Raises ConfigError where a file (or a folder) cannot be written at this path; nothing is left there.

    For what takes long to make: found at once, not at the end.
    """
    if path.exists() and path.is_dir() != folder:
        there, wanted = ("文件", "目录") if folder else ("目录", "文件")
        raise ConfigError(f"{path} 是一个{there}，这里要写一个{wanted}。请换一个输出路径。")
    above = path.absolute() if folder else path.absolute().parent
    while not above.exists():
        above = above.parent
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ConfigError(f"不能写 {path}：{above} {os_reason(error)}。请换一个输出路径。") from None


@contextmanager
def writing_to(path: Path) -> Generator[None]:
    """A full disk is told with the path that was to be written, which the error of a write does not say."""
    try:
        yield
    except Exception as error:
        # safetensors has an error of its own, with the number in its words.
        number = errno.ENOSPC if f"(os error {errno.ENOSPC})" in str(error) else getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends well, and is removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with writing_to(path):
            yield temporary
            _flush(temporary)
        _default_mode(temporary, 0o666)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """A temporary folder that takes `path`'s place when the block ends well, and is removed when it does not.

    An existing `path` is set aside first and restored if the swap fails. Raises BentsaoError if `path` is a file.
    """
    if path.is_file():
        raise BentsaoError(f"{path} 是一个文件，这里要写一个目录。请换一个输出路径。")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        with writing_to(path):
            yield temporary
            for file in temporary.rglob("*"):
                _flush(file)
        _default_mode(temporary, 0o777)
        aside = temporary.with_suffix(".old")
        if path.exists():
            path.rename(aside)
        try:
            temporary.rename(path)
        except OSError:
            if aside.exists():
                aside.rename(path)
            raise
        _flush(path.parent)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    """Force a file or folder to the disk, so that a rename never names half a file after a power cut."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _default_mode(path: Path, mode: int) -> None:
    """Give a temporary file or folder the mode it would have had if opened plainly (tempfile's are private)."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_jsonl(path: Path, values: Iterable[Any]) -> int:
    """Write one JSON value a line, whole or not at all; returns how many."""
    count = 0
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        for value in values:
            out.write(json.dumps(value, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_json(path: Path) -> Any:
    """The JSON value of a file. Raises DataError naming the line where it is not JSON."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fault = Fault(
            str(path), error.lineno, "JSON", error.doc[error.pos : error.pos + 40], f"不是合法的 JSON：{error.msg}。"
        )
        raise DataError([fault]) from None
    except GIVES_UP as error:
        raise DataError([Fault(str(path), None, "JSON", text[:40], gave_up(error))]) from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file. Raises DataError where it is none."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError([Fault(str(path), None, "JSON", json.dumps(value)[:40], "应是一个 JSON 对象（{…}）。")])
    return cast("dict[str, Any]", value)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def cache_folder() -> Path:
    """Where converted bases and tokenised data are kept: $BENTSAO_CACHE, else the user's cache folder."""
    named = os.environ.get("BENTSAO_CACHE")
    if named:
        return Path(named).expanduser()
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "bentsao"
