"""From an adapter folder or a base's name to an engine, with the chat format that belongs to the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bentsao.core.errors import ConfigError, MissingError
from bentsao.core.files import read_json, sha256_file
from bentsao.core.formats import ChatFormat
from bentsao.inference.engine import Engine
from bentsao.inference.transformers_engine import TransformersEngine
from bentsao.models.adapters import (
    WEIGHTS_NAME,
    AdapterInfo,
    adapter_tokens,
    load_onto,
    locate_base,
    read_adapter,
)
from bentsao.models.converting import ConversionError, Precision, check_convertible, convert
from bentsao.models.fetching import Located, locate
from bentsao.models.loading import Base, Quantization, default_format, load_base, open_tokens, resolve_format
from bentsao.models.machine import choose_device
from bentsao.models.tokens import HFTokens

EngineName = Literal["auto", "transformers", "ctranslate2", "vllm"]


@dataclass(frozen=True)
class _Model:
    """What is to be opened, before any weights are: the base on this machine, and the adapter to put on it."""

    located: Located
    info: AdapterInfo | None
    wanted_format: str | None
    trust_remote_code: bool
    report: Callable[[str], None]

    def load(self, **how: Any) -> Base:
        """With transformers, the adapter on the base."""
        every: Any = {"trust_remote_code": self.trust_remote_code, "report": self.report, **how}
        return load_base(self.located, **every) if self.info is None else load_onto(self.located, self.info, **every)

    def dressed(self) -> tuple[HFTokens, ChatFormat]:
        """The tokens and the chat format, for engines that load the weights themselves."""
        plain = open_tokens(self.located, self.trust_remote_code)
        own = plain
        if self.info is not None:
            own = adapter_tokens(self.located, self.info, plain, trust_remote_code=self.trust_remote_code)
        return self.dress(own, default_format(plain, self.located.preset, self.located.folder))

    def dress(self, tokens: HFTokens, default: ChatFormat) -> tuple[HFTokens, ChatFormat]:
        """The chat format, and the tokens with its template where it is a base's."""
        chosen = self._format(tokens, default)
        # The format's own text counts, also where it came from a file and the base has another.
        return (tokens.with_template(chosen.base_template) if chosen.base_template else tokens), chosen

    def _format(self, tokens: HFTokens, default: ChatFormat) -> ChatFormat:
        """The format wanted, else the one stored in the adapter, else the base's; what does not fit is told."""
        if self.info is None:
            return resolve_format(self.wanted_format, tokens, default)
        stored = self.info.chat_format
        chosen = resolve_format(self.wanted_format, tokens, stored or default)
        if stored is not None and chosen.hash != stored.hash:
            self.report(
                f"警告：适配器 {self.info.name} 是用对话格式 {stored.name}（{stored.hash}）微调的，"
                f"现在改用 {chosen.name}（{chosen.hash}）。格式不同，回答通常会变差。去掉 --format 就用它自己的格式。"
            )
        if stored is None and self.wanted_format is None:
            self.report(
                f"警告：适配器 {self.info.name} 没有记下对话格式，按 {chosen.name} 格式提问。"
                "如果它是用别的格式微调的，回答会变差；请用 --format 指定"
                "（原项目的权重：med_template、bloom_deploy 或 literature_template）。"
            )
        return chosen

    def name(self, engine: str, precision: str) -> str:
        """Base, engine, precision and adapter; the adapter by its weights, so that one tuned anew is another."""
        base = f"{self.located.name}@{self.located.revision}" if self.located.revision else self.located.name
        parts = [base, engine, precision]
        if self.info is not None:
            parts.append(f"+ {self.info.name}@{sha256_file(self.info.folder / WEIGHTS_NAME)[:12]}")
        return " ".join(parts)


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
    info = None if adapter is None else read_adapter(adapter, report)
    if info is None and base is None:
        raise ConfigError(
            "没有指定模型。请用 --adapter DIR 给出适配器目录，或用 --base NAME 给出未微调的基座（如 --base embedded）。"
        )
    if engine == "vllm":
        _check_vllm(device, quantization, gpus)
    elif gpus != 1:
        raise ConfigError("--gpus 只用于 vllm 引擎。请加上 --engine vllm，或去掉 --gpus。")
    precision = None if engine == "vllm" else _precision(engine, choose_device(device).type, dtype, quantization)
    located = locate(base or "", report) if info is None else locate_base(info, base, report)
    model = _Model(located, info, chat_format, trust_remote_code, report)
    if engine == "vllm":
        return _open_vllm(model, dtype, gpus)
    if precision is not None:
        try:
            return _open_converted(model, precision)
        except (ConversionError, MissingError) as error:
            if engine == "ctranslate2":
                raise type(error)(f"{error}请用 --engine transformers。") from None
            report(f"{error}改用 transformers 引擎，会慢一些。")
    loaded = model.load(device=device, dtype=dtype, quantization=quantization)
    tokens, chosen = model.dress(loaded.tokens, loaded.default_format)
    name = model.name("transformers", quantization or str(loaded.dtype).removeprefix("torch."))
    return TransformersEngine(replace(loaded, tokens=tokens), chosen, name=name)


