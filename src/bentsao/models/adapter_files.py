"""The two files of a PEFT adapter, of today and of 2023, and what is in them.

Adapters of PEFT 0.3, such as the original's, hold their weights in a pickle (`adapter_model.bin`). It is opened with
`weights_only=True`, which reads tensors and runs no code.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from bentsao.core.errors import MissingError, ModelError
from bentsao.core.files import read_json_object, whole_folder, write_json
from bentsao.models.pickles import open_pickle

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
PICKLE_NAME = "adapter_model.bin"

PREFIX = "base_model.model."
"""What PEFT puts before the names of the base's layers."""
_LORA = re.compile(r"(?P<module>.+)\.lora_(?P<kind>embedding_)?(?P<side>[AB])(?:\.weight)?")
_MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_magnitude_vector(?:\.weight)?")

_GONE = {"enable_lora": (None,), "merge_weights": (None, False)}
"""Keys of old configurations that today's PEFT does not know, with the values at which they mean nothing."""


@dataclass(frozen=True)
class Change:
    """The change of one layer: a [r, in], b [out, r], times the scale (alpha / r). For an embedding, in is its rows.

    embedding: whether the layer is an embedding. magnitude: DoRA's, None for plain LoRA.
    """

    a: Tensor
    b: Tensor
    scale: float
    embedding: bool = False
    magnitude: Tensor | None = None

    @property
    def rank(self) -> int:
        """r."""
        return self.a.shape[0]


@dataclass(frozen=True)
class Adapter:
    """An adapter that has been read. changes: by layer; whole: layers that are saved whole, by the weight's name."""

    folder: Path
    config: dict[str, Any]
    changes: dict[str, Change]
    whole: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


def read_config(folder: Path) -> dict[str, Any]:
    """An adapter's configuration. Raises MissingError where the folder has none, DataError where it is faulty."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise MissingError(f"{folder} 里没有 {CONFIG_NAME}，不是适配器目录。")
    return read_json_object(path)


def read_adapter_files(folder: Path) -> Adapter:
    """The whole adapter, weights of both forms. Raises MissingError, DataError or ModelError with all that is wrong."""
    config = read_config(folder)
    faults = config_faults(config, weight_shapes(folder))
    if faults:
        raise ModelError(f"适配器 {folder} 有问题：\n" + "\n".join(f"  {fault}" for fault in faults))
    return arrange(folder, config, read_weights(folder))


def arrange(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Adapter:
    """Weights by layer. Raises ModelError for names that belong to no LoRA."""
    sides: dict[tuple[str, str], Tensor] = {}
    embeddings: set[str] = set()
    whole: dict[str, Tensor] = {}
    magnitudes: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        inner = name.removeprefix(PREFIX)
        if found := _LORA.fullmatch(inner):
            sides[found["module"], found["side"]] = tensor
            embeddings |= {found["module"]} if found["kind"] else set()
        elif found := _MAGNITUDE.fullmatch(inner):
            magnitudes[found["module"]] = tensor
        else:
            whole[inner] = tensor
    modules = sorted({module for module, _ in sides})
    halves = [module for module in modules if (module, "A") not in sides or (module, "B") not in sides]
    if halves:
        raise ModelError(
            f"适配器 {folder} 的 {len(halves)} 层只有 A 或只有 B（例如 {halves[0]}），不完整。请重新下载。"
        )
    changes = {
        module: Change(
            a=sides[module, "A"],
            b=sides[module, "B"],
            scale=scale_of(config, module, sides[module, "A"].shape[0]),
            embedding=module in embeddings,
            magnitude=magnitudes.get(module),
        )
        for module in modules
    }
    return Adapter(folder, dict(config), changes, whole)


def scale_of(config: Mapping[str, Any], module: str, rank: int) -> float:
    """alpha / r, or alpha / √r (rsLoRA), of a layer. r and alpha may be set for some layers alone."""
    alpha = float(_by_pattern(config.get("alpha_pattern"), module, config["lora_alpha"]))
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights by their names of today. Raises MissingError or ModelError."""
    shapes = weight_shapes(folder)
    if not shapes:
        raise _empty(weights_file(folder))
    file = weights_file(folder)
    if file.name == WEIGHTS_NAME:
        return _named(load_file(file))
    return _named(_unpickled(file))


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights; of a safetensors file only the header is read. Errors as `read_weights`."""
    file = weights_file(folder)
    if file.name == PICKLE_NAME:
        return {name: tuple(tensor.shape) for name, tensor in _named(_unpickled(file)).items()}
    try:
        with safe_open(file, framework="pt") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _broken(file, error) from None
    if not shapes:
        raise _empty(file)
    return shapes


def weights_file(folder: Path) -> Path:
    """The file of an adapter's weights, safetensors where there are both. Raises MissingError or ModelError."""
    found = next((folder / name for name in (WEIGHTS_NAME, PICKLE_NAME) if (folder / name).is_file()), None)
    if found is None:
        raise MissingError(f"{folder} 里没有 {WEIGHTS_NAME}，适配器不完整。")
    with found.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{found} 只是 Git LFS 的指针，不是权重本身。请在仓库里运行 `git lfs pull`，或从网页下载这个文件。"
        )
    if head.lstrip()[:1] == b"<":
        raise ModelError(f"{found} 是网页，不是权重：下载时得到的是一个页面（多半是登录页或报错页）。请重新下载。")
    return found


