"""One process at a time where something is made in the cache."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bentsao.core.errors import MissingError


@contextmanager
def alone(lock_file: Path, report: Callable[[str], None], busy: str) -> Generator[None]:
    """Waits until no other process holds the lock, telling `busy`; a killed process's lock is given up by the system.

    Raises MissingError where the cache cannot be written.
    """
    lock = FileLock(lock_file)
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except PermissionError:
        raise MissingError(
            f"没有权限写入缓存目录 {lock_file.parent}。请用环境变量 BENTSAO_CACHE 换一个缓存目录。"
        ) from None
    except Timeout:
        report(busy)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
