"""A base as a thing to work with: weights, tokenizer, device, number format, chat format."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from bentsao.core.errors import BentsaoError, ConfigError, MissingError, ModelError
from bentsao.core.files import read_json_object
from bentsao.core.formats import FILE_NAME, FORMATS, ChatFormat, from_base, from_base_thinking, load_format
from bentsao.models.fetching import Located, locate
from bentsao.models.machine import choose_device, choose_dtype, memory
from bentsao.models.presets import Preset
from bentsao.models.quiet import without_bars
from bentsao.models.repairs import mend_ids, open_config, open_tokenizer
from bentsao.models.shapes import stored_parameters
from bentsao.models.tokens import HFTokens

Quantization = Literal["4bit", "8bit"]

UNSTATED_CONTEXT = 2048
"""The context of bases that state none: BLOOM, whose positions have no limit, was trained with this much."""


@dataclass(frozen=True)
class Base:
    """A loaded base model.

    name: as it is written into a manifest ("embedded", a hub id, or an absolute folder). folder_or_id: what
    transformers opened. revision: the hub's commit, or the SHA-256 of the embedded GGUF; None for a folder.
    dtype: of the weights; of the computation where they are quantised.
    default_format: the base's own template if it has one, else what its preset says, else plain.
    """

    name: str
    revision: str | None
    folder_or_id: str
    model: PreTrainedModel
    tokens: HFTokens
    device: torch.device
    dtype: torch.dtype
    default_format: ChatFormat


def load_base(
    name: str | Located,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    quantization: Quantization | None = None,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Base:
    """Load a base, fetching it first where needed; the model is in eval mode.

    name: a short name of `presets.BASES`, a Hugging Face id, a folder, or a base that was located already (then
    `revision` is its own). device, dtype: None chooses by what there is.
    quantization: None keeps the weights as they are; else bitsandbytes, on CUDA or (slowly) on a CPU.
    trust_remote_code: run Python code that comes with the base. report: told of what takes long or is not as asked.
    Raises MissingError, ConfigError or ModelError, each with the way out.
    """
    place = choose_device(device)
    number = choose_dtype(dtype, place)
    settings = _quantization_settings(quantization, place, number)
    located = name if isinstance(name, Located) else locate(name, report, revision=revision)
    tokens = open_tokens(located, trust_remote_code)
    if quantization is None:
        _check_memory(located, place, number)
    with _explained(located.name, place), without_bars():
        config = open_config(located.folder)
        loaded = AutoModelForCausalLM.from_pretrained(
            located.folder,
            **({} if config is None else {"config": config}),
            dtype=number,
            device_map=None if place.type == "cpu" else {"": place},
            quantization_config=settings,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `_check_weights` tells them
        )
    model, account = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    _check_weights(located.name, account)
    check_vocabulary(located.name, tokens, model)
    mend_ids(model, tokens.tokenizer)
    return Base(
        name=located.name,
        revision=located.revision,
        folder_or_id=str(located.folder),
        model=model.eval(),
        tokens=tokens,
        device=place,
        dtype=number,
        default_format=default_format(tokens, located.preset, located.folder),
    )


def load_tokens(
    name: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> HFTokens:
    """A base's tokenizer without its weights. Arguments and errors as for `load_base`."""
    return open_tokens(locate(name, report, revision=revision, weights=False), trust_remote_code)


def default_format(tokens: HFTokens, preset: Preset | None = None, folder: Path | None = None) -> ChatFormat:
    """The base's own template if it has one, else what its preset says, else plain.

    folder: the base's; a model that we tuned whole has the chat format it was tuned with there, which comes first.
    """
    if folder is not None and (folder / FILE_NAME).is_file():
        return load_format(str(folder / FILE_NAME))
    if tokens.template is not None:
        return from_base(tokens.template)
    if preset and preset.format:
        return FORMATS[preset.format]
    return FORMATS["chatglm" if tokens.prompt_end_ids else "plain"]


def resolve_format(name_or_path: str | None, tokens: HFTokens, default: ChatFormat | None = None) -> ChatFormat:
    """A chat format by name or file. None: `default`, or the base's default.

    "base": the base's own template; "base-thinking": the same, letting a base that can (Qwen3) think first.

    Raises ModelError where the base has no template, else as `core.formats.load_format`.
    """
    if name_or_path is None:
        return default or default_format(tokens)
    if name_or_path not in ("base", "base-thinking"):
        return load_format(name_or_path)
    if tokens.template is None:
        raise ModelError(
            f"这个基座没有自带的对话模板，不能用 {name_or_path} 格式。请换成：{'、'.join(FORMATS)}，或一个模板文件。"
        )
    if name_or_path == "base":
        return from_base(tokens.template)
    if "enable_thinking" not in tokens.template:
        raise ModelError("这个基座的对话模板没有 enable_thinking，不能先思考再回答。请用 base 格式。")
    return from_base_thinking(tokens.template)


