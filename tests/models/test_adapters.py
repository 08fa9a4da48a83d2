"""Adapter folders: PEFT's own open as in PEFT, and every broken one is told what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from bentsao.core.errors import DataError, MissingError, ModelError
from bentsao.core.formats import FILE_NAME, FORMATS, ChatFormat, from_base
from bentsao.models.adapters import CONFIG_NAME, MANIFEST_NAME, WEIGHTS_NAME, read_adapter
from bentsao.models.presets import EMBEDDED
from tests.doubles import TEMPLATE, Kind, tiny_base_folder, tiny_model, tiny_tokenizer
from tests.models.adapted import load_adapted

WORDS = len(tiny_tokenizer())
OTHER_TEMPLATE = "{{ messages[-1]['content'] }}\n"


def make_adapter(folder: Path, base: str | None, kind: Kind = "llama", rank: int = 4, **extra: Any) -> Path:
    """A LoRA with random weights on a tiny model, as PEFT saves it."""
    config = LoraConfig(r=rank, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", **extra)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = get_peft_model(tiny_model(kind, vocab_size=WORDS), config)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_base_folder(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path: Path, base: Path) -> Path:
    return make_adapter(tmp_path / "adapter", str(base))


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def test_a_base_that_is_gone_is_asked_for_by_name(adapter: Path, base: Path) -> None:
    moved = base.rename(base.with_name("moved"))
    with pytest.raises(MissingError, match=r"(?s)打不开适配器 adapter 记下的基座 .*base.*--base") as error:
        load_adapted(adapter, device="cpu")
    assert "qwen" not in str(error.value)
    load_adapted(adapter, base=str(moved), device="cpu")


def test_same_logits_as_plain_peft(base: Path, adapter: Path):
    told: list[str] = []
    loaded, info = load_adapted(adapter, device="cpu", report=told.append)
    plain = PeftModel.from_pretrained(tiny_model(vocab_size=WORDS), str(adapter)).eval()
    bare = tiny_model(vocab_size=WORDS)
    ids = torch.tensor([loaded.tokens.encode("感冒怎么办？")])
    with torch.no_grad():
        ours = loaded.model(ids).logits
        assert torch.equal(ours, plain(ids).logits)
        assert not torch.allclose(ours, bare(ids).logits), "the adapter must do something"
    assert (info.base, info.chat_format, info.manifest) == (str(base), None, None)
    assert not loaded.model.training
    assert told == []


def test_manifest_comes_before_pefts_config(base: Path, adapter: Path):
    write(adapter / MANIFEST_NAME, {"base": {"name": str(base), "revision": None}})
    config = json.loads((adapter / CONFIG_NAME).read_text(encoding="utf-8"))
    write(adapter / CONFIG_NAME, {**config, "base_model_name_or_path": "someone/else"})
    info = read_adapter(adapter)
    assert info.base == str(base)
    assert info.manifest is not None


def test_chat_format_is_read(adapter: Path):
    (adapter / FILE_NAME).write_text(FORMATS["med_template"].model_dump_json(), encoding="utf-8")
    assert read_adapter(adapter).chat_format == FORMATS["med_template"]


def test_template_of_the_tuning_counts(tmp_path: Path):
    base = tiny_base_folder(tmp_path / "base", chat_template=TEMPLATE)
    adapter = make_adapter(tmp_path / "adapter", str(base))
    stored = from_base(OTHER_TEMPLATE)
    (adapter / FILE_NAME).write_text(stored.model_dump_json(), encoding="utf-8")
    loaded, info = load_adapted(adapter, device="cpu")
    assert info.chat_format == stored
    assert loaded.tokens.template == OTHER_TEMPLATE


def test_another_base_is_told(tmp_path: Path, adapter: Path):
    other = tiny_base_folder(tmp_path / "other", seed=7)
    told: list[str] = []
    loaded, _ = load_adapted(adapter, base=str(other), device="cpu", report=told.append)
    assert loaded.name == str(other)
    assert [line.startswith("警告") for line in told] == [True]


def test_same_base_by_another_path_is_not_told(base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(base.parent)
    told: list[str] = []
    load_adapted(adapter, base="./base", device="cpu", report=told.append)
    assert told == []


def test_embedded_base_of_another_version_is_told(base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch):
    def tiny(*_: object, **__: object) -> Path:
        return base

    monkeypatch.setattr("bentsao.models.fetching.embedded_base", tiny)
    write(adapter / MANIFEST_NAME, {"base": {"name": EMBEDDED, "revision": "of-long-ago"}})
    told: list[str] = []
    load_adapted(adapter, device="cpu", report=told.append)
    assert "of-long-ago" in told[0]


def test_base_that_nobody_names(adapter: Path):
    config = json.loads((adapter / CONFIG_NAME).read_text(encoding="utf-8"))
    write(adapter / CONFIG_NAME, {**config, "base_model_name_or_path": None})
    assert read_adapter(adapter).base is None
    with pytest.raises(ModelError, match="--base"):
        load_adapted(adapter, device="cpu")


@pytest.mark.parametrize("kind", ["bloom", "glm"])
def test_base_of_another_architecture(kind: Kind, tmp_path: Path, adapter: Path):
    other = tiny_base_folder(tmp_path / kind, kind)
    with pytest.raises(ModelError, match="不相配"):
        load_adapted(adapter, base=str(other), device="cpu")


@pytest.mark.parametrize(("size", "value"), [("intermediate_size", 128), ("num_hidden_layers", 1)])
def test_base_of_another_size(size: str, value: int, tmp_path: Path, adapter: Path):
    """With fewer layers all shapes fit, and half of the adapter would be left unused in silence."""
    other = tiny_base_folder(tmp_path / "other")
    config = tiny_model(vocab_size=WORDS).config
    setattr(config, size, value)
    LlamaForCausalLM(cast(Any, config)).save_pretrained(other)
    with pytest.raises(ModelError, match="不相配"):
        load_adapted(adapter, base=str(other), device="cpu")


def test_half_an_adapter(adapter: Path):
    weights = load_file(adapter / WEIGHTS_NAME)
    save_file({name: tensor for name, tensor in weights.items() if "layers.0." in name}, adapter / WEIGHTS_NAME)
    with pytest.raises(ModelError, match="缺少"):
        load_adapted(adapter, device="cpu")


def test_adapter_that_diverged(adapter: Path):
    weights = load_file(adapter / WEIGHTS_NAME)
    next(iter(weights.values()))[0, 0] = torch.nan
    save_file(weights, adapter / WEIGHTS_NAME)
    with pytest.raises(ModelError, match="NaN"):
        load_adapted(adapter, device="cpu")


def test_whole_layers_may_be_saved_besides(tmp_path: Path, base: Path):
    adapter = make_adapter(tmp_path / "adapter", str(base), modules_to_save=["lm_head"])
    loaded, _ = load_adapted(adapter, device="cpu")
    plain = PeftModel.from_pretrained(tiny_model(vocab_size=WORDS), str(adapter)).eval()
    ids = torch.tensor([[5, 300, 301]])
    with torch.no_grad():
        assert torch.equal(loaded.model(ids).logits, plain(ids).logits)


def test_embedding_layers_may_be_saved_besides(base: Path, adapter: Path):
    """PEFT saves them whole after a change of vocabulary."""
    whole = tiny_model(vocab_size=WORDS, seed=3).state_dict()
    more = {f"base_model.model.{name}": whole[name] for name in ("model.embed_tokens.weight", "lm_head.weight")}
    save_file({**load_file(adapter / WEIGHTS_NAME), **more}, adapter / WEIGHTS_NAME)
    loaded, _ = load_adapted(adapter, device="cpu")
    embedding = cast(Any, loaded.model.get_input_embeddings()).weight
    assert torch.equal(embedding, whole["model.embed_tokens.weight"])


def _no_folder(adapter: Path) -> None:
    adapter.rename(adapter.with_name("moved"))


def _no_config(adapter: Path) -> None:
    (adapter / CONFIG_NAME).unlink()


def _no_weights(adapter: Path) -> None:
    (adapter / WEIGHTS_NAME).unlink()


def _misnamed(adapter: Path) -> None:
    (adapter / WEIGHTS_NAME).rename(adapter / "adapter_model.bin")


def _no_tensors(adapter: Path) -> None:
    save_file({}, adapter / WEIGHTS_NAME)


def _truncated(adapter: Path) -> None:
    data = (adapter / WEIGHTS_NAME).read_bytes()
    (adapter / WEIGHTS_NAME).write_bytes(data[:-100])


def _no_bytes(adapter: Path) -> None:
    (adapter / WEIGHTS_NAME).write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "error", "words"),
    [
        (_no_folder, MissingError, "找不到"),
        (_no_config, MissingError, "不是适配器目录"),
        (_no_weights, MissingError, "不完整"),
        (_misnamed, ModelError, "改名为 adapter_model.safetensors"),
        (_no_tensors, ModelError, "没有任何权重"),
        (_truncated, ModelError, "已损坏"),
        (_no_bytes, ModelError, "已损坏"),
    ],
)
def test_folders_that_are_no_adapter(adapter: Path, harm: Any, error: type[Exception], words: str):
    harm(adapter)
    with pytest.raises(error, match=words) as caught:
        read_adapter(adapter)
    assert str(adapter) in str(caught.value)


def test_folder_above_the_adapters(adapter: Path, base: Path):
    with pytest.raises(MissingError, match="它下面的 adapter 是"):
        read_adapter(adapter.parent)
    with pytest.raises(MissingError, match="用 --base"):
        read_adapter(base)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CONFIG_NAME, "{"),
        (CONFIG_NAME, "[]"),
        (MANIFEST_NAME, "[1]"),
        (MANIFEST_NAME, '{"base": "embedded"}'),
        (FILE_NAME, '{"nom": 1}'),
    ],
)
def test_faulty_json_is_named(adapter: Path, name: str, text: str):
    (adapter / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=name):
        read_adapter(adapter)


def test_stored_format_is_kept_to_the_letter(adapter: Path):
    own = ChatFormat(name="own", prompt="甲{instruction}乙")
    (adapter / FILE_NAME).write_text(own.model_dump_json(indent=2), encoding="utf-8")
    info = read_adapter(adapter)
    assert info.chat_format is not None
    assert info.chat_format.hash == own.hash
