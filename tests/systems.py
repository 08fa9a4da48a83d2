"""A small random base of every system that the project supports: its architecture, its kind of tokenizer, its faults.

Tokenizers are trained on a few sentences: SentencePiece where the system has it, else BPE over bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers as hf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.doubles import TEMPLATE, tiny_tokenizer

SENTENCES = (
    "感冒发热咳嗽应该怎么治疗？多喝水，注意休息。",
    "下面是一个问题，运用医学知识来正确回答提问.\n### 问题:\n### 回答：",
    "小儿感冒吃什么药？请遵医嘱服药。",
    "What are the symptoms of pneumonia? Cough and fever.",
)
WORDS = 350
"""Of each tokenizer, without what is added."""

QWEN = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
GLM = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
LLAMA3 = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
CHATML = "<s>" + QWEN.partition("{% if enable")[0] + "{% endif %}"


@cache
def sentencepiece(more: tuple[str, ...] = ()) -> bytes:
    """A SentencePiece BPE model with byte fallback, as LLaMA's. more: pieces of its own, as Baichuan's marks are."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    cast(Any, SentencePieceTrainer).train(
        sentence_iterator=iter(SENTENCES * 10),
        model_writer=model,
        vocab_size=WORDS,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        character_coverage=1.0,
        user_defined_symbols=list(more),
        minloglevel=2,
    )
    return model.getvalue()


def byte_tokenizer(marks: Sequence[str], **special: str) -> PreTrainedTokenizerFast:
    """BPE over bytes, as BLOOM's, Qwen's, Llama 3's and GLM-4's. marks: added control tokens; special: bos_token …"""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(SENTENCES, trainer)
    inner.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def _write_sentencepiece(folder: Path, template: str | None = None, marks: Sequence[str] = ()) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(sentencepiece())
    names: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    names |= {"add_bos_token": True, "additional_special_tokens": list(marks)}
    tokenizer: Any = hf.LlamaTokenizer.from_pretrained(folder, **names)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


_LOUD: dict[str, Any] = {"initializer_range": 0.2}
"""Larger than models are drawn with, so that a few steps on the layers of a small one can change what it says."""

_SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def _write_model(folder: Path, kind: str, words: int, **more: Any) -> PreTrainedModel:
    shape = {"hidden_size": 32, "n_layer": 2, "n_head": 4} if kind == "bloom" else {**_SHAPE, "head_dim": 8}
    if kind == "minicpm3":
        mla = {"q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
        shape = {**_SHAPE, **mla, "num_key_value_heads": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = hf.AutoConfig.for_model(kind, **{**shape, "vocab_size": words, "pad_token_id": None, **_LOUD, **more})
        model = hf.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return model


def change_json(path: Path, **values: Any) -> None:
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**said, **values}), encoding="utf-8")


def llama(folder: Path) -> Path:
    """A clean copy of the first LLaMA."""
    _write_model(folder, "llama", _write_sentencepiece(folder), num_key_value_heads=4)
    return folder


def decapoda(folder: Path) -> Path:
    """The copy of 2023 with a tokenizer class that never was, empty special tokens and the ids of others."""
    llama(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / "tokenizer.model").write_bytes(sentencepiece())
    change_json(
        folder / "tokenizer_config.json",
        **{"bos_token": "", "eos_token": "", "unk_token": "", "tokenizer_class": "LLaMATokenizer"},
        model_max_length=1e30,
    )
    change_json(folder / "special_tokens_map.json")
    wrong = {"bos_token_id": 0, "eos_token_id": 1}
    change_json(folder / "config.json", architectures=["LLaMAForCausalLM"], pad_token_id=-1, **wrong)
    (folder / "generation_config.json").write_text(json.dumps({**wrong, "pad_token_id": 0}), encoding="utf-8")
    return folder


