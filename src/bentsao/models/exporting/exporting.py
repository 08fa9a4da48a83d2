"""The formats that a base with its adapter can be written in, and the writing: whole, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from bentsao.core.errors import BentsaoError, ConfigError, MissingError
from bentsao.core.files import (
    cache_folder,
    read_json,
    read_json_object,
    sha256_file,
    sha256_text,
    write_json,
    write_text,
)
from bentsao.core.formats import FILE_NAME
from bentsao.core.rendering import stop_ids
from bentsao.models.adapters import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    load_onto,
)
from bentsao.models.converting import check_convertible, write_converted
from bentsao.models.exporting.card import model_card
from bentsao.models.exporting.consolidated import write_consolidated
from bentsao.models.exporting.gguf_file import check_gguf, write_gguf
from bentsao.models.exporting.merged import (
    SHARD_BYTES,
    Merged,
    merged_tensors,
    write_dress,
    write_tokenizer,
    write_weights,
)
from bentsao.models.exporting.quantising import check_quantiser
from bentsao.models.exporting.source import Source
from bentsao.models.exporting.templates import jinja_template, modelfile
from bentsao.models.loading import load_base, stored_parameters
from bentsao.models.locking import alone
from bentsao.models.machine import DTYPES

ACCOUNT = "bentsao-export.json"
"""The account in an exported folder: what it was made from."""

_PLAN = ".plan.json"
"""What an unfinished export is of; another is begun anew."""


@dataclass(frozen=True)
class Target:
    """How it is to be written, for the formats that leave a choice.

    dtype: of the weights, None as the base stores them; shard_bytes: of a file. report: told what takes long.
    """

    dtype: torch.dtype | None = None
    shard_bytes: int = SHARD_BYTES
    report: Callable[[str], None] = lambda _: None


Write = Callable[[Path, Source, Target], None]
"""Writes a source into an empty folder (or one that it was writing when it was killed)."""


@dataclass(frozen=True)
class Format:
    """A format. bytes_each: of a weight on the disk; None: as the base's."""

    description: str
    write: Write
    check: Callable[[Source], None]
    bytes_each: float | None = None


def export(form: str, source: Source, out: Path, target: Target) -> None:
    """Write `source` into the folder `out` in a format of FORMATS.

    The folder comes whole or not at all; shards of an export that was killed are not written again. Raises ConfigError
    for a folder that holds something else, MissingError without room on the disk, ModelError where the format has no
    place for the model.
    """
    chosen = FORMATS[form]
    _check_out(out)
    chosen.check(source)
    _check_space(out, source, chosen, target.dtype)
    facts = _facts(form, source, target)
    lock = cache_folder() / "locks" / f"{sha256_text(str(out.resolve()))[:16]}.lock"
    with alone(lock, target.report, f"另一个进程正在写 {out}，等它完成……"), _unfinished(out, facts) as work:
        chosen.write(work, source, target)
        write_text(work / "README.md", model_card(form, chosen.description, source))
        write_json(work / FILE_NAME, source.chat_format.model_dump(mode="json"))
        write_json(work / ACCOUNT, facts)


# ---------------------------------------------------------------------------------------------------------------------


def _hugging_face(work: Path, source: Source, target: Target) -> None:
    merged = merged_tensors(source.located, source.info, target.dtype)
    write_weights(work, merged, target.report, target.shard_bytes)
    _dress(work, source, merged, target.dtype)


def _llama(work: Path, source: Source, target: Target) -> None:
    merged = merged_tensors(source.located, source.info, target.dtype)
    _dress(work, source, merged, target.dtype)
    write_consolidated(work, merged.tensors, AutoConfig.from_pretrained(work))


def _ctranslate2(precision: Any) -> Write:
    def write(work: Path, source: Source, target: Target) -> None:
        how: Any = {"device": "cpu", "dtype": "float32", "report": target.report}
        located, info = source.located, source.info
        loaded = load_base(located, **how) if info is None else load_onto(located, info, **how)
        converted = work / "converted.partial"  # the converter empties the folder it is given
        write_converted(loaded, precision, converted)
        for file in converted.iterdir():
            file.replace(work / file.name)
        converted.rmdir()
        write_tokenizer(work, source.tokens, source.chat_format)

    return write


def _gguf(form: str) -> Write:
    def write(work: Path, source: Source, _: Target) -> None:
        located, tokens, chat_format = source.located, source.tokens, source.chat_format
        file, dress = work / f"{source.name}-{form}.gguf", work / ".dress"
        dress.mkdir(exist_ok=True)
        merged = merged_tensors(located, source.info)
        _dress(dress, source, merged, None)
        write_gguf(
            file,
            merged.tensors,
            dress,
            form,
            tokens=tokens,
            template=jinja_template(chat_format, tokens),
            name=source.name,
            stops=stop_ids(chat_format, tokens),
        )
        context = AutoConfig.from_pretrained(dress).max_position_embeddings
        shutil.rmtree(dress)
        licence = None if located.preset is None else located.preset.licence
        text = modelfile(file.name, chat_format, tokens, context=context, licence=licence)
        write_text(work / "Modelfile", text)

    return write


