"""A chosen model for CTranslate2: merged, converted once into the cache, opened."""

from __future__ import annotations

from bentsao.core.errors import ConfigError
from bentsao.inference.engines.chosen import ChosenModel, Wanted
from bentsao.inference.engines.ctranslate2_engine import CTranslate2Engine
from bentsao.models.converting import Precision, check_convertible, convert
from bentsao.models.machine import choose_device


def suits(wanted: Wanted) -> bool:
    """Whether it can run as wanted: on a CPU, in int8 or float32."""
    on_cpu = choose_device(wanted.device).type == "cpu"
    return on_cpu and wanted.dtype in (None, "float32") and wanted.quantization in (None, "8bit")


def open_model(model: ChosenModel, wanted: Wanted) -> CTranslate2Engine:
    """The engine. Raises ConfigError where it does not suit, ConversionError for an architecture that it has not."""
    if not suits(wanted):
        raise ConfigError(
            "ctranslate2 引擎在 CPU 上以 int8（缺省）或 float32 运行。请加上 --device cpu 并去掉其他的 --dtype 与 "
            "--quantization，或用 --engine transformers。"
        )
    precision: Precision = "float32" if wanted.dtype == "float32" and wanted.quantization is None else "int8"
    check_convertible(model.located)
    on_cpu = Wanted(device="cpu", dtype="float32")
    folder, account = convert(model.located, model.folder, precision, lambda: model.load(on_cpu), model.report)
    tokens, chosen = model.dressed()
    return CTranslate2Engine(folder, account, tokens, chosen, name=model.name("ctranslate2", precision))
