"""What is tuned, by recipe: all weights, LoRA's kin, a quantised base, plain text; and that our engines open it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from bentsao.core.errors import ConfigError
from bentsao.inference.decoding import Decoding
from bentsao.inference.engines.opening import open_engine
from bentsao.models.loading import load_base
from bentsao.tuning.checkpoints import run_folder
from bentsao.tuning.recipe import load_recipe
from bentsao.tuning.run import tune
from tests.doubles import TEMPLATE, tiny_tokenizer
from tests.tuning.test_run import Notes, settings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "cache"))


def run(tmp_path: Path, **more: Any) -> Notes:
    notes = Notes()
    tune(load_recipe(None, settings(tmp_path, **{"lora.dropout": 0.0, **more})), notes)
    return notes


def reply(**which: Any) -> tuple[str, str]:
    """What an engine answers, and in which format it was asked."""
    engine = open_engine(chat_format=None, report=lambda _: None, device="cpu", engine="transformers", **which)
    prompt = engine.tokens.encode(engine.chat_format.name, control=False, after=False)
    generated = engine.generate([prompt], Decoding(max_new_tokens=8))
    return generated[0].text, engine.chat_format.name


def test_a_model_tuned_whole_is_a_base_of_its_own(tmp_path: Path) -> None:
    notes = run(tmp_path, method="full", **{"data.format": "med_template", "training.learning_rate": 1e-3})
    assert notes.steps[-1].loss < notes.steps[0].loss
    assert any("学习率 0.001 很可能太大" in note for note in notes.notes)
    folder = tmp_path / "adapter"
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_format.json", "bentsao.json"} <= names
    manifest = json.loads((folder / "bentsao.json").read_text(encoding="utf-8"))
    assert manifest["recipe"]["method"] == "full"
    assert manifest["base"]["name"] == str(tmp_path / "base")
    assert not run_folder(folder).exists()

    before = AutoModelForCausalLM.from_pretrained(tmp_path / "base").state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert reply(adapter=None, base=str(folder))[1] == "med_template"
    # It can be the base of the next run, and asks for no flag to have its format.
    run(tmp_path, **{"base.name": str(folder), "output": str(tmp_path / "next")})
    assert reply(adapter=tmp_path / "next", base=None)[1] == "med_template"
    with pytest.raises(ConfigError, match="--restart"):
        run(tmp_path, method="full", **{"data.format": "med_template"})


def test_upper_layers_of_a_model_can_be_tuned_whole(tmp_path: Path) -> None:
    run(tmp_path, method="full", **{"training.lowest_layer": 1, "training.keep_activations": True})
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "base").state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "adapter").state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"model.norm.weight", "lm_head.weight", "model.layers.1.mlp.up_proj.weight"} <= changed
    assert not any(".layers.0." in name or "embed" in name for name in changed)
    assert not run_folder(tmp_path / "adapter").exists()


@pytest.mark.parametrize("kind", ["dora", "rslora"])
def test_kinds_of_lora_round_trip(tmp_path: Path, kind: str) -> None:
    plain = run(tmp_path, **{"output": str(tmp_path / "plain"), "lora.rank": 4})
    notes = run(tmp_path, **{f"lora.{kind}": True, "lora.rank": 4})
    assert notes.steps[-1].loss < notes.steps[0].loss
    assert [s.loss for s in notes.steps] != [s.loss for s in plain.steps]
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config[f"use_{kind}"]
    text, _ = reply(adapter=tmp_path / "adapter", base=None)
    assert text
    # Begun from its own end, and merged for the engine of CPUs.
    onwards = {f"lora.{kind}": True, "lora.rank": 4, "lora.init": str(tmp_path / "adapter")}
    again = run(tmp_path, **onwards, output=str(tmp_path / "next"))
    assert again.steps[0].loss < notes.steps[0].loss


@pytest.mark.parametrize("other", [{"lora.alpha": 64}, {"lora.rslora": True}])
def test_the_adapter_to_begin_from_keeps_its_scale(tmp_path: Path, other: dict[str, Any]) -> None:
    run(tmp_path, **{"lora.rank": 4, "lora.alpha": 8})
    onwards: dict[str, Any] = {"lora.rank": 4, "lora.alpha": 8, "lora.init": str(tmp_path / "adapter"), **other}
    with pytest.raises(ConfigError, match=r"lora\.alpha=8，lora\.rslora=false"):
        run(tmp_path, **onwards, output=str(tmp_path / "next"))


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
def test_a_quantised_base_is_tuned(tmp_path: Path, bits: str) -> None:
    pytest.importorskip("bitsandbytes")
    base = tmp_path / "base"
    tokenizer = tiny_tokenizer(chat_template=TEMPLATE)
    # 4 bits go by blocks of 64.
    sizes: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16}
    heads: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 4}
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **sizes, **heads)).save_pretrained(base)
    tokenizer.save_pretrained(base)
    notes = run(tmp_path, **{"base.quantization": bits})
    assert notes.steps[-1].loss < notes.steps[0].loss - 0.5
    # The adapter lies on the base in any precision.
    assert reply(adapter=tmp_path / "adapter", base=None)[0]


def test_plain_text_is_learnt(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("感冒吃药，发热吃药，咳嗽也吃药。" * 40, encoding="utf-8")
    other = tmp_path / "other.txt"
    other.write_text("头痛怎么办？吃药。" * 20, encoding="utf-8")
    more = {"data.kind": "text", "data.files": [str(book), str(other)], "data.cutoff": 64, "data.validation": 1}
    notes = run(tmp_path, **more)
    assert notes.accounts[0].longest == 64
    assert notes.accounts[1].conversations == 1
    assert notes.steps[-1].loss < notes.steps[0].loss
    assert any("继续预训练" in note for note in notes.notes)


@pytest.mark.parametrize(
    ("together", "why"),
    [
        ({"method": "full", "base.quantization": "4bit"}, "量化的权重不能全部微调"),
        ({"method": "full", "lora.init": "x"}, "lora.init 没有意义"),
        ({"training.shard": True, "base.quantization": "8bit"}, "不能分片"),
        ({"training.keep_activations": True}, "lowest_layer"),
        ({"data.kind": "text", "data.mix": ("a:0.1",), "data.too_long": "cut"}, "data.mix、data.too_long"),
        ({"method": "full", "lora.rank": 64, "lora.dora": True}, "method=full 时.*不起作用：lora.rank、lora.dora"),
        ({"preference.beta": 0.5}, "method=lora 时.*不起作用：preference.beta"),
    ],
)
def test_what_makes_no_sense_together_is_refused(tmp_path: Path, together: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        run(tmp_path, **together)


def test_a_whole_model_answers_as_it_was_tuned(tmp_path: Path) -> None:
    """The format that is stored beside the weights comes before the template of the tokenizer."""
    run(tmp_path, method="full", **{"data.format": "plain", "training.steps": 1})
    opened = load_base(str(tmp_path / "adapter"), device="cpu")
    assert opened.default_format.name == "plain"
    assert opened.tokens.template is not None
