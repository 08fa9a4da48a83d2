"""What is wrong with a base is told before training, and all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from bentsao.core.errors import ModelError
from bentsao.models.checking import Finding, check_base
from bentsao.models.fetching import Located, locate
from bentsao.models.llamafying import llamafy
from bentsao.models.loading import load_base
from bentsao.models.presets import BASES, PUBLISHED, find_preset, find_published
from bentsao.models.repairs import kind_of
from tests.systems import SYSTEMS, baichuan, byte_tokenizer


def change(folder: Path, file: str, **values: Any) -> None:
    path = folder / file
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept = {key: value for key, value in {**said, **values}.items() if value is not ...}
    path.write_text(json.dumps(kept), encoding="utf-8")


def findings(folder: Path) -> list[Finding]:
    return check_base(Located(str(folder), folder, None, None))


def told(folder: Path, level: str) -> str:
    return "\n".join(f"{found.what} → {found.do}" for found in findings(folder) if found.level == level)


@pytest.mark.parametrize("system", ["bloom", "glm", "llama3", "llama"])
def test_sound_ones_have_neither_errors_nor_warnings(system: str, tmp_path: Path) -> None:
    folder = SYSTEMS[system](tmp_path / system)
    # GLM's own template writes no end after an answer: the next turn's mark is it.
    expected = ["对话模板在回答后面没有结束符"] if system == "glm" else []
    found = [item.what for item in findings(folder) if item.level != "note"]
    assert [what[: len(words)] for what, words in zip(found, expected, strict=True)] == expected


def test_decapoda(tmp_path: Path) -> None:
    folder = SYSTEMS["decapoda"](tmp_path / "decapoda")
    warnings = told(folder, "warning")
    for words in (
        "tokenizer_class 'LLaMATokenizer'",
        "eos_token=</s>",
        "pad_token_id 是 -1",
        "config.json 的结束符是 1，那是开始符 <s>；分词器说是 2",
        "generation_config.json 的结束符是 1",
    ):
        assert words in warnings
    loaded = load_base(str(folder), device="cpu")
    assert (loaded.model.config.eos_token_id, loaded.model.generation_config.eos_token_id) == (2, 2)
    assert loaded.tokens.decode(loaded.tokens.encode("感冒发热")) == "感冒发热"


def _no_end(folder: Path) -> None:
    tokenizer = byte_tokenizer(["<unk>", "<s>"], bos_token="<s>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    change(folder, "config.json", eos_token_id=None)
    (folder / "generation_config.json").unlink(missing_ok=True)


def _same_ends(folder: Path) -> None:
    byte_tokenizer(["<unk>", "<s>"], bos_token="<s>", eos_token="<s>", unk_token="<unk>").save_pretrained(folder)


def _unknown_is_end(folder: Path) -> None:
    byte_tokenizer(["<unk>"], eos_token="<unk>", unk_token="<unk>", pad_token="<unk>").save_pretrained(folder)


def _too_many_words(folder: Path) -> None:
    change(folder, "config.json", vocab_size=200)


def _other_weights(folder: Path) -> None:
    change(folder, "config.json", vocab_size=400)


def _broken_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ raise_exception('只许英文') }}", encoding="utf-8")


def _endless_template(folder: Path) -> None:
    text = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    (folder / "chat_template.jinja").write_text(text, encoding="utf-8")


def _unknown_kind(folder: Path) -> None:
    change(folder, "config.json", model_type="nova", architectures=["NovaForCausalLM"], auto_map={"AutoConfig": "x.Y"})
    (folder / "x.py").write_text("", encoding="utf-8")


def _new_kind(folder: Path) -> None:
    change(folder, "config.json", model_type="nova", architectures=["NovaForCausalLM"])


def _encoder(folder: Path) -> None:
    change(folder, "config.json", model_type="siglip", architectures=["SiglipModel"])


def _prefix_lm(folder: Path) -> None:
    ids = {"vocab_size": 130528, "bos_token_id": 150004, "eos_token_id": 130005}
    change(folder, "config.json", model_type="chatglm", architectures=["ChatGLMModel"], quantization_bit=4, **ids)


def _later_chatglm(folder: Path) -> None:
    change(folder, "config.json", model_type="chatglm", multi_query_attention=True, padded_vocab_size=65024)


def _missing_shard(folder: Path) -> None:
    change(folder, "model.safetensors.index.json", weight_map={"a": "model-00001-of-00002.safetensors"})
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")


CASES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no end": (_no_end, "error", "没有结束符.*eos_token"),
    "start is end": (_same_ends, "warning", "开始符与结束符是同一个"),
    "unknown is end": (_unknown_is_end, "error", "未知符与结束符是同一个"),
    "pad is end": (_unknown_is_end, "note", "填充符就是结束符"),
    "more words than rows": (_too_many_words, "error", "词嵌入只有 200 行"),
    "rows of other weights": (_other_weights, "error", "权重里的词嵌入是 360 行.*vocab_size 是 400"),
    "template that refuses": (_broken_template, "error", "对话模板用不了.*只许英文"),
    "template without end": (_endless_template, "warning", "对话模板在回答后面没有结束符"),
    "remote code": (_unknown_kind, "error", r"只有远程代码（x\.py）.*--trust-remote-code"),
    "unknown to transformers": (_new_kind, "error", "不认识架构 nova"),
    "no language model": (_encoder, "error", "不是逐词生成的语言模型"),
    "ChatGLM2": (_later_chatglm, "error", "ChatGLM2/3.*glm-4-9b"),
    "ChatGLM-6B": (_prefix_lm, "note", "prefix-LM.*不运行它带的远程代码"),
    "packed integers": (_prefix_lm, "error", "4 bit 量化的版本"),
    "ids of another release": (_prefix_lm, "error", "bos_token_id 是 150004.*应是 130004"),
    "missing shard": (_missing_shard, "error", "缺少 1 个权重文件"),
    "pointer": (_pointer, "error", "Git LFS"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_mismatch_is_told(case: str, tmp_path: Path) -> None:
    import re

    harm, level, words = CASES[case]
    folder = SYSTEMS["bloom"](tmp_path / "base")
    assert not re.search(words, told(folder, level), re.DOTALL)
    harm(folder)
    assert re.search(words, told(folder, level), re.DOTALL), findings(folder)


def test_all_at_once(tmp_path: Path) -> None:
    folder = SYSTEMS["bloom"](tmp_path / "base")
    for harm in (_too_many_words, _broken_template, _new_kind):
        harm(folder)
    assert sum(found.level == "error" for found in findings(folder)) >= 4


def test_own_classes_need_no_remote_code(tmp_path: Path) -> None:
    for system, words in (("internlm3", "transformers 自带这个架构的类"), ("minicpm3", "没有写 model_type")):
        folder = SYSTEMS[system](tmp_path / system)
        assert words in told(folder, "note")
        assert told(folder, "error") == ""
    assert kind_of({"architectures": ["LlamaForCausalLM"]}) == "llama"
    assert kind_of({"architectures": ["Nobody"]}) is None


def test_baichuan_in_llamas_form_computes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = baichuan(tmp_path / "published")
    assert "bentsao bases convert" in told(folder, "error")
    located = locate(str(folder), print)
    vocabulary = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    for norm_head in (False, True):
        out = tmp_path / f"out-{norm_head}"
        monkeypatch.setattr("bentsao.models.llamafying._NORMED", vocabulary if norm_head else 0)
        llamafy(located, out, lambda _: None)
        ours = load_base(str(out), device="cpu")
        ids = torch.tensor([[3, 300, 301, 4]])
        with torch.no_grad():
            found = ours.model(ids).logits
            expected = by_hand(folder, norm_head)(ids).logits
        torch.testing.assert_close(found, expected)
    spelt = ours.tokens.encode("<reserved_106>感冒<reserved_107>", control=True)
    assert (spelt[0], spelt[-1]) == (3, 4)
    change(folder, "config.json", hidden_size=5120)
    with pytest.raises(ModelError, match="13B"):
        llamafy(located, tmp_path / "wide", print)
    with pytest.raises(ModelError, match="不是百川"):
        llamafy(locate(str(SYSTEMS["llama"](tmp_path / "llama")), print), tmp_path / "x", print)


def by_hand(folder: Path, norm_head: bool) -> Any:
    """LLaMA with the published weights set by hand: q, k and v are rows of W_pack; the head as its code does it."""
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = {key: said[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size")}
    model = hf.LlamaForCausalLM(
        hf.LlamaConfig(**shape, num_attention_heads=4, max_position_embeddings=512, rms_norm_eps=1e-6)
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".self_attn." in name and "o_proj" not in name:
                place = "qkv".index(name.rpartition("_proj")[0][-1])
                packed = weights[name.replace(f"{'qkv'[place]}_proj", "W_pack")]
                weight.copy_(packed[32 * place : 32 * (place + 1)])
            else:
                weight.copy_(weights[name])
        if norm_head:
            model.lm_head.weight /= model.lm_head.weight.norm(dim=1, keepdim=True)
    return model.eval()


def test_the_originals_adapters_are_known() -> None:
    for hub_id, known in PUBLISHED.items():
        assert find_published(hub_id) is known
        assert find_published(f"weights/{hub_id.partition('/')[2]}/") is known
        assert find_preset(known.base) is not None
    assert find_published("someone/else") is None
    assert all(preset.ends for preset in BASES.values())
