"""The sample knowledge base: common diseases, drugs, symptoms, examinations, operations, departments, and literature.

Written for this project from general medical knowledge. Not clinically reviewed: for development and demonstration,
not for treating anyone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from bentsao import __version__
from bentsao.core.files import cache_folder, sha256_file, sha256_text, whole_file
from bentsao.knowledge.importers import READERS
from bentsao.knowledge.migrations import MIGRATIONS
from bentsao.knowledge.rows import SourceInfo
from bentsao.knowledge.writing import import_rows

LICENCE = "Apache-2.0；未经临床审核，仅供开发与演示"

PARTS: dict[str, tuple[str, str]] = {
    "diseases.jsonl": ("示例·疾病", "cmekg"),
    "drugs.jsonl": ("示例·药物", "cmekg"),
    "symptoms.jsonl": ("示例·症状", "cmekg"),
    "examinations.jsonl": ("示例·检查", "cmekg"),
    "operations.jsonl": ("示例·手术", "cmekg"),
    "departments.jsonl": ("示例·科室", "cmekg"),
    "literature.jsonl": ("示例·文献", "literature"),
}
"""The files of the sample: the source that their facts are cited by, and their reader."""


def sample_kb(report: Callable[[str], None] = lambda _: None) -> Path:
    """The sample knowledge base as a file in the cache folder, built there the first time (about a second).

    Another content, another version of the tables or of the package makes another file. Raises StoreError if it
    cannot be written.
    """
    with as_file(files("bentsao.knowledge.sample")) as folder:
        parts = {folder / name: part for name, part in PARTS.items()}
        key = sha256_text("\n".join([__version__, str(len(MIGRATIONS)), *map(sha256_file, parts)]))[:16]
        path = cache_folder() / f"sample-{key}.sqlite"
        if not path.exists():
            report("首次使用，正在建立示例知识库……")
            with whole_file(path) as temporary:
                for file, (name, reader) in parts.items():
                    source = SourceInfo(name=name, file=file.name, licence=LICENCE, sha256=sha256_file(file))
                    import_rows(temporary, READERS[reader].read(file), source)
    return path
