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

from bentsao.core.errors import DataError, Fault, MissingError, ModelError, short
from bentsao.core.files import read_json_object
from bentsao.core.formats import FILE_NAME, ChatFormat, load_format
from bentsao.models.adapter_files import (
    CONFIG_NAME,
    PREFIX,
    WEIGHTS_NAME,
    config_faults,
    read_config,
    weight_shapes,
)
from bentsao.models.adapter_places import MANIFEST_NAME, TOKENIZER_FILES, settle, stacked
from bentsao.models.fetching import Located, canonical_name, locate
from bentsao.models.loading import Base, check_vocabulary, load_base, open_tokens
from bentsao.models.presets import EMBEDDED, find_published
from bentsao.models.tokens import HFTokens


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter folder says of itself.

    folder: where it lies in today's form, which is in the cache where it was given in another. name: as it was given.
    base: the base it was tuned on, by the manifest, else by PEFT's config; None where neither says.
    base_revision: as `loading.Base.revision`. chat_format, manifest: None in folders from elsewhere.
    words: rows of the embedding that is saved with it, None where none is. own_tokens: whether a tokenizer lies beside.
    """

    folder: Path
    name: str
    base: str | None
    base_revision: str | None
    chat_format: ChatFormat | None
    manifest: dict[str, Any] | None
    words: int | None = None
    own_tokens: bool = False


def read_adapter(given: Path, report: Callable[[str], None] = lambda _: None) -> AdapterInfo:
    """Read all but the weights of an adapter, and see that the weights are there.

    given: a folder, a Hugging Face id, or several joined (`adapter_places.settle`, which makes a plain folder of it).
    report: told of what had to be made. Raises MissingError or ModelError where it is no adapter, where its weights are
    missing, empty or broken or its rank or alpha are lost; DataError where its JSON files are faulty.
    """
    folder = settle(given, report)
    if not (folder / CONFIG_NAME).is_file():
        raise MissingError(f"{folder} 里没有 {CONFIG_NAME}，不是适配器目录。{_nearby(folder)}")
    config, shapes = read_config(folder), weight_shapes(folder)
    if faults := config_faults(config, shapes):
        raise ModelError(f"适配器 {folder} 有问题：\n" + "\n".join(f"  {fault}" for fault in faults))
    manifest = read_json_object(folder / MANIFEST_NAME) if (folder / MANIFEST_NAME).is_file() else None
    told = {} if manifest is None else manifest.get("base")
    if not isinstance(told, dict):
        raise DataError([Fault(str(folder / MANIFEST_NAME), None, "base", told, "应是一个 JSON 对象。")])
    stored = folder / FILE_NAME
    # Of a stack, the last one's format; the base is that under the first.
    known = find_published(given.as_posix().rpartition("+")[2]) if manifest is None or stacked(given) else None
    usual = None if known is None else load_format(known.format)
    if known is not None and known.after is not None and not stacked(given):
        report(f"警告：{given} 是在合并了 {known.after} 的基座上微调的。请用 --adapter {known.after}+{given} 叠起来。")
    return AdapterInfo(
        folder=folder,
        name=given.resolve().name if given.is_dir() else given.as_posix(),
        base=told.get("name") or (known.base if known else None) or config.get("base_model_name_or_path"),
        base_revision=told.get("revision") or config.get("revision"),
        chat_format=load_format(str(stored)) if stored.is_file() else usual,
        manifest=manifest,
        words=_saved_words(shapes),
        own_tokens=any((folder / name).is_file() for name in TOKENIZER_FILES[:2]),
    )


def load_onto(located: Located, info: AdapterInfo, **how: Any) -> Base:
    """The base with the adapter on it (the PEFT model as `.model`, not merged). `how` and errors as for `load_base`.

    Raises ModelError if adapter and base do not fit.
    """
    loaded = load_base(located, **how)
    tokens = adapter_tokens(located, info, loaded.tokens, trust_remote_code=bool(how.get("trust_remote_code")))
    if info.words is not None:
        _resize(loaded, info, tokens)
    adapted = replace(loaded, model=cast(Any, _put_on(loaded, info)), tokens=tokens)
    check_vocabulary(info.name, tokens, adapted.model)
    return adapted


def locate_base(info: AdapterInfo, base: str | None, report: Callable[[str], None]) -> Located:
    """The base that an adapter is put on, on this machine: `base`, or the one it was tuned on, in its revision.

    A base that is not the adapter's is told to `report`. Errors as `fetching.locate`; ModelError where none is named.
    """
    name = base or info.base
    if name is None:
        raise ModelError(f"适配器 {info.name} 没有写明它的基座。请用 --base 指定。")
    same = info.base is not None and canonical_name(name) == canonical_name(info.base)
    if info.base is not None and not same:
        report(f"警告：适配器是在 {info.base} 上微调的，现在放到 {name} 上；两者不是同一个模型时，回答不可信。")
    try:
        located = locate(name, report, revision=info.base_revision if same else None)
    except MissingError as error:
        if base is not None:
            raise
        raise MissingError(
            f"打不开适配器 {info.name} 记下的基座 {name}：{error}\n请用 --base 指定它现在的目录、编号或预设名。"
        ) from None
    if same and located.name == EMBEDDED and info.base_revision not in (None, located.revision):
        report(f"警告：自带基座的版本（{located.revision}）与微调时（{info.base_revision}）不同。")
    return located


def adapter_tokens(located: Located, info: AdapterInfo, plain: HFTokens, *, trust_remote_code: bool) -> HFTokens:
    """The tokens that an adapter was tuned with, `plain` being those of its base.

    An adapter that saves the embeddings brings the tokenizer of an enlarged vocabulary.
    """
    own = plain
    if info.words is not None and info.own_tokens:
        own = open_tokens(located, trust_remote_code, folder=info.folder)
    return with_own_template(own, info)


def with_own_template(tokens: HFTokens, info: AdapterInfo) -> HFTokens:
    """The tokens with the chat template that the adapter was tuned with; the base's may have changed since."""
    if info.chat_format is not None and info.chat_format.base_template is not None:
        return tokens.with_template(info.chat_format.base_template)
    return tokens


