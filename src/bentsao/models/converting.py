"""A base, with or without an adapter, as a CTranslate2 folder: converted once into the user's cache and checked there.

What is converted is known by its content, so an adapter tuned anew in the same folder is another conversion.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import ValidationError

from bentsao.core.errors import BentsaoError, MissingError, ModelError
from bentsao.core.files import cache_folder, read_json_object, sha256_file, sha256_text, whole_folder, write_json
from bentsao.core.records import Record
from bentsao.models.adapters import CONFIG_NAME, WEIGHTS_NAME
from bentsao.models.fetching import Located
from bentsao.models.loading import Base, context_of
from bentsao.models.locking import alone
from bentsao.models.merging import merge_adapter
from bentsao.models.shapes import stored_parameters
from bentsao.models.smoothing import smooth

Precision = Literal["int8", "float32"]

ARCHITECTURES = ("bloom", "gemma3_text", "llama", "mistral", "qwen2", "qwen3")
"""Architectures, by the model_type of a config.json, whose conversion gives what transformers gives (see the tests).
CTranslate2 has converters for more; add one here together with its test."""

ACCOUNT = "bentsao-conversion.json"
"""The account in a converted folder."""

WEIGHTS = "model.bin"

_LAYOUT = 3
"""Raise it when what this file writes changes, and all is converted anew."""


class ConversionError(ModelError):
    """This model cannot be converted; another engine can run it."""


class Converted(Record):
    """The account of a converted folder.

    vocabulary: rows of the embedding. context: see `loading.context_of`. window: to how many tokens a layer attends at
    most; None means all. cache_bytes: of keys and values that one token takes. weight_bytes: of the file of weights.
    """

    base: str
    revision: str | None
    precision: Precision
    ctranslate2: str
    vocabulary: int
    context: int
    window: int | None
    cache_bytes: int
    weight_bytes: int


def check_convertible(located: Located) -> None:
    """Raises ConversionError for an architecture that is not in ARCHITECTURES, MissingError without CTranslate2."""
    if find_spec("ctranslate2") is None:
        raise MissingError("没有安装 ctranslate2。请运行：pip install ctranslate2。")
    kind = read_json_object(located.folder / "config.json").get("model_type")
    if kind not in ARCHITECTURES:
        raise ConversionError(
            f"{located.name} 的架构（{kind}）不能用 ctranslate2 引擎，可以的有：{'、'.join(ARCHITECTURES)}。"
        )


def convert(
    located: Located,
    adapter: Path | None,
    precision: Precision,
    load: Callable[[], Base],
    report: Callable[[str], None],
) -> tuple[Path, Converted]:
    """The CTranslate2 folder of a base (with an adapter) and its account, made first where it is not in the cache.

    load: gives the base with the adapter on it, on the CPU in float32; called only where it must be made.
    Several processes may ask at once; one converts, the others wait. Raises ConversionError where the architecture has
    no converter, or where what it gives is not what the model computes.
    """
    check_convertible(located)
    folder = cache_folder() / "ctranslate2" / _content(located, adapter, precision)
    if (account := _account(folder)) is not None:
        return folder, account
    with alone(folder.with_suffix(".lock"), report, "另一个进程正在转换这个模型，等它完成……"):
        if (account := _account(folder)) is None:
            _check_space(located, precision)
            report(f"首次以 {precision} 使用这个模型：正在转换为 CTranslate2 格式（约一分钟，只做这一次）……")
            with whole_folder(folder) as temporary:
                account = write_converted(load(), precision, temporary)
            report(f"转换好了，放在 {folder}（{account.weight_bytes / 1e9:.2f} GB；不用时可以删去）。")
    return folder, account


def write_converted(base: Base, precision: Precision, folder: Path) -> Converted:
    """Write the folder of a base that is loaded on the CPU in float32, with its account. The base is used up.

    Raises ConversionError as `convert`.
    """
    account = _convert(merge_adapter(base), precision, folder)
    write_json(folder / ACCOUNT, account.model_dump())
    return account


def _content(located: Located, adapter: Path | None, precision: Precision) -> str:
    """A name for all that decides what the converted weights are."""
    parts = [str(_LAYOUT), precision, version("ctranslate2")]
    if located.revision is not None:
        parts += [located.name, located.revision]
    else:
        files = sorted(file for end in ("safetensors", "bin") for file in located.folder.glob(f"*.{end}"))
        parts += [sha256_file(file) for file in [located.folder / "config.json", *files]]
    if adapter is not None:
        parts += [sha256_file(adapter / CONFIG_NAME), sha256_file(adapter / WEIGHTS_NAME)]
    return sha256_text("\n".join(parts))[:24]


def _account(folder: Path) -> Converted | None:
    """The account of a folder that is whole; None where it must be made."""
    try:
        account = Converted.model_validate(read_json_object(folder / ACCOUNT))
        return account if (folder / WEIGHTS).stat().st_size == account.weight_bytes else None
    except (BentsaoError, ValidationError, OSError):
        return None


def _check_space(located: Located, precision: Precision) -> None:
    parameters = stored_parameters(located.folder)
    root = cache_folder()
    # In int8 the head has weights of its own, so that it takes up to twice the parameters.
    needed = (parameters or 0) * (2 if precision == "int8" else 4.2)
    free = shutil.disk_usage(next(folder for folder in (root, *root.resolve().parents) if folder.exists())).free
    if free < needed:
        raise MissingError(
            f"{root} 所在的磁盘只剩 {free / 1e9:.1f} GB，转换 {located.name} 需要 {needed / 1e9:.1f} GB。"
            "请腾出空间，或用环境变量 BENTSAO_CACHE 换一个缓存目录。"
        )


def _convert(base: Base, precision: Precision, folder: Path) -> Converted:
    """Write the folder, and see that it computes what the model computes. The model is used up."""
    # Not above: only this engine needs it, and not every machine has it.
    from ctranslate2.converters import TransformersConverter

    class InMemory(TransformersConverter):
        """Of a model that is loaded already, with the numbers of the tokens as their words.

        So no two words can be the same, as they are in some vocabularies, and none can be missing.
        """

        def load_model(self, *_args: object, **_settings: object) -> object:
            return base.model

        def load_tokenizer(self, *_args: object, **_settings: object) -> object:
            return _Numbers(rows, base.tokens.end_id)

    model = cast(Any, base.model)
    rows = model.get_input_embeddings().weight.shape[0]
    probe = _probe(base)
    if precision == "int8":
        smooth(model, probe)
        _round(model)
    with torch.inference_mode():
        expected = model(torch.tensor([probe])).logits[0, -1].clone()
    facts = _facts(base)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            InMemory(base.folder_or_id).convert(str(folder), quantization=precision, force=True)
    except (NotImplementedError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ConversionError(f"{base.name} 不能转换为 CTranslate2 格式：{error}。") from error
    _compare(folder, probe, expected, base.name)
    return Converted(
        base=base.name,
        revision=base.revision,
        precision=precision,
        ctranslate2=version("ctranslate2"),
        vocabulary=rows,
        weight_bytes=(folder / WEIGHTS).stat().st_size,
        **facts,
    )


class _Numbers:
    """What the converter asks of a tokenizer."""

    chat_template = None

    def __init__(self, rows: int, end_id: int) -> None:
        self._rows = rows
        self.bos_token = self.eos_token = self.unk_token = self.pad_token = str(end_id)

    def get_vocab(self) -> dict[str, int]:
        return {str(number): number for number in range(self._rows)}


def _facts(base: Base) -> dict[str, Any]:
    """What the engine must know besides, by the model's config."""
    config = cast(Any, base.model).config.get_text_config()
    # CTranslate2 keeps a copy of keys and values for each head, also where heads share them.
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kinds = getattr(config, "layer_types", None)
    slides = "sliding_attention" in kinds if kinds else getattr(config, "use_sliding_window", True)
    return {
        "context": context_of(base.model),
        "window": getattr(config, "sliding_window", None) if slides else None,
        "cache_bytes": 2 * 4 * config.num_hidden_layers * heads * size,
    }


