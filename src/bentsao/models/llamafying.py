"""百川 7B in LLaMA's form, which it has but for how its weights are written down; so no remote code is needed.

The three projections of the attention lie in one (`W_pack`: q, k and v, one below another). Baichuan 2 normalises each
row of the output head when it computes; here that is done to the weights. The 13B models use ALiBi and are no LLaMA.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaTokenizer

from bentsao.core.errors import MissingError, ModelError
from bentsao.core.files import read_json_object, whole_folder, write_json
from bentsao.models.fetching import Located
from bentsao.models.pickles import open_pickle
from bentsao.models.repairs import SENTENCEPIECE

_NORMED = 125_696
"""The vocabulary of Baichuan 2, by which its code and other programs know that the head is normalised."""

_WIDEST = 4096
"""Wider ones (13B) use ALiBi; by this, too, other programs know them."""

_KEPT = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act",
         "initializer_range", "rms_norm_eps", "bos_token_id", "eos_token_id", "pad_token_id")  # fmt: skip


def llamafy(located: Located, out: Path, report: Callable[[str], None]) -> None:
    """Write a Baichuan base in LLaMA's form to the new folder `out`, file by file: one file is in memory at a time.

    Baichuan 2, which has its own size of vocabulary, normalises its head. Raises ModelError for what is no Baichuan 7B,
    MissingError where files are missing.
    """
    config = read_json_object(located.folder / "config.json")
    if config.get("model_type") != "baichuan":
        raise ModelError(f"{located.name} 不是百川（model_type 是 {config.get('model_type')}），不需要这样转换。")
    if config["hidden_size"] > _WIDEST:
        raise ModelError(f"{located.name} 是 13B：它用 ALiBi 表示位置，不是 LLaMA 的形状，不能这样转换。请用 7B。")
    files = sorted(located.folder.glob("*.safetensors")) or sorted(located.folder.glob("pytorch_model*.bin"))
    if not files:
        raise MissingError(f"{located.folder} 里没有权重。请先运行 bentsao bases fetch。")
    normed = config["vocab_size"] == _NORMED
    with whole_folder(out) as folder:
        places: dict[str, str] = {}
        size = 0
        for number, file in enumerate(files, 1):
            report(f"转换 {file.name}（{number}/{len(files)}）……")
            tensors = {name: tensor.contiguous().clone() for name, tensor in _renamed(_read(file), normed)}
            name = f"model-{number:05d}-of-{len(files):05d}.safetensors"
            save_file(tensors, folder / name, metadata={"format": "pt"})
            places |= dict.fromkeys(tensors, name)
            size += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": places})
        length = config.get("model_max_length") or config.get("max_position_embeddings") or 4096
        kept = {name: config[name] for name in _KEPT if name in config}
        made = LlamaConfig(
            **kept,
            architectures=["LlamaForCausalLM"],
            max_position_embeddings=length,
            tie_word_embeddings=False,
            dtype=config.get("torch_dtype") or config.get("dtype"),
        )
        made.save_pretrained(folder)
        _write_tokenizer(located.folder, folder)


def _read(file: Path) -> Iterator[tuple[str, Tensor]]:
    if file.suffix == ".safetensors":
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                yield name, opened.get_tensor(name)
        return
    yield from cast("dict[str, Tensor]", open_pickle(file, mmap=True)).items()


def _renamed(weights: Iterator[tuple[str, Tensor]], normed: bool) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in weights:
        if name.endswith(".W_pack.weight"):
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield name.replace("W_pack", f"{part}_proj"), piece
        elif name == "lm_head.weight" and normed:
            yield name, torch.nn.functional.normalize(tensor.float()).to(tensor.dtype)
        elif not name.endswith("rotary_emb.inv_freq"):
            yield name, tensor


def _write_tokenizer(source: Path, folder: Path) -> None:
    """From the SentencePiece model; a chat model's marks of the turns are told by its generation_config.json."""
    from sentencepiece import SentencePieceProcessor

    if not (source / SENTENCEPIECE).is_file():
        raise MissingError(f"{source} 里没有 {SENTENCEPIECE}。")
    pieces = cast(Any, SentencePieceProcessor)(model_file=str(source / SENTENCEPIECE))
    path = source / "generation_config.json"
    said: dict[str, Any] = read_json_object(path) if path.is_file() else {}
    turns = [pieces.id_to_piece(said[name]) for name in ("user_token_id", "assistant_token_id") if name in said]
    special = {
        f"{name}_token": pieces.id_to_piece(number)
        for name, number in (("bos", pieces.bos_id()), ("eos", pieces.eos_id()), ("unk", pieces.unk_id()))
        if number >= 0
    }
    tokenizer = cast(Any, LlamaTokenizer).from_pretrained(
        source, **special, add_bos_token=False, additional_special_tokens=turns
    )
    if len(turns) == 2:
        tokenizer.chat_template = _template(turns[0], turns[1])
    tokenizer.save_pretrained(folder)
    if "eos_token_id" in said:
        write_json(folder / "generation_config.json", {"eos_token_id": said["eos_token_id"]})


def _template(user: str, assistant: str) -> str:
    return (
        "{% for m in messages %}"
        "{% if m['role'] == 'system' %}{{ m['content'] }}"
        f"{{% elif m['role'] == 'user' %}}{{{{ {json.dumps(user)} + m['content'] }}}}"
        f"{{% else %}}{{{{ {json.dumps(assistant)} + m['content'] + eos_token }}}}{{% endif %}}"
        "{% endfor %}"
        f"{{% if add_generation_prompt %}}{{{{ {json.dumps(assistant)} }}}}{{% endif %}}"
    )
