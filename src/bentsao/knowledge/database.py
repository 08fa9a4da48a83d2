"""Connections to the SQLite file of a knowledge base, and what their errors mean to a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from bentsao.core.errors import BentsaoError, MissingError, os_reason
from bentsao.knowledge.migrations import APPLICATION_ID, MIGRATIONS, migrate

READER_CACHE_KIB = 16 * 1024  # of each thread; the operating system caches the file for all
WRITER_CACHE_KIB = 768 * 1024  # at the most; what is written out of order at 10^7 facts fits into it


class StoreError(BentsaoError):
    """A knowledge base that cannot be read or written."""


_DAMAGED = "知识库 {path} 已损坏或不完整（文件可能被截断）。请从备份恢复，或删除后重新导入。"

# What SQLite says → what it means and the way out; `{path}` is the file. The words are SQLite's own and have not
# changed in years; Python 3.10 does not give the error's number.
_MEANINGS = {
    "file is not a database": "{path} 不是本草知识库（不是 SQLite 文件）。请检查路径。",
    "malformed": _DAMAGED,
    "disk is full": "写知识库 {path} 时磁盘空间不足，本次改动已全部撤销，原有内容不变。请腾出空间后重试。",
    "disk I/O error": "读写知识库 {path} 时磁盘出错（空间不足、文件大小受限或设备故障），"
    "未完成的改动不会生效。请检查磁盘后重试。",
    "is locked": "知识库 {path} 正被另一个程序写入，等待超时。请等它结束后重试。",
    "readonly database": "没有权限写知识库 {path}。请检查文件和所在目录的权限。",
    "unable to open": "打不开知识库 {path}。请检查路径和权限。",
    "no such module: fts5": "本机 Python 的 SQLite 没有 FTS5 全文检索。请换用带 FTS5 的 Python（官方发行版都带）。",
}


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turns SQLite's errors on this file into StoreError with the way out."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)
        meaning = next((text for words, text in _MEANINGS.items() if words in said), "知识库 {path} 出错：" + said)
        raise StoreError(meaning.format(path=path)) from error
    except UnicodeEncodeError as error:
        raise StoreError(f"文本 {error.object!a} 不是合法的 Unicode，不能查询。请检查输入的编码。") from error


def connect_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection that sees the last finished import, also while another is being written.

    Raises MissingError where there is no file, StoreError where it is not a whole knowledge base of this version.
    A knowledge base of an older version is brought up to date first.
    """
    if not path.is_file():
        raise MissingError(f"找不到知识库 {path}。请检查路径，或先用 bentsao kb import 导入。")
    with explained(path):
        try:
            connection, outdated = _reader(path, "mode=ro")
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error) and "readonly" not in str(error):
                raise
            # WAL needs a file beside the database; in a folder that cannot be written nobody else writes either.
            connection, outdated = _reader(path, "mode=ro&immutable=1")
        if outdated:
            connection.close()
            connect_writer(path).close()
            connection, _ = _reader(path, "mode=ro")
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        return connection


def _reader(path: Path, options: str) -> tuple[sqlite3.Connection, bool]:
    connection = _open(path, options)
    try:
        return connection, _check(connection, path)
    except BaseException:
        connection.close()
        raise


def connect_writer(path: Path, wait: float = 30.0) -> sqlite3.Connection:
    """A connection that may write; makes the file where there is none, and brings an older one up to date.

    wait: seconds to wait for another writer. The connection is in autocommit mode: transactions are the caller's.
    """
    if path.is_dir():
        raise StoreError(f"{path} 是一个目录，知识库应是一个文件。请换一个路径。")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"不能建立目录 {path.parent}：{os_reason(error)}。请换一个路径。") from error
    with explained(path):
        connection = _open(path, "mode=rwc", wait)
        try:
            outdated = _is_empty(connection, path) or _check(connection, path)
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA journal_mode = WAL")
            if outdated:
                migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _open(path: Path, options: str, wait: float = 5.0) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}",
        uri=True,
        timeout=wait,
        isolation_level=None,
        # Each thread has its own connection (see KnowledgeBase); only closing comes from another thread.
        check_same_thread=False,
    )


def _check(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file needs migrations. Raises StoreError if it is empty, not ours, or too new."""
    if _is_empty(connection, path):
        raise StoreError(f"知识库 {path} 是空的（还没有导入，或第一次导入没有完成）。请用 bentsao kb import 导入。")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{path} 是别的程序的 SQLite 数据库，不是本草知识库。请检查路径。")
    (foreign,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')").fetchone()
    if foreign:  # they would be run by whoever reads or writes, and ours has none
        raise StoreError(f"知识库 {path} 里有触发器或视图，不是 bentsao 写成的，所以没有打开它。请换一份知识库。")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"知识库 {path} 的版本是 {version}，本程序只认识到 {len(MIGRATIONS)}。"
            "它由更新的 bentsao 写成，请升级 bentsao。"
        )
    return version < len(MIGRATIONS)


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether there are no tables. Raises StoreError if the end of the file is missing.

    SQLite itself sees that whole pages are missing, but reads half a page as if it ended in zeros.
    """
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    log = path.with_name(path.name + "-wal")
    log_is_empty = not log.exists() or log.stat().st_size == 0  # else the page may be in the log
    if log_is_empty and path.stat().st_size % page_size:
        raise StoreError(_DAMAGED.format(path=path))
    return tables == 0
