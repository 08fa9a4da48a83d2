"""Plain text → training rows, for continued pre-training: documents behind each other, cut into rows of full length.

Every token of a document is learnt, and the end token after it; what a document begins with is not predicted from the
document before it. A row reads across the border (attention is not kept apart), as bases are pre-trained themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentsao.core.errors import ConfigError, DataError, Fault, MissingError
from bentsao.core.files import Place, read_text, sha256_file
from bentsao.core.grounding import DEFAULT_PART
from bentsao.core.rendering import IGNORE, Row, Tokens
from bentsao.core.rows import RowError, read_rows
from bentsao.tuning.recipe import DataPart
from bentsao.tuning.rows import Account, Rows

KEYS = ("text", "content")
"""Where a document's text stands in a JSON row."""


@dataclass(frozen=True)
class Document:
    """A text to be learnt whole. id: the file, and in a JSON file the row (from 1)."""

    id: str
    text: str


@dataclass(frozen=True)
class Documents:
    """What is learnt and what is validated on. files: SHA-256 of every file read, by path; copies: documents left out
    because another is the same to the letter.
    """

    train: list[Document]
    valid: list[Document]
    files: dict[str, str]
    copies: int = 0


def gather_texts(part: DataPart, seed: int) -> Documents:
    """Read the files and hold documents out for validation. A folder stands for its .txt and .jsonl files.

    Raises DataError with the faults of all files.
    """
    if not part.files:
        raise ConfigError("没有训练数据。请用 --data FILE 或配方的 [data] files 指定。")
    files = _files([Path(name) for name in part.files])
    everything = _read_all(files)
    found = _without_copies(everything)
    copies = len(everything) - len(found)
    random.Random(f"{seed}:texts").shuffle(found)
    found = found[: part.limit]
    hashes = {str(path): sha256_file(path) for path in files}
    if part.validation_file:
        held_out = _files([Path(part.validation_file)])
        hashes |= {str(path): sha256_file(path) for path in held_out}
        learnt = {document.text for document in found}
        given = _read_all(held_out)
        valid = [document for document in _without_copies(given) if document.text not in learnt]
        return Documents(found, valid, hashes, copies + len(given) - len(valid))
    wanted = part.held_out(len(found))
    count = min(round(wanted) or int(wanted > 0), len(found) - 1)
    return Documents(found[count:], found[:count], hashes, copies)


def pack(
    documents: Sequence[Document],
    tokens: Tokens,
    *,
    length: int,
    progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Rows of `length` tokens, the last one shorter; a row's id is that of the document it begins in."""
    rows: list[Row] = []
    ids: list[str] = []
    read: list[int] = []
    targets: list[int] = []
    owners: list[str] = []
    for number, document in enumerate(documents):
        body = [*tokens.start_ids, *tokens.encode(document.text, control=False, after=False)]
        read += [*body, tokens.end_id]
        targets += [*body[1:], tokens.end_id, IGNORE]
        owners += [document.id] * (len(body) + 1)
        while len(read) >= length:
            rows.append(Row(tuple(read[:length]), tuple(targets[:length])))
            ids.append(owners[0])
            del read[:length], targets[:length], owners[:length]
        if progress and number % 200 == 0:
            progress(number, len(documents))
    if any(target != IGNORE for target in targets):
        rows.append(Row(tuple(read), tuple(targets)))
        ids.append(owners[0])
    learnt = sum(row.learnt for row in rows)
    account = Account(
        conversations=len(documents),
        rows=len(rows),
        tokens=sum(len(row.ids) for row in rows),
        learnt_tokens=learnt,
        learnt_by_part={DEFAULT_PART: learnt} if learnt else {},
        longest=max((len(row.ids) for row in rows), default=0),
    )
    return Rows(tuple(rows), tuple(ids), account)


def _files(paths: Iterable[Path]) -> list[Path]:
    out: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.suffix in (".txt", ".jsonl")) if path.is_dir() else [path]
        if not inside:
            raise MissingError(f"目录 {path} 里没有 .txt 或 .jsonl 文件。")
        out += inside
    return out


def _read_all(files: Sequence[Path]) -> list[Document]:
    found: list[Document] = []
    faults: list[Fault] = []
    for path in files:
        if path.suffix in (".json", ".jsonl"):
            try:
                found += read_rows(path, _document, nothing="文件里没有任何数据。")
            except DataError as error:
                faults += error.faults
        elif text := read_text(path).strip():
            found.append(Document(str(path), text))
        else:
            faults.append(Fault(str(path), None, "文本", "", "文件是空的。"))
    if faults:
        raise DataError(faults)
    return found


def _document(place: Place, row: Any) -> Document:
    texts = [row[key] for key in KEYS if key in row] if isinstance(row, dict) else [row]
    text = texts[0] if texts else None
    if not isinstance(text, str) or not text.strip():
        raise RowError("text", row, f"应有一段文字，在 {' 或 '.join(KEYS)} 字段里。")
    return Document(f"{place.file}:{place.row}", text.strip())


def _without_copies(documents: Sequence[Document]) -> list[Document]:
    """Each text once, so that none is both learnt and validated on."""
    return list({document.text: document for document in reversed(documents)}.values())[::-1]