def _saved_words(shapes: dict[str, tuple[int, ...]]) -> int | None:
    """The rows of the embedding that is saved whole; None where none is."""
    for name, shape in shapes.items():
        layer, _, what = name.removeprefix(PREFIX).rpartition(".")
        if what == "weight" and layer.rpartition(".")[2] in _EMBEDDINGS and len(shape) == 2:
            return shape[0]
    return None


_EMBEDDINGS = ("embed_tokens", "word_embeddings", "wte", "embed_in", "tok_embeddings")
"""What the layer of the embeddings is called in the architectures that there are."""


def _resize(base: Base, info: AdapterInfo, tokens: HFTokens) -> None:
    """Make room for the words that the adapter brings; its own rows then replace all."""
    model = cast(Any, base.model)
    have = model.get_input_embeddings().weight.shape[0]
    if info.words in (None, have):
        return
    if not info.own_tokens or len(tokens) > info.words:
        raise ModelError(
            f"适配器 {info.name} 存有 {info.words} 行的词表，基座 {base.name} 是 {have} 行，"
            + (f"而它带的分词器有 {len(tokens)} 个词。" if info.own_tokens else "而它没有带分词器（tokenizer.model）。")
            + "请把与它一同发布的分词器文件放进适配器目录，或用 --base 指定词表相同的基座。"
        )
    model.resize_token_embeddings(info.words, mean_resizing=False)


def _put_on(base: Base, info: AdapterInfo) -> PeftModel:
    try:
        with warnings.catch_warnings():
            # PEFT only warns of weights that are missing; `_check_names` raises.
            warnings.filterwarnings("ignore", message="Found missing adapter keys")
            model = PeftModel.from_pretrained(base.model, str(info.folder), torch_device=str(base.device))
    except (RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"适配器 {info.name} 与基座 {base.name} 不相配：{short(error)}\n"
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
                f"适配器 {info.name} 与基座 {base.name} 不相配：{what} {len(names)} 个权重（例如 {min(names)}）。"
                f"它是在 {info.base or '未写明的基座'} 上微调的；请用 --base 指定那个基座。"
            )
    if broken:
        raise ModelError(
            f"适配器 {info.folder} 的权重里有 NaN 或无穷大（例如 {min(broken)}），训练已发散。请重新训练。"
        )


def _nearby(folder: Path) -> str:
    """Whoever names the folder above, or a run that has not ended, is told where the adapters are."""
    found = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG_NAME}"))
    if found:
        return f"它下面的 {'、'.join(found[:5])} 是。"
    if (folder / "config.json").is_file():
        return "它是一个完整的模型；请用 --base 指定它。"
    return ""