def _round(model: Any) -> None:
    """Round the weights as the converter will to int8: each row to 255 steps. Doing it twice changes nothing more.

    So the check compares like with like, and a fault of the converter does not hide behind the rounding.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
                for rows in module.weight.split(4096):
                    scale = rows.abs().amax(1, keepdim=True) / 127
                    scale[scale == 0] = 1
                    rows.copy_((rows / scale).round() * scale)


_TEXT = (
    "下面是一个问题，运用医学知识来正确回答提问。\n问：小儿感冒发热咳嗽三天，体温三十八度五，应该怎么治疗，需要吃什么药？\n"
    "答：注意休息，多喝水；体温超过38.5度时，可以按体重服用对乙酰氨基酚，24小时内不超过4次。\n"
    "问：What are the symptoms of pneumonia?\n答：Cough, fever, chest pain and shortness of breath. "
    "肺炎的常见症状有咳嗽、发热、胸痛、呼吸困难；糖尿病患者应控制饮食，适当运动，遵医嘱服药，并定期监测血糖。[1][2]"
)


def _probe(base: Base) -> list[int]:
    """A text of the kind that will be read, long enough to show a fault in the positions."""
    ids = [*base.tokens.start_ids, *base.tokens.encode(_TEXT)]
    return ids[: min(256, context_of(base.model) - 1, _facts(base)["window"] or 256)]


def _compare(folder: Path, probe: list[int], expected: torch.Tensor, name: str) -> None:
    from ctranslate2 import Generator

    # In float32, so that the weights count as they were written.
    found = cast(Any, Generator)(str(folder), compute_type="float32").generate_batch(
        [[str(number) for number in probe]], max_length=1, include_prompt_in_result=False, return_logits_vocab=True
    )
    logits = torch.from_numpy(np.array(found[0].logits[0][0])).flatten()
    both = torch.stack([logits, expected.float()])
    likeness = float(torch.corrcoef(both)[0, 1])
    if not likeness > _LIKE:
        raise ConversionError(
            f"{name} 转换成 CTranslate2 格式后算出的结果不同（相关系数 {likeness:.4f}），所以没有采用。"
        )


_LIKE = 0.9999
"""The least correlation between the logits before and after."""
