"""Bases whose files are at fault in ways that are known, opened all the same.

The LLaMA of 2023 (`decapoda-research/llama-7b-hf` and its copies) names a tokenizer class that never was, special
tokens that are empty and ids that belong to others; MiniCPM3's configuration does not say what kind of model it is.
What is right stands in other files of the same base, and is taken from there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from transformers import AutoConfig, AutoTokenizer, LlamaTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from bentsao.core.files import read_json_object
from bentsao.models.chatglm import register
from bentsao.models.chatglm.configuration import ChatGLMConfig
from bentsao.models.chatglm.releases import is_later

SENTENCEPIECE = "tokenizer.model"
CHATGLM = "ice_text.model"


def open_tokenizer(folder: Path, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder. Errors are transformers'."""
    if (folder / CHATGLM).is_file():
        from bentsao.models.chatglm.tokenizer import ChatGLMTokenizer

        return ChatGLMTokenizer.from_pretrained(folder)
    special = sentencepiece_marks(folder)
    if special is not None:
        return cast(Any, LlamaTokenizer).from_pretrained(folder, **special, add_bos_token=True)
    config = open_config(folder) if (folder / "config.json").is_file() else None
    more: dict[str, Any] = {} if config is None else {"config": config}
    if _starts_unsaid(folder):
        more["add_bos_token"] = True
    return cast(Any, AutoTokenizer).from_pretrained(folder, trust_remote_code=trust_remote_code, **more)


def _starts_unsaid(folder: Path) -> bool:
    """Whether this is a LLaMA tokenizer of the time when it put its start token before a text without being told to.

    Since transformers 5 it must be told; the models of that time were trained with it.
    """
    path = folder / "tokenizer_config.json"
    said: dict[str, Any] = read_json_object(path) if path.is_file() else {}
    llama = said.get("tokenizer_class") in ("LlamaTokenizer", "LlamaTokenizerFast")
    alone = (folder / SENTENCEPIECE).is_file() and not (folder / "tokenizer.json").is_file()
    return llama and alone and said.get("add_bos_token") is None


def sentencepiece_marks(folder: Path) -> dict[str, str] | None:
    """bos_token, eos_token and unk_token by the SentencePiece model, where tokenizer_config.json has them wrong.

    None where nothing is known to be wrong.
    """
    if (folder / "tokenizer.json").is_file() or not (folder / SENTENCEPIECE).is_file():
        return None
    path = folder / "tokenizer_config.json"
    said: dict[str, Any] = read_json_object(path) if path.is_file() else {}
    unknown_class = said.get("tokenizer_class") == "LLaMATokenizer"
    if not unknown_class and all(said.get(name) != "" for name in ("bos_token", "eos_token", "unk_token")):
        return None
    from sentencepiece import SentencePieceProcessor

    pieces = cast(Any, SentencePieceProcessor)(model_file=str(folder / SENTENCEPIECE))
    numbers = {"bos_token": pieces.bos_id(), "eos_token": pieces.eos_id(), "unk_token": pieces.unk_id()}
    return {name: pieces.id_to_piece(number) for name, number in numbers.items() if number >= 0}


def open_config(folder: Path) -> PreTrainedConfig | None:
    """The configuration where it must be mended; None where transformers opens it as it is.

    Mended are a missing model_type, by the class that the configuration names, and special ids below 0. ChatGLM-6B is
    opened with our classes. Raises ValueError as `ChatGLMConfig`.
    """
    said: dict[str, Any] = read_json_object(folder / "config.json")
    kind = said.get("model_type") or kind_of(said)
    if kind == "chatglm" and not is_later(said):
        register()
        return ChatGLMConfig(**{k: v for k, v in said.items() if k not in ("model_type", "auto_map")})
    below = [name for name in ("bos_token_id", "eos_token_id", "pad_token_id") if _below(said.get(name))]
    if kind is None or (said.get("model_type") and not below):
        return None
    kept = {k: v for k, v in said.items() if k not in (*below, "model_type", "auto_map")}
    return cast(PreTrainedConfig, cast(Any, AutoConfig).for_model(kind, **kept, **dict.fromkeys(below)))


def kind_of(config: dict[str, Any]) -> str | None:
    """The model_type of the class that a configuration names, if transformers has it."""
    named = set(config.get("architectures") or ())
    found = [str(kind) for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if name in named]
    # Some kinds share another's class; the class's own comes first.
    return min(
        found, key=lambda kind: not any(name.lower().startswith(kind.replace("_", "")) for name in named), default=None
    )


def mend_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a loaded model the tokenizer's special ids where its own are those of other tokens.

    So what is saved of it is right, and other programs that read it stop where they should.
    """
    own = cast(Any, tokenizer)
    control = {*own.all_special_ids, *own.added_tokens_decoder}
    start, end, unknown = own.bos_token_id, own.eos_token_id, own.unk_token_id
    for config in (model.config, model.generation_config):
        for name, right, other in (("bos_token_id", start, end), ("eos_token_id", end, start)):
            said = getattr(config, name, None)
            if right is None or not isinstance(said, int):
                continue
            if said != right and said not in control - {other, unknown}:
                setattr(config, name, right)


def _below(number: Any) -> bool:
    return isinstance(number, int) and number < 0