def bloom(folder: Path) -> Path:
    """bloomz: no template, no start, more rows than words."""
    tokenizer = byte_tokenizer(
        ["<unk>", "<s>", "</s>", "<pad>"], bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    tokenizer.save_pretrained(folder)
    end: Any = tokenizer.eos_token_id
    _write_model(folder, "bloom", len(tokenizer) + 6, eos_token_id=end, bos_token_id=end - 1)
    return folder


def huozi(folder: Path) -> Path:
    """BLOOM with end tokens of its own, which its configuration does not name."""
    marks = ["<unk>", "<s>", "</s>", "<pad>", "<|beginofutterance|>", "<|endofutterance|>", "<|endoftext|>"]
    tokenizer = byte_tokenizer(marks, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    _write_model(folder, "bloom", len(tokenizer), eos_token_id=tokenizer.eos_token_id)
    return folder


def _glm(folder: Path, kind: str) -> Path:
    marks = ["<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
    tokenizer = byte_tokenizer(marks, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = GLM
    tokenizer.save_pretrained(folder)
    ends = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|user|>", "<|observation|>"])
    _write_model(folder, kind, len(tokenizer) + 3, eos_token_id=ends)
    return folder


def glm(folder: Path) -> Path:
    """glm-4-9b-chat-hf: an answer ends with the next turn's mark, which only the configuration tells."""
    return _glm(folder, "glm")


def glm4(folder: Path) -> Path:
    """GLM-4-0414, another class."""
    return _glm(folder, "glm4")


def qwen3(folder: Path) -> Path:
    """Thinks, if it is let."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    tokenizer = byte_tokenizer(marks, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = QWEN
    tokenizer.save_pretrained(folder)
    _write_model(folder, "qwen3", len(tokenizer) + 9, eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=True)
    return folder


def llama3(folder: Path) -> Path:
    """Bytes instead of SentencePiece, and several ends."""
    marks = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = byte_tokenizer(marks, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")
    tokenizer.chat_template = LLAMA3
    tokenizer.save_pretrained(folder)
    ends = tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eot_id|>"])
    _write_model(folder, "llama", len(tokenizer), eos_token_id=ends, bos_token_id=tokenizer.bos_token_id)
    return folder


def gemma3(folder: Path) -> Path:
    """A large vocabulary with ends of turns that are not called special; embedding and head share their weights."""
    tokenizer = tiny_tokenizer(chat_template=TEMPLATE)
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    _write_model(folder, "gemma3_text", len(tokenizer), query_pre_attn_scalar=8, sliding_window=64, **ids)
    return folder


def internlm3(folder: Path) -> Path:
    """Comes with remote code, which its own class makes needless.

    transformers 5.20, the last for Python 3.10, has no such class.
    """
    if not hasattr(hf, "InternLM3ForCausalLM"):
        pytest.skip(f"transformers {hf.__version__} has no InternLM3")
    words = _write_sentencepiece(folder, CHATML, ["<|im_start|>", "<|im_end|>"])
    _write_model(folder, "internlm3", words, eos_token_id=2, bos_token_id=1)
    remote = "configuration_internlm3.InternLM3Config"
    change_json(folder / "config.json", architectures=["InternLM3ForCausalLM"], auto_map={"AutoConfig": remote})
    return folder


def minicpm3(folder: Path) -> Path:
    """Its configuration does not say what it is."""
    words = _write_sentencepiece(folder, CHATML, ["<|im_start|>", "<|im_end|>"])
    _write_model(folder, "minicpm3", words, eos_token_id=[2, words - 1], bos_token_id=1)
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del said["model_type"]
    said["auto_map"] = {"AutoConfig": "configuration_minicpm.MiniCPM3Config"}
    (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def baichuan(folder: Path) -> Path:
    """As it is published: q, k and v in one, remote code, marks of the turns by number."""
    words = 352
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = hf.LlamaForCausalLM(hf.LlamaConfig(**{**_SHAPE, "num_key_value_heads": 4}, vocab_size=words, **_LOUD))
    weights = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    for name in [name for name in weights if ".q_proj." in name]:
        packed = [weights.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        weights[name.replace("q_proj", "W_pack")] = torch.cat(packed)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "tokenizer.model").write_bytes(sentencepiece(("<reserved_106>", "<reserved_107>")))
    code = "configuration_baichuan.BaichuanConfig"
    change_json(
        folder / "config.json",
        **{key: value for key, value in _SHAPE.items() if key != "num_key_value_heads"},
        model_type="baichuan",
        architectures=["BaichuanForCausalLM"],
        auto_map={"AutoConfig": code},
        vocab_size=words,
        rms_norm_eps=1e-6,
        hidden_act="silu",
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    # After <unk>, <s> and </s>; in the real one they are 195 and 196.
    change_json(folder / "generation_config.json", user_token_id=3, assistant_token_id=4, eos_token_id=2)
    return folder


def baichuan_converted(folder: Path) -> Path:
    """The same in LLaMA's form."""
    from bentsao.models.fetching import Located
    from bentsao.models.llamafying import llamafy

    source = baichuan(folder.with_name(f"{folder.name}-as-published"))
    llamafy(Located(str(source), source, None, None), folder, lambda _: None)
    return folder


@cache
def ice_text() -> bytes:
    """A SentencePiece model with ChatGLM's marks, line break and blanks as pieces."""
    from sentencepiece import SentencePieceTrainer

    from bentsao.models.chatglm.tokenizer import MARKS

    model = io.BytesIO()
    blanks = [f"<|blank_{length}|>" for length in range(2, 81)]
    cast(Any, SentencePieceTrainer).train(
        sentence_iterator=iter(SENTENCES * 10),
        model_writer=model,
        vocab_size=WORDS + 110,
        model_type="unigram",
        byte_fallback=True,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=1.0,
        pad_id=3,
        control_symbols=list(MARKS),
        user_defined_symbols=["<n>", "<|tab|>", *blanks],
        minloglevel=2,
    )
    return model.getvalue()


def chatglm(folder: Path, pictures: int = 0) -> Path:
    """ChatGLM-6B as it is published: pickles in shards, remote code, `ice_text.model`. pictures: ids before words."""
    from bentsao.models.chatglm import ChatGLMConfig, ChatGLMForConditionalGeneration
    from bentsao.models.chatglm.tokenizer import FILE, ChatGLMTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(ice_text())
    change_json(folder / "tokenizer_config.json", tokenizer_class="ChatGLMTokenizer", num_image_tokens=pictures)
    tokenizer = ChatGLMTokenizer.from_pretrained(folder)
    ids: Any = tokenizer.convert_tokens_to_ids(["[MASK]", "[gMASK]", "<sop>", "<eop>", "<pad>"])
    names = ("mask_token_id", "gmask_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
    shape: dict[str, Any] = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "inner_hidden_size": 64}
    shape |= {"vocab_size": len(tokenizer) + 5, "max_sequence_length": 512, **dict(zip(names, ids, strict=True))}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ChatGLMForConditionalGeneration(ChatGLMConfig(**shape, **_LOUD))
    weights = dict(model.state_dict())
    weights |= {f"transformer.layers.{n}.attention.rotary_emb.inv_freq": torch.zeros(2) for n in range(2)}
    shards = {f"pytorch_model-0000{n + 1}-of-00002.bin": sorted(weights)[n::2] for n in range(2)}
    for name, keys in shards.items():
        torch.save({key: weights[key] for key in keys}, folder / name)
    change_json(
        folder / "pytorch_model.bin.index.json",
        metadata={"total_size": sum(weight.nbytes for weight in weights.values())},
        weight_map={key: name for name, keys in shards.items() for key in keys},
    )
    remote = {"AutoConfig": "configuration_chatglm.ChatGLMConfig", "AutoModel": "modeling_chatglm.ChatGLMModel"}
    change_json(
        folder / "config.json",
        model_type="chatglm",
        architectures=["ChatGLMModel"],
        auto_map=remote,
        layernorm_epsilon=1e-5,
        position_encoding_2d=True,
        torch_dtype="float32",
        **shape,
    )
    (folder / "modeling_chatglm.py").write_text("raise SystemExit('remote code was run')\n", encoding="utf-8")
    return folder


SYSTEMS: dict[str, Callable[[Path], Path]] = {
    "llama": llama,
    "decapoda": decapoda,
    "bloom": bloom,
    "huozi": huozi,
    "glm": glm,
    "glm4": glm4,
    "qwen3": qwen3,
    "llama3": llama3,
    "gemma3": gemma3,
    "internlm3": internlm3,
    "minicpm3": minicpm3,
    "baichuan": baichuan_converted,
    "chatglm": chatglm,
}
"""By name, a base in a folder that the project can use."""
