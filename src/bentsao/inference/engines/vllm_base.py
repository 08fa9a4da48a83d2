"""vLLM with a base in it, which is loaded once for all the adapters that are put on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.core.errors import MissingError, ModelError, short
from bentsao.core.files import read_json_object
from bentsao.models.adapters import CONFIG_NAME

RANKS = (64, 128, 256, 320, 512)
"""The ranks that a base is opened for; vLLM knows smaller ones, which would only part adapters of one base."""


@dataclass(frozen=True)
class LoadedBase:
    """A base in vLLM, which all engines on it share. lock: held while one of them asks.

    key: what was loaded (folder, number format, GPUs); rank: the highest rank of adapters, 0 for none.
    """

    llm: Any
    key: tuple[str, str, int]
    rank: int
    adapters: dict[Path, Any] = field(default_factory=dict[Path, Any])
    lock: threading.Lock = field(default_factory=threading.Lock)


_LOADED: list[LoadedBase] = []
_LOADING = threading.Lock()


def open_base(folder: Path, *, dtype: str | None, gpus: int, rank: int, trust_remote_code: bool) -> LoadedBase:
    """The base of that folder, loaded once for all adapters. rank: of the adapter that it is for, 0 for none.

    Raises MissingError without vLLM, ModelError where vLLM cannot load it.
    """
    vllm = vllm_library()
    key = (str(folder), dtype or "auto", gpus)
    with _LOADING:
        for loaded in _LOADED:
            if loaded.key == key and rank <= loaded.rank:
                return loaded
        highest = 0 if rank == 0 else next((known for known in RANKS if rank <= known), None)
        if highest is None:
            raise ModelError(f"适配器的秩是 {rank}，vLLM 最多 {RANKS[-1]}。请先合并成完整的模型，或用其他引擎。")
        lora: dict[str, Any] = {"enable_lora": True, "max_lora_rank": highest, "max_cpu_loras": 16} if highest else {}
        try:
            llm = vllm.LLM(
                str(folder),
                skip_tokenizer_init=True,
                trust_remote_code=trust_remote_code,
                tensor_parallel_size=gpus,
                dtype=key[1],
                generation_config="vllm",
                max_model_len=-1,  # as much as fits
                enable_prefix_caching=True,
                logits_processors=["bentsao.inference.engines.vllm_control:RepetitionControl"],
                **lora,
            )
        except (ValueError, RuntimeError, OSError) as error:
            raise ModelError(f"vLLM 打不开 {folder}：{short(error)}。可以改用 --engine transformers。") from error
        _LOADED.append(LoadedBase(llm, key, highest))
        return _LOADED[-1]


def rank_of(adapter: Path) -> int:
    """The highest rank in an adapter folder."""
    config = read_json_object(adapter / CONFIG_NAME)
    return max([config.get("r", 8), *(config.get("rank_pattern") or {}).values()])


def put_on(base: LoadedBase, adapter: Path) -> Any:
    """vLLM's handle of the adapter, which is loaded here, so that a fault shows now."""
    folder = adapter.resolve()
    with base.lock:
        if folder not in base.adapters:
            number = len(base.adapters) + 1
            # vLLM tells adapters apart by their names, so the whole path is one.
            request = _lora_request()(str(folder), number, str(folder))
            try:
                base.llm.llm_engine.add_lora(request)
            except Exception as error:  # whatever came of it in another process
                raise ModelError(
                    f"vLLM 不能把适配器 {adapter} 放到基座上：{short(error)}。可以用 --engine transformers。"
                ) from error
            base.adapters[folder] = request
        return base.adapters[folder]


def vllm_library() -> Any:
    """The library. Raises MissingError where it is not installed."""
    try:
        import vllm  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingError(
            f"缺少 {error.name}：vllm 引擎要在有 GPU 的 Linux 上安装 pip install 'bentsao[vllm]'。"
            "没有 GPU 请去掉 --engine vllm（CPU 上用 ctranslate2）。"
        ) from None
    return vllm


def _lora_request() -> Any:
    from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]

    return LoRARequest