def config_faults(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What is lost or contradictory in a LoRA's configuration, each with the way out. Of other kinds, nothing is known.

    PEFT itself would take 8 for a rank or an alpha that is not there, and say nothing.
    """
    if config.get("peft_type", "LORA") != "LORA":
        return []
    out: list[str] = []
    if config.get("enable_lora"):
        out.append("enable_lora 不为空：是 PEFT 0.2 的合并线性层写法，现在的 PEFT 没有。请换一份权重。")
    ranks = _ranks(shapes)
    if not ranks:
        return [*out, f"权重里没有 LoRA 的 A（例如有的是 {min(shapes)}）。它不是 LoRA，或者保存得不全。"]
    if config.get("lora_alpha") is None:
        out.append(
            "没有 lora_alpha：缩放（alpha / r）丢了，PEFT 会不声不响地按 8 算。请问发布者，"
            "再用 bentsao adapters convert --alpha 数 补上（原项目与 alpaca-lora 是 16）。"
        )
    wrong = {module: rank for module, rank in ranks.items() if rank != rank_of(config, module)}
    if wrong:
        module, rank = min(wrong.items())
        said = "没有写 r" if config.get("r") is None else f"写的 r 是 {rank_of(config, module)}"
        out.append(
            f"{said}，而权重 {module} 的秩是 {rank}（共 {len(wrong)} 层不符）。"
            "请用 bentsao adapters convert 按权重改正。"
        )
    if not config.get("target_modules"):
        out.append("没有 target_modules：不知道装在哪些层上。请用 bentsao adapters convert 按权重改正。")
    return out


def rank_of(config: Mapping[str, Any], module: str) -> int:
    """The rank that the configuration says for a layer; -1 where it says none."""
    return int(_by_pattern(config.get("rank_pattern"), module, config.get("r") or -1))


def _by_pattern(patterns: Mapping[str, float] | None, module: str, default: float) -> float:
    """What is set for some layers alone, whose names are matched as PEFT does it (`get_pattern_key`)."""
    found = (value for key, value in (patterns or {}).items() if re.fullmatch(rf"(.*\.)?({key})", module))
    return next(found, default)


def mended(
    config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], alpha: float | None
) -> tuple[dict[str, Any], list[str]]:
    """The configuration as today's PEFT writes it, with rank and targets by the weights; and what was changed.

    alpha: what to put where it is lost; None keeps what is there.
    """
    notes: list[str] = []
    kept = {k: v for k, v in config.items() if k not in _GONE or v not in _GONE[k]}
    notes += [f"去掉了旧 PEFT 的 {key}" for key in sorted(config.keys() - kept.keys())]
    if alpha is not None and kept.get("lora_alpha") != alpha:
        notes.append(f"lora_alpha：{kept.get('lora_alpha')} → {alpha:g}")
        kept["lora_alpha"] = int(alpha) if float(alpha).is_integer() else alpha
    ranks = _ranks(shapes)
    if ranks and any(rank != rank_of(kept, module) for module, rank in ranks.items()):
        usual = max(set(ranks.values()), key=list(ranks.values()).count)
        others = {re.escape(module): rank for module, rank in ranks.items() if rank != usual}
        notes.append(f"r：{kept.get('r')} → {usual}" + (f"（另有 {len(others)} 层不同）" if others else ""))
        kept |= {"r": usual, "rank_pattern": others}
    if ranks and not kept.get("target_modules"):
        kept["target_modules"] = sorted({module.rpartition(".")[2] for module in ranks})
        notes.append(f"target_modules：{'、'.join(kept['target_modules'])}（按权重）")
    whole = {name.removeprefix(PREFIX).rpartition(".")[0] for name in shapes if "lora_" not in name}
    said = kept.get("modules_to_save")
    if whole and not said and ranks:
        kept["modules_to_save"] = sorted({name.rpartition(".")[2] for name in whole})
        notes.append(f"modules_to_save：{'、'.join(kept['modules_to_save'])}（按权重）")
    kept.setdefault("peft_type", "LORA")
    kept.setdefault("task_type", "CAUSAL_LM")
    return kept, notes


def write_plain(
    folder: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    more: Mapping[str, Path] | None = None,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Write an adapter in today's form, whole or not at all.

    more: files to be copied, by the name they get. told: JSON files to be written, by name.
    """
    with whole_folder(folder) as temporary:
        tensors = {name: tensor.contiguous().clone() for name, tensor in weights.items()}
        save_file(tensors, temporary / WEIGHTS_NAME, metadata={"format": "pt"})
        write_json(temporary / CONFIG_NAME, dict(config))
        for name, source in (more or {}).items():
            (temporary / name).write_bytes(source.read_bytes())
        for name, value in (told or {}).items():
            write_json(temporary / name, value)


def _ranks(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The rank of each layer, by its A."""
    found = ((_LORA.fullmatch(name.removeprefix(PREFIX)), shape) for name, shape in shapes.items())
    return {match["module"]: shape[0] for match, shape in found if match and match["side"] == "A"}


def _named(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names as today's PEFT saves them: without the adapter's name and the wrapper of layers that are saved whole."""
    out: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if ".original_module." not in name:
            plain = name.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".")
            out[re.sub(r"\.default(?=\.|$)", "", plain)] = tensor
    return out


def _unpickled(file: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are none; what they are is told below
            value: Any = open_pickle(file)
    except pickle.UnpicklingError as error:
        with file.open("rb") as opened:
            head = opened.read(16)
        if head[8:9] == b"{":
            raise ModelError(f"{file} 其实是 safetensors 文件。请改名为 {WEIGHTS_NAME}。") from None
        if not head.startswith((b"PK", b"\x80")):
            raise _broken(file, error) from None
        raise ModelError(
            f"{file} 里不只有张量，还有别的 Python 对象，可能在打开时运行代码，所以没有打开它。"
            "请向发布者要 safetensors 格式的权重。"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        raise _broken(file, error) from None
    if not isinstance(value, dict) or not all(isinstance(item, Tensor) for item in value.values()):
        raise ModelError(f"{file} 里不是权重（名字 → 张量），而是 {type(value).__name__}。请检查是否拿错了文件。")
    if not value:
        raise _empty(file)
    return value


def _empty(file: Path) -> ModelError:
    size = file.stat().st_size
    why = (
        "旧的 alpaca-lora 训练脚本与较新的 PEFT 一起用时就存成这样（443 字节的空文件）"
        if file.name == PICKLE_NAME
        else "保存时出了错的适配器常是这样"
    )
    return ModelError(f"{file} 里没有任何权重（{size} 字节；{why}）。训练的结果没有存下来，请重新训练或重新下载。")


def _broken(file: Path, error: BaseException) -> ModelError:
    text = " ".join(str(error).split())
    shown = text if len(text) <= 200 else text[:200] + "……"
    return ModelError(f"{file} 已损坏或没有写完：{shown or type(error).__name__}。请重新训练或重新下载。")
