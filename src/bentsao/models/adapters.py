"""An adapter folder as a thing: what it says of itself, and the base with it on top.

Any PEFT adapter in safetensors will do; those that `bentsao finetune` wrote also hold their chat format and a manifest.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open

from bentsao.core.errors import DataError, Fault, MissingError, ModelError
from bentsao.core.files import read_json
from bentsao.core.formats import FILE_NAME, ChatFormat, load_format
from bentsao.models.fetching import Located, canonical_name, locate
from bentsao.models.loading import Base, Quantization, load_base
from bentsao.models.presets import EMBEDDED
from bentsao.models.tokens import HFTokens

MANIFEST_NAME = "bentsao.json"
"""The manifest's name in an adapter folder; `tuning/adapter.py` writes it."""

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter folder says of itself.

    base: the base it was tuned on, by the manifest, else by PEFT's config; None where neither says.
    base_revision: as `loading.Base.revision`. chat_format, manifest: None in folders from elsewhere.
    """

    folder: Path
    base: str | None
    base_revision: str | None
    chat_format: ChatFormat | None
    manifest: dict[str, Any] | None


def read_adapter(folder: Path) -> AdapterInfo:
    """Read all but the weights of an adapter folder, and see that the weights are there.

    Raises MissingError or ModelError where it is no adapter or its weights are missing, empty, broken or a pickle;
    DataError where its JSON files are faulty.
    """
    if not folder.is_dir():
        raise MissingError(f"找不到适配器目录 {folder}。请检查路径。")
    if not (folder / CONFIG_NAME).is_file():
        raise MissingError(f"{folder} 里没有 {CONFIG_NAME}，不是适配器目录。{_nearby(folder)}")
    config = _json_object(folder / CONFIG_NAME)
    _check_weights(folder)
    manifest = _json_object(folder / MANIFEST_NAME) if (folder / MANIFEST_NAME).is_file() else None
    told = {} if manifest is None else manifest.get("base")
    if not isinstance(told, dict):
        raise DataError([Fault(str(folder / MANIFEST_NAME), None, "base", told, "应是一个 JSON 对象。")])
    stored = folder / FILE_NAME
    return AdapterInfo(
        folder=folder,
        base=told.get("name") or config.get("base_model_name_or_path"),
        base_revision=told.get("revision") or config.get("revision"),
        chat_format=load_format(str(stored)) if stored.is_file() else None,
        manifest=manifest,
    )


def load_adapted(
    folder: Path,
    *,
    base: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    quantization: Quantization | None = None,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Base, AdapterInfo]:
    """The adapter's base with the adapter on it (the PEFT model as `.model`, not merged), and what the adapter says.

    base: another base than the one it was tuned on, which is told to `report`; None takes that one, in its revision.
    The other arguments and errors are `load_base`'s. Raises ModelError if adapter and base do not fit.
    """
    info = read_adapter(folder)
    located = locate_base(info, base, report)
    loaded = load_onto(
        located,
        info,
        device=device,
        dtype=dtype,
        quantization=quantization,
        trust_remote_code=trust_remote_code,
        report=report,
    )
    return loaded, info


def load_onto(located: Located, info: AdapterInfo, **how: Any) -> Base:
    """The base with the adapter on it. `how` and errors as for `load_adapted`."""
    loaded = load_base(located, **how)
    return replace(loaded, model=cast(Any, _put_on(loaded, info)), tokens=with_own_template(loaded.tokens, info))


def locate_base(info: AdapterInfo, base: str | None, report: Callable[[str], None]) -> Located:
    """The base that an adapter is put on, on this machine: `base`, or the one it was tuned on, in its revision.

    A base that is not the adapter's is told to `report`. Errors as `fetching.locate`; ModelError where none is named.
    """
    name = base or info.base
    if name is None:
        raise ModelError(f"{info.folder} 没有写明它的基座。请用 --base 指定。")
    same = info.base is not None and canonical_name(name) == canonical_name(info.base)
    if info.base is not None and not same:
        report(f"警告：适配器是在 {info.base} 上微调的，现在放到 {name} 上；两者不是同一个模型时，回答不可信。")
    located = locate(name, report, revision=info.base_revision if same else None)
    if same and located.name == EMBEDDED and info.base_revision not in (None, located.revision):
        report(f"警告：自带基座的版本（{located.revision}）与微调时（{info.base_revision}）不同。")
    return located


def with_own_template(tokens: HFTokens, info: AdapterInfo) -> HFTokens:
    """The base's tokens with the chat template that the adapter was tuned with; the base's may have changed since."""
    if info.chat_format is not None and info.chat_format.base_template is not None:
        return tokens.with_template(info.chat_format.base_template)
    return tokens


def _put_on(base: Base, info: AdapterInfo) -> PeftModel:
    try:
        with warnings.catch_warnings():
            # PEFT only warns of weights that are missing; `_check_names` raises.
            warnings.filterwarnings("ignore", message="Found missing adapter keys")
            model = PeftModel.from_pretrained(base.model, str(info.folder), torch_device=str(base.device))
    except (RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"适配器 {info.folder} 与基座 {base.name} 不相配：{_short(error)}\n"
            f"它是在 {info.base or '未写明的基座'} 上微调的；请用 --base 指定那个基座。"
        ) from None
    _check_names(model, base, info)
    return model.eval()


def _check_names(model: PeftModel, base: Base, info: AdapterInfo) -> None:
    """Every weight of the file must have gone into the model, and every place of the model must have got one."""
    with safe_open(info.folder / WEIGHTS_NAME, framework="pt") as file:
        given = set(file.keys())
        broken = [name for name in given if not bool(torch.isfinite(file.get_tensor(name)).all())]
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    # Files that hold whole embedding layers besides (PEFT saves them after a change of vocabulary) are read too.
    known = wanted | set(get_peft_model_state_dict(model, save_embedding_layers=True))
    for what, names in (("缺少", wanted - given), ("多出", given - known)):
        if names:
            raise ModelError(
                f"适配器 {info.folder} 与基座 {base.name} 不相配：{what} {len(names)} 个权重（例如 {min(names)}）。"
                f"它是在 {info.base or '未写明的基座'} 上微调的；请用 --base 指定那个基座。"
            )
    if broken:
        raise ModelError(
            f"适配器 {info.folder} 的权重里有 NaN 或无穷大（例如 {min(broken)}），训练已发散。请重新训练。"
        )


def _check_weights(folder: Path) -> None:
    weights = folder / WEIGHTS_NAME
    if not weights.is_file():
        if (folder / "adapter_model.bin").is_file():
            raise ModelError(
                f"{folder} 只有 pickle 权重 adapter_model.bin。pickle 文件能在打开时运行任意代码，这里不打开它；"
                f"请向发布者要 {WEIGHTS_NAME}，或在隔离的环境里用 PEFT 打开后以 save_pretrained 另存。"
            )
        raise MissingError(f"{folder} 里没有 {WEIGHTS_NAME}，适配器不完整。")
    try:
        with safe_open(weights, framework="pt") as file:
            empty = not list(file.keys())
    except SafetensorError as error:
        raise ModelError(f"{weights} 已损坏或没有写完：{_short(error)}。请重新训练或重新下载。") from None
    if empty:
        raise ModelError(f"{weights} 里没有任何权重（保存时出了错的适配器常是这样）。请重新训练或重新下载。")


def _json_object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError([Fault(str(path), None, "JSON", value, "应是一个 JSON 对象。")])
    return value


def _nearby(folder: Path) -> str:
    """Whoever names the folder above, or a run that has not ended, is told where the adapters are."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG_NAME}"))
    if found:
        return f"它下面的 {'、'.join(found[:5])} 是。"
    if (folder / "config.json").is_file():
        return "它是一个完整的模型；请用 --base 指定它。"
    return ""


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:200] + "……"
