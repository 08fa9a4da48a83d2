"""A folder of adapters that is served as it is: what is put there is opened, what is taken away is closed.

Looked at when asked to (`POST /v1/adapters/reload`, or SIGHUP), so that a half copied adapter is nobody's model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from bentsao.apps.server.serving import Served, Service
from bentsao.core.errors import BentsaoError, MissingError
from bentsao.core.records import Record

_CONFIG = "adapter_config.json"


class Changes(Record):
    """What a look at the folder changed. failed: adapters that could not be opened, and why; these changed nothing."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    failed: dict[str, str] = Field(default_factory=dict)


class Shelf:
    """The adapters in the folders under `folder`, by the folders' names.

    make: makes a model of a name and an adapter folder, without opening it.
    """

    def __init__(self, folder: Path, make: Callable[[str, Path], Served]) -> None:
        self._folder = folder
        self._make = make
        self._seen: dict[str, tuple[tuple[str, int, int], ...]] = {}
        self._looking = threading.Lock()

    def reload(self, service: Service) -> Changes:
        """Bring the service's models in line with the folder. A model that is replaced or removed ends its work first.

        Returns when all that came have been opened. Raises MissingError where the folder is gone.
        """
        with self._looking:
            there = self._look()
            added: list[str] = []
            changed: list[str] = []
            failed: dict[str, str] = {}
            for name, stamp in there.items():
                if self._seen.get(name) == stamp:
                    continue
                if name not in self._seen and name in service.served:
                    failed[name] = "已有一个同名的模型。请给这个目录改名。"
                    continue
                try:
                    model = self._opened(name)
                except BentsaoError as error:
                    failed[name] = str(error)
                    continue
                (changed if name in self._seen else added).append(name)
                self._seen[name] = stamp
                service.put(model)
            removed = sorted(self._seen.keys() - there.keys())
            for name in removed:
                del self._seen[name]
                service.remove(name)
            return Changes(added=tuple(added), changed=tuple(changed), removed=tuple(removed), failed=failed)

    def _look(self) -> dict[str, tuple[tuple[str, int, int], ...]]:
        """Each adapter's name, with what tells whether it is still the same."""
        if not self._folder.is_dir():
            raise MissingError(f"找不到适配器所在的目录 {self._folder}。请检查路径。")
        found: dict[str, tuple[tuple[str, int, int], ...]] = {}
        for config in sorted(self._folder.glob(f"*/{_CONFIG}")):
            files = sorted(file for file in config.parent.iterdir() if file.is_file())
            found[config.parent.name] = tuple(_stamp(file) for file in files)
        return found

    def _opened(self, name: str) -> Served:
        model = self._make(name, self._folder / name)
        try:
            model.engine()
        except BaseException:
            model.batcher.close()
            raise
        return model


def _stamp(file: Path) -> tuple[str, int, int]:
    found = file.stat()
    return file.name, found.st_mtime_ns, found.st_size
