"""What happens to a knowledge base when things go wrong: killed writers, full disks, broken and foreign files."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bentsao.core.errors import BentsaoError
from bentsao.knowledge import migrations
from bentsao.knowledge.database import StoreError
from bentsao.knowledge.rows import Row, SourceInfo
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.writing import import_rows
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, ROWS_OF_EDITION, TRIAL, import_edition, put

# Imports an edition of source 甲, with a file size limit where one is given; told of as it goes.
WRITER = """
import resource, sys
from pathlib import Path
from bentsao.core.errors import BentsaoError
from tests.knowledge.bases import import_edition
path, edition, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print("begun", flush=True)
try:
    import_edition(path, edition)
except BentsaoError as error:
    print(error, flush=True)
    sys.exit(3)
"""


@contextmanager
def writer(path: Path, edition: str, limit: int = 0) -> Generator[subprocess.Popen[str]]:
    """A process that has begun to import the edition."""
    command = [sys.executable, "-c", WRITER, str(path), edition, str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process


def edition_of(path: Path) -> str:
    """Which edition the file holds; fails unless it holds the whole of that one and nothing else, soundly."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO term_grams (term_grams) VALUES ('integrity-check')")
    with KnowledgeBase.open(path) as kb:
        (source,) = kb.sources()
        edition = source.file.removesuffix(".jsonl")
        count = ROWS_OF_EDITION[edition]
        assert (source.entities, source.facts) == (count, 5 * count)
        assert len(list(kb.names())) == 2 * count
        for number in random.Random(0).sample(range(count), 20):
            (fact,) = kb.facts(f"病{number}")
            assert fact.values == tuple(f"第{edition}版的病因{number}与{m}" for m in range(5))
            assert kb.search(fact.values[0], limit=1)[0].score == 1.0
    return edition


def test_a_killed_import_leaves_the_old_or_the_new_and_can_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    import_edition(path, "1")
    original = path.read_bytes()
    with writer(path, "2") as process:
        started = time.perf_counter()
        assert process.wait() == 0
        whole = time.perf_counter() - started
    left: list[str] = []
    for share in sorted(random.random() for _ in range(10)):
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_bytes(original)
        with writer(path, "2") as process:
            time.sleep(share * whole)
            process.kill()
        left.append(edition_of(path))
        import_edition(path, "2")
        assert edition_of(path) == "2"
    assert "1" in left  # not all were too late


def test_a_killed_first_import_leaves_nothing_that_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    with writer(path, "2") as process:
        while not path.exists():
            time.sleep(0.001)
        process.kill()
    import_edition(path, "2")
    assert edition_of(path) == "2"


@pytest.mark.parametrize("room", [0, 20_000, 400_000])
def test_a_full_disk_leaves_the_old(tmp_path: Path, room: int) -> None:
    path = tmp_path / "kb.sqlite"
    import_edition(path, "1")
    with writer(path, "2", limit=path.stat().st_size + room) as process:
        said, _ = process.communicate()
    assert process.returncode == 3
    assert "请" in said
    assert str(path) in said
    assert edition_of(path) == "1"
    import_edition(path, "2")
    assert edition_of(path) == "2"


def test_a_full_database_says_that_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kb.sqlite"
    import_edition(path, "1")
    connect = sqlite3.connect

    def small(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)  # pyright: ignore[reportCallIssue, reportArgumentType]
        connection.execute(f"PRAGMA max_page_count = {path.stat().st_size // 4096 + 10}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(StoreError, match="磁盘空间不足"):
        import_edition(path, "2")
    monkeypatch.undo()
    assert edition_of(path) == "1"


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD)
    writing, second = threading.Event(), threading.Event()

    def slow() -> Iterator[Row]:
        yield APPENDICITIS
        writing.set()
        assert second.wait(10)
        time.sleep(0.1)

    first = threading.Thread(target=import_rows, args=(path, slow(), SourceInfo(name="乙", file="", sha256="1")))
    first.start()
    assert writing.wait(10)
    with pytest.raises(StoreError, match="正被另一个程序写入"):
        import_rows(path, [FEVER], SourceInfo(name="丙", file="", sha256="1"), wait=0.05)
    second.set()
    import_rows(path, [FEVER], SourceInfo(name="丙", file="", sha256="1"))
    first.join()
    with KnowledgeBase.open(path) as kb:
        assert [source.name for source in kb.sources()] == ["甲", "乙", "丙"]