def _precision(engine: EngineName, device: str, dtype: str | None, quantization: str | None) -> Precision | None:
    """In what CTranslate2 is to compute; None where transformers is to be used.

    Raises ConfigError where CTranslate2 is asked for and cannot do what else is asked.
    """
    fits = device == "cpu" and dtype in (None, "float32") and quantization in (None, "8bit")
    if engine == "transformers" or (engine == "auto" and not fits):
        return None
    if not fits:
        raise ConfigError(
            "ctranslate2 引擎在 CPU 上以 int8（缺省）或 float32 运行。请加上 --device cpu 并去掉其他的 --dtype 与 "
            "--quantization，或用 --engine transformers。"
        )
    return "float32" if dtype == "float32" and quantization is None else "int8"


def _open_converted(model: _Model, precision: Precision) -> Engine:
    check_convertible(model.located)
    # Here and not above, because not every machine has it.
    from bentsao.inference.ctranslate2_engine import CTranslate2Engine

    folder, account = convert(
        model.located,
        None if model.info is None else model.info.folder,
        precision,
        lambda: model.load(device="cpu", dtype="float32"),
        model.report,
    )
    tokens, chosen = model.dressed()
    return CTranslate2Engine(folder, account, tokens, chosen, name=model.name("ctranslate2", precision))


def _check_vllm(device: str | None, quantization: str | None, gpus: int) -> None:
    if device is not None or quantization is not None:
        raise ConfigError(
            "vllm 引擎自己管理 GPU，不用 --device 与 --quantization。请去掉它们（选哪些 GPU 用环境变量 "
            "CUDA_VISIBLE_DEVICES，几张用 --gpus），或用 --engine transformers。"
        )
    if gpus < 1:
        raise ConfigError(f"--gpus {gpus} 应不小于 1。")


def _open_vllm(model: _Model, dtype: str | None, gpus: int) -> Engine:
    if read_json(model.located.folder / "config.json").get("model_type") == "chatglm":
        raise ConfigError("ChatGLM-6B 不能用 vllm 引擎（它只认识 ChatGLM2 以后的）。请用 --engine transformers。")
    # Here and not above, because few machines have it.
    from bentsao.inference.vllm_engine import VllmEngine, open_base, rank_of

    folder = None if model.info is None else model.info.folder
    tokens, chosen = model.dressed()
    base = open_base(
        model.located.folder,
        dtype=dtype,
        gpus=gpus,
        rank=0 if folder is None else rank_of(folder),
        trust_remote_code=model.trust_remote_code,
    )
    return VllmEngine(base, folder, tokens, chosen, name=model.name("vllm", dtype or "auto"))