def _dress(folder: Path, source: Source, merged: Merged, dtype: torch.dtype | None) -> None:
    write_dress(folder, source.located, merged, tokens=source.tokens, chat_format=source.chat_format, dtype=dtype)


def _any(_: Source) -> None:
    """Every architecture that transformers knows."""


def _is_llama(source: Source) -> None:
    kind = read_json_object(source.located.folder / "config.json").get("model_type")
    if kind != "llama":
        raise ConfigError(f"llama 格式只适用于 LLaMA 架构，{source.located.name} 是 {kind}。请换一种导出格式。")


def _fits_ctranslate2(source: Source) -> None:
    check_convertible(source.located)


def _fits_gguf(source: Source) -> None:
    check_gguf(AutoConfig.from_pretrained(source.located.folder))


def _can_quantise(source: Source) -> None:
    _fits_gguf(source)
    check_quantiser()


FORMATS: dict[str, Format] = {
    "hf": Format("Hugging Face 目录（safetensors）", _hugging_face, _any),
    "llama": Format("LLaMA 原始格式（consolidated.00.pth）", _llama, _is_llama),
    "ct2-float32": Format("CTranslate2，float32", _ctranslate2("float32"), _fits_ctranslate2, 4.2),
    "ct2-int8": Format("CTranslate2，int8", _ctranslate2("int8"), _fits_ctranslate2, 2),
    "gguf-f16": Format("GGUF，F16", _gguf("F16"), _fits_gguf, 2),
    "gguf-q8_0": Format("GGUF，Q8_0", _gguf("Q8_0"), _fits_gguf, 1.1),
    "gguf-q4_k_m": Format("GGUF，Q4_K_M", _gguf("Q4_K_M"), _can_quantise, 0.7),
}
"""The formats by name; add one here, with what opens it again in `inference/reopening.py`."""


# ---------------------------------------------------------------------------------------------------------------------


def _facts(form: str, source: Source, target: Target) -> dict[str, Any]:
    """What decides what is written. A base without a revision is known by its files' sizes and times."""
    located, info = source.located, source.info
    names = {number: name for name, number in DTYPES.items()}
    files = sorted(
        [*located.folder.glob("*.safetensors"), *located.folder.glob("*.bin"), located.folder / "config.json"]
    )
    return {
        "format": form,
        "base": {"name": located.name, "revision": located.revision},
        "files": [] if located.revision else [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files],
        "adapter": None
        if info is None
        else {
            "name": info.folder.resolve().name,
            CONFIG_NAME: sha256_file(info.folder / CONFIG_NAME),
            WEIGHTS_NAME: sha256_file(info.folder / WEIGHTS_NAME),
        },
        "chat_format": {"name": source.chat_format.name, "hash": source.chat_format.hash},
        "dtype": None if target.dtype is None else names[target.dtype],
        "shard_bytes": target.shard_bytes,
    }


def _check_out(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / ACCOUNT).is_file()):
        raise ConfigError(f"{out} 已经存在，而且不是导出的目录；不会覆盖它。请换一个 --out。")


def _check_space(out: Path, source: Source, chosen: Format, dtype: torch.dtype | None) -> None:
    folder = source.located.folder
    files = list(folder.glob("*.safetensors")) or list(folder.glob("*.bin"))
    each, parameters = chosen.bytes_each or (dtype and dtype.itemsize), stored_parameters(folder)
    needed = parameters * each if parameters and each else sum(file.stat().st_size for file in files)
    free = shutil.disk_usage(next(folder for folder in out.resolve().parents if folder.exists())).free
    if free < needed:
        raise MissingError(
            f"{out} 所在的磁盘只剩 {free / 1e9:.1f} GB，导出需要 {needed / 1e9:.1f} GB。请换一个 --out。"
        )


@contextmanager
def _unfinished(out: Path, facts: dict[str, Any]) -> Generator[Path]:
    """A folder beside `out` that takes its place when all is written, and waits for the next try when it is not."""
    work = out.resolve().with_name(f".{out.resolve().name}.partial")
    try:
        same = read_json(work / _PLAN) == facts
    except BentsaoError:
        same = False
    if not same:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        write_json(work / _PLAN, facts)
    for left in work.glob(".*.tmp"):
        left.unlink()
    yield work
    (work / _PLAN).unlink()
    aside = work.with_suffix(".old")
    shutil.rmtree(aside, ignore_errors=True)
    if out.exists():
        out.rename(aside)
    work.rename(out)
    shutil.rmtree(aside, ignore_errors=True)