def test_two_first_writers_make_one_knowledge_base(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    threads = [threading.Thread(target=put, args=(path, name, COLD)) for name in "甲乙丙丁"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with KnowledgeBase.open(path) as kb:
        assert {source.name for source in kb.sources()} == set("甲乙丙丁")


@pytest.mark.parametrize("kept", [1, 50, 4096, 0.3, 0.7, -4096, -1])
def test_a_truncated_file_says_that_it_is_damaged(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "kb.sqlite"
    import_edition(path, "1")
    whole = path.read_bytes()
    at = int(kept * len(whole)) if isinstance(kept, float) else kept
    path.write_bytes(whole[:at])
    with pytest.raises(StoreError, match=r"已损坏或不完整|不是 SQLite 文件"):
        KnowledgeBase.open(path)
    with pytest.raises(StoreError, match=r"已损坏或不完整|不是 SQLite 文件"):
        import_edition(path, "2")


def test_an_empty_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="是空的"):
        KnowledgeBase.open(path)
    put(path, "甲", COLD, TRIAL)
    with KnowledgeBase.open(path) as kb:
        assert len(kb.sources()) == 1


def test_what_is_not_ours_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("这不是数据库。" * 200, encoding="utf-8")
    foreign = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE cookies (name TEXT)")
        connection.commit()
    for path, words in ((text, "不是 SQLite 文件"), (foreign, "别的程序"), (tmp_path, "目录"), (text / "kb", "目录")):
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(BentsaoError):
            KnowledgeBase.open(path)
        with pytest.raises(StoreError, match=words):
            put(path, "甲", COLD)
        assert not path.is_file() or path.read_bytes() == before


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER evil AFTER INSERT ON term BEGIN DELETE FROM fact; END",
        "ALTER TABLE version RENAME TO old; CREATE VIEW version AS "
        "WITH RECURSIVE endless(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT max(n) AS fingerprint "
        "FROM endless",
    ],
)
def test_what_would_be_run_from_a_file_is_refused(planted: str, tmp_path: Path) -> None:
    """A view is worked out when it is read: this one never ends."""
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(planted)
    with pytest.raises(StoreError, match="触发器或视图"):
        KnowledgeBase.open(path)
    with pytest.raises(StoreError, match="触发器或视图"):
        put(path, "乙", FEVER)


def test_a_newer_knowledge_base_asks_for_a_newer_program(tmp_path: Path) -> None:
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(migrations.MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="请升级 bentsao"):
        KnowledgeBase.open(path)
    with pytest.raises(StoreError, match="请升级 bentsao"):
        put(path, "乙", COLD)


def test_an_older_knowledge_base_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD)
    newer = (*migrations.MIGRATIONS, ("CREATE TABLE note (text TEXT)", "INSERT INTO note VALUES ('新')"))
    for module in ("migrations", "database"):
        monkeypatch.setattr(f"bentsao.knowledge.{module}.MIGRATIONS", newer)
    with KnowledgeBase.open(path) as kb:
        assert len(kb.facts("感冒")) == 3
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM note").fetchall() == [("新",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(newer),)


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kb.sqlite"
    put(path, "甲", COLD)
    broken = (*migrations.MIGRATIONS, ("CREATE TABLE note (text TEXT)", "INSERT INTO nowhere VALUES (1)"))
    for module in ("migrations", "database"):
        monkeypatch.setattr(f"bentsao.knowledge.{module}.MIGRATIONS", broken)
    with pytest.raises(StoreError, match="nowhere"):
        KnowledgeBase.open(path)
    monkeypatch.undo()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM sqlite_schema WHERE name = 'note'").fetchall() == []
    with KnowledgeBase.open(path) as kb:
        assert len(kb.facts("感冒")) == 3
