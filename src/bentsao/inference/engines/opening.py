"""From an adapter folder or a base's name to an engine. `ENGINES` is the list of engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bentsao.core.errors import ConfigError, MissingError
from bentsao.inference.engine import Engine, EngineName
from bentsao.inference.engines import ctranslate2_opening, transformers_engine, vllm_engine
from bentsao.inference.engines.chosen import ChosenModel, Wanted
from bentsao.models.converting import ConversionError
from bentsao.models.loading import Quantization

ENGINES: dict[EngineName, Callable[[ChosenModel, Wanted], Engine]] = {
    "transformers": transformers_engine.open_model,
    "ctranslate2": ctranslate2_opening.open_model,
    "vllm": vllm_engine.open_model,
}
"""How each engine is opened. They raise ConfigError for what they cannot do, before weights are read."""


def open_engine(
    *,
    adapter: Path | None,
    base: str | None,
    chat_format: str | None,
    report: Callable[[str], None],
    device: str | None = None,
    dtype: str | None = None,
    quantization: Quantization | None = None,
    trust_remote_code: bool = False,
    engine: EngineName = "auto",
    gpus: int = 1,
) -> Engine:
    """An engine for an adapter, or for an untuned base where `adapter` is None.

    base: with an adapter, the base to put it on instead of the one it was tuned on. chat_format: a name or file; None
    means the adapter's own format, or the base's. report: told of everything that may spoil the answers. engine:
    "auto" takes ctranslate2 on a CPU for an architecture it can convert, in int8 unless `dtype` is float32; else
    transformers. gpus: over how many vllm spreads the model. The other arguments and errors are `load_base`'s.
    Raises ConfigError if neither adapter nor base is given, or for settings that the engine has not.
    """
    model = ChosenModel(adapter, base, chat_format, trust_remote_code, report)
    wanted = Wanted(device, dtype, quantization, gpus)
    if gpus != 1 and engine != "vllm":
        raise ConfigError("--gpus 只用于 vllm 引擎。请加上 --engine vllm，或去掉 --gpus。")
    if engine == "auto":
        return _fastest(model, wanted)
    try:
        return ENGINES[engine](model, wanted)
    except ConversionError as error:
        raise ConversionError(f"{error}请用 --engine transformers。") from None


def _fastest(model: ChosenModel, wanted: Wanted) -> Engine:
    _ = model.located  # what is wrong with the model itself is no reason to take another engine
    if ctranslate2_opening.suits(wanted):
        try:
            return ENGINES["ctranslate2"](model, wanted)
        except (ConversionError, MissingError) as error:
            model.report(f"{error}改用 transformers 引擎，会慢一些。")
    return ENGINES["transformers"](model, wanted)
