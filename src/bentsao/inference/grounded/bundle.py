"""A bundle: everything that decides what a grounded answer says, in one folder under one hash.

bundle.json          base (name and revision), the SHA-256 of each part, and one hash over all of that
policy.json          how answers are made (`records.Policy`)
knowledge_base.sqlite   one consistent copy of the knowledge base
adapter/             adapter_config.json, adapter_model.safetensors, chat_format.json, bentsao.json

The hash knows contents only, no paths and no times: the same parts make the same hash wherever they are put together.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bentsao.core.complaints import in_one_line
from bentsao.core.errors import ConfigError, DataError, Fault, MissingError
from bentsao.core.files import read_json, sha256_file, sha256_text, whole_folder, write_json
from bentsao.core.formats import FILE_NAME as FORMAT_NAME
from bentsao.core.records import Record
from bentsao.inference.grounded.records import Policy
from bentsao.knowledge.database import connect_reader, explained
from bentsao.knowledge.migrations import MIGRATIONS
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.adapters import CONFIG_NAME, MANIFEST_NAME, TOKENIZER_FILES, WEIGHTS_NAME, read_adapter

BUNDLE_NAME = "bundle.json"
_KB, _POLICY, _ADAPTER = "knowledge_base.sqlite", "policy.json", "adapter"
_ADAPTER_FILES = (CONFIG_NAME, WEIGHTS_NAME, FORMAT_NAME, MANIFEST_NAME, *TOKENIZER_FILES)


class Contents(Record):
    """bundle.json. parts: SHA-256 of each file by its path in the folder. hash: over base, base_revision and parts."""

    hash: str
    base: str
    base_revision: str | None
    parts: dict[str, str]

    @staticmethod
    def of(base: str, base_revision: str | None, parts: Mapping[str, str]) -> Contents:
        """The contents of these parts, with the hash over all."""
        ordered = dict(sorted(parts.items()))
        whole = json.dumps([base, base_revision, ordered], ensure_ascii=False)
        return Contents(hash=sha256_text(whole), base=base, base_revision=base_revision, parts=ordered)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose parts have been checked."""

    folder: Path
    contents: Contents
    policy: Policy

    @property
    def hash(self) -> str:
        """What its answers name it by."""
        return self.contents.hash

    @property
    def adapter(self) -> Path:
        """The adapter folder."""
        return self.folder / _ADAPTER

    @property
    def engine_parts(self) -> tuple[object, ...]:
        """What decides the engine: two bundles with the same may share one."""
        adapter = {name: sha for name, sha in self.contents.parts.items() if name.startswith(f"{_ADAPTER}/")}
        return self.contents.base, self.contents.base_revision, tuple(sorted(adapter.items()))

    @property
    def kb(self) -> Path:
        """The knowledge base's file."""
        return self.folder / _KB

    def opened_kb(self) -> KnowledgeBase:
        """The knowledge base; close it, or use it in `with`."""
        return KnowledgeBase.open(self.kb)


def make_bundle(adapter: Path, kb: Path, policy: Policy, out: Path) -> Bundle:
    """Put a bundle together in the new folder `out`, whole or not at all.

    Raises ConfigError if `out` is there already or the adapter names no base, and as `read_adapter` and
    `KnowledgeBase.open` do.
    """
    if out.exists():
        raise ConfigError(f"{out} 已经存在，没有覆盖它。请用 --out 换一个目录。")
    info = read_adapter(adapter)
    if info.base is None:
        raise ConfigError(f"适配器 {adapter} 没有写明它的基座，不能做成包：换一个基座，回答就不同。")
    if info.chat_format is None:
        raise ConfigError(f"适配器 {adapter} 没有记下对话格式（{FORMAT_NAME}），不能做成包：换一个格式，回答就不同。")
    with whole_folder(out) as folder:
        (folder / _ADAPTER).mkdir()
        for name in _ADAPTER_FILES:
            if (info.folder / name).is_file():
                shutil.copyfile(info.folder / name, folder / _ADAPTER / name)
        _copy_kb(kb, folder / _KB)
        write_json(folder / _POLICY, policy.model_dump())
        contents = Contents.of(info.base, info.base_revision, _parts(folder))
        write_json(folder / BUNDLE_NAME, contents.model_dump())
    return open_bundle(out)


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle and check every part against its hash.

    Raises MissingError where it is no bundle, DataError where bundle.json or the policy cannot be read, ConfigError
    naming every part that was changed, taken away or added, or a knowledge base of an older version.
    """
    if not (folder / BUNDLE_NAME).is_file():
        raise MissingError(f"{folder} 不是包：里面没有 {BUNDLE_NAME}。可用 bentsao bundle make 做一个。")
    try:
        contents = Contents.model_validate(read_json(folder / BUNDLE_NAME))
    except ValidationError as error:
        fault = Fault(str(folder / BUNDLE_NAME), None, "内容", "", f"不是包的清单：{in_one_line(error)}。")
        raise DataError([fault]) from None
    found = _parts(folder)
    changed = [
        f"{name}（{'缺少' if name not in found else '多出' if name not in contents.parts else '被改动'}）"
        for name in sorted({*found, *contents.parts})
        if found.get(name) != contents.parts.get(name)
    ]
    if contents.hash != Contents.of(contents.base, contents.base_revision, contents.parts).hash:
        changed.append(f"{BUNDLE_NAME}（被改动）")
    if changed:
        raise ConfigError(
            f"包 {folder} 与它的清单不符：{'、'.join(changed)}。它的回答不再能对应到 {contents.hash[:16]}；"
            "请取回原来的包，或用 bentsao bundle make 重新做一个。"
        )
    _check_version(folder / _KB)
    return Bundle(folder, contents, Policy.model_validate(read_json(folder / _POLICY)))


def _parts(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of the folder but bundle.json, by its path in it."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {name: sha256_file(file) for name, file in files.items() if name != BUNDLE_NAME}


def _copy_kb(kb: Path, target: Path) -> None:
    """A copy of the last finished import, also while another is being written, as one file that readers leave as it is.

    Packed, so that its bytes follow from its contents and not from what was deleted before.
    """
    with explained(kb), closing(connect_reader(kb)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.execute("VACUUM")


def _check_version(kb: Path) -> None:
    """A knowledge base of an older version would be brought up to date, and so changed, when it is opened."""
    with explained(kb), closing(sqlite3.connect(f"{kb.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < len(MIGRATIONS):
        raise ConfigError("这个包由旧版 bentsao 做成，它的知识库格式已经过时。请用 bentsao bundle make 重新做一个。")