def context_of(model: PreTrainedModel) -> int:
    """The most tokens that the model's config says it can attend to; UNSTATED_CONTEXT if it says nothing."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return UNSTATED_CONTEXT


def open_tokens(located: Located, trust_remote_code: bool, *, folder: Path | None = None) -> HFTokens:
    """The tokenizer of a base that is here. folder: where it lies instead, as with an adapter of more words.

    Raises ModelError.
    """
    place = folder or located.folder
    try:
        tokenizer = open_tokenizer(place, trust_remote_code)
    except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if "trust_remote_code" in str(error):
            raise _remote_code(located.name) from None
        named = located.name if folder is None else str(folder)
        raise ModelError(
            f"打不开 {named} 的分词器：{_first_line(error)}。请检查它的 tokenizer 文件是否齐全。"
        ) from None
    stated = stated_ends(located.folder)
    return HFTokens(tokenizer, end_id=stated[0] if stated else None, stated=stated)


def stated_ends(folder: Path) -> tuple[int, ...]:
    """The end tokens by the model's own configuration; chat models often name several (end of turn, end of text)."""
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            end = read_json_object(folder / name).get("eos_token_id")
            if end is not None:
                return tuple(end) if isinstance(end, list) else (end,)
    return ()


def _quantization_settings(
    quantization: Quantization | None, device: torch.device, dtype: torch.dtype
) -> BitsAndBytesConfig | None:
    if quantization is None:
        return None
    if device.type not in ("cuda", "cpu"):
        raise ConfigError(f"{quantization} 量化需要 CUDA 显卡或 CPU，现在的设备是 {device}。请去掉量化的选项。")
    if find_spec("bitsandbytes") is None:
        raise MissingError(f"{quantization} 量化需要 bitsandbytes。请运行：pip install 'bentsao[gpu]'")
    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _check_memory(located: Located, device: torch.device, dtype: torch.dtype) -> None:
    """Said beforehand, because a system out of memory kills the process without a word."""
    parameters = stored_parameters(located.folder)
    free, _ = memory(device)
    if parameters is not None and parameters * dtype.itemsize > free:
        raise ModelError(
            f"{located.name} 的权重需要 {parameters * dtype.itemsize / 1e9:.1f} GB，{device} 只剩 {free / 1e9:.1f} GB。"
            + _LIGHTER
        )


_LIGHTER = (
    "请换小一些的基座，或用 --dtype bfloat16，或在 CUDA 上用 --quantization 4bit；`bentsao doctor` 列出放得下的基座。"
)


@contextmanager
def _explained(name: str, device: torch.device) -> Generator[None]:
    """The errors of loading in the user's words."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise ModelError(f"{device} 的内存放不下 {name}。{_LIGHTER}") from None
    except SafetensorError as error:
        raise ModelError(f"{name} 的权重文件已损坏：{_first_line(error)}。请重新下载。") from None
    except BentsaoError:
        raise
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        if "trust_remote_code" in str(error):
            raise _remote_code(name) from None
        raise ModelError(f"无法加载基座 {name}：{_first_line(error)}") from error


def _remote_code(name: str) -> ModelError:
    return ModelError(
        f"{name} 需要运行它自带的 Python 代码，缺省不允许。请先读它的代码；信任的话，加上 --trust-remote-code。"
    )


def _check_weights(name: str, account: dict[str, Any]) -> None:
    """transformers draws weights at random where the file has none, and goes on."""
    missing, mismatched = sorted(account["missing_keys"]), sorted(key for key, *_ in account["mismatched_keys"])
    for what, keys in (("缺少", missing), ("形状不符的有", mismatched)):
        if keys:
            raise ModelError(
                f"{name} 的权重与它的 config.json 不符：{what} {len(keys)} 个（{'、'.join(keys[:3])} ……）。"
                "请重新下载；这样的基座不能用来训练或回答。"
            )


def check_vocabulary(name: str, tokens: HFTokens, model: PreTrainedModel) -> None:
    """Text must not become an id without an embedding; control tokens of other modalities may (Gemma 3's image).

    The marks that a prefix-LM finds its prompt's end by must be those of its tokenizer.
    """
    config = cast(Any, model.config)
    marks = (config.gmask_token_id, config.bos_token_id) if config.model_type == "chatglm" else ()
    if marks != tokens.prompt_end_ids:
        raise ModelError(
            f"{name} 的 config.json 里 [gMASK]、<sop> 的编号是 {marks}，分词器的是 {tokens.prompt_end_ids}："
            "不是同一次发布的。请从同一次发布取齐 config.json、分词器与权重。"
        )
    rows = cast(Any, model.get_input_embeddings()).weight.shape[0]
    outside = set(range(rows, len(tokens))) - tokens.control_ids
    outside |= {number for number in (tokens.end_id, *tokens.start_ids) if number >= rows}
    if outside:
        raise ModelError(
            f"{name} 的分词器有 {len(tokens)} 个词，模型只有 {rows} 行（例如编号 {min(outside)} 没有对应的行）。"
            "分词器和权重不是一套，请换用同一基座的分词器。"
        )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).split("\n") if line.strip()), type(error).__name__)
