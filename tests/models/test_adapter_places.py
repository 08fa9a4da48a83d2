"""Adapters of 2023, adapters with embeddings of their own, several at once: each becomes one plain folder."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any, cast

import huggingface_hub.constants
import pytest
import torch
import transformers as hf
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from bentsao.core.errors import BentsaoError, ConfigError, MissingError, ModelError
from bentsao.core.formats import FILE_NAME, FORMATS
from bentsao.inference.engines.opening import open_engine
from bentsao.models.adapter_comparing import compare_adapters
from bentsao.models.adapter_files import CONFIG_NAME, PICKLE_NAME, WEIGHTS_NAME, read_adapter_files
from bentsao.models.adapter_inspecting import inspect_adapter, norm
from bentsao.models.adapter_places import combine_folders, convert_folder, parse, settle
from bentsao.models.adapters import read_adapter
from bentsao.models.fetching import locate
from bentsao.models.loading import load_base
from bentsao.models.merging import merge_adapter
from tests.doubles import tiny_base_folder
from tests.models.adapted import load_adapted
from tests.models.hub import serving
from tests.models.test_adapters import make_adapter
from tests.systems import SYSTEMS, WORDS, sentencepiece


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_base_folder(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path: Path, base: Path) -> Path:
    return make_adapter(tmp_path / "adapter", str(base))


def test_a_pickle_of_todays_peft_is_not_called_old(adapter: Path) -> None:
    torch.save(load_file(adapter / WEIGHTS_NAME), adapter / PICKLE_NAME)
    (adapter / WEIGHTS_NAME).unlink()
    assert "loftq_config" in json.loads((adapter / CONFIG_NAME).read_text(encoding="utf-8"))
    told: list[str] = []
    settle(adapter, told.append)
    assert len(told) == 1
    assert "pickle" in told[0]
    assert "旧" not in told[0]


def test_a_path_is_not_asked_for_at_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "k9.run").mkdir(parents=True)
    with pytest.raises(MissingError, match=r"训练没有完成.*接着训练"):
        settle(Path("runs/k9"))
    with pytest.raises(MissingError, match="找不到目录 runs/k8"):
        settle(Path("runs/k8"))
    with pytest.raises(MissingError, match="训练没有完成"):
        locate("runs/k9", print)


def aged(adapter: Path, **config: Any) -> Path:
    """The adapter as PEFT 0.3 would have saved it."""
    torch.save(load_file(adapter / WEIGHTS_NAME), adapter / PICKLE_NAME)
    (adapter / WEIGHTS_NAME).unlink()
    said = json.loads((adapter / CONFIG_NAME).read_text(encoding="utf-8"))
    known = ("base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "lora_alpha", "lora_dropout")
    kept = {key: said[key] for key in (*known, "modules_to_save", "peft_type", "r", "target_modules", "task_type")}
    write(adapter / CONFIG_NAME, {**kept, "enable_lora": None, "merge_weights": False, **config})
    return adapter


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def logits(base: Path | None, adapter: Path) -> torch.Tensor:
    loaded, _ = load_adapted(adapter, base=None if base is None else str(base), device="cpu")
    with torch.no_grad():
        return cast(Any, loaded.model)(torch.tensor([[5, 300, 301, 40]])).logits[0]


def test_an_adapter_of_2023_is_what_it_was(adapter: Path, base: Path) -> None:
    before = logits(None, adapter)
    told: list[str] = []
    info = read_adapter(aged(adapter), told.append)
    assert "pickle" in told[0]
    assert torch.equal(logits(None, adapter), before)
    assert info.base == str(base)
    assert read_adapter(adapter, told.append).folder == info.folder
    assert len(told) == 1, "it is converted once"


def test_it_answers_with_both_engines(adapter: Path, base: Path) -> None:
    aged(adapter)
    for engine in ("transformers", "ctranslate2"):
        opened = open_engine(
            adapter=adapter,
            base=None,
            chat_format="plain",
            report=lambda _: None,
            engine=cast(Any, engine),
            device="cpu",
        )
        assert "+ " in opened.name


def sum_of(base: Path, parts: list[tuple[Path, float]]) -> torch.Tensor:
    """By hand: the base's weights with each change added."""
    plain = load_base(str(base), device="cpu").model
    weights: dict[str, torch.Tensor] = dict(plain.named_parameters())
    with torch.no_grad():
        for folder, weight in parts:
            for module, change in read_adapter_files(folder).changes.items():
                weights[f"{module}.weight"] += weight * change.scale * (change.b @ change.a)
        return cast(Any, plain)(torch.tensor([[5, 300, 301, 40]])).logits[0]


@pytest.mark.parametrize("how", ["{a}+{b}", "0.7*{a}+-0.3*{b}"])
def test_stacked_and_weighed(how: str, tmp_path: Path, base: Path, adapter: Path) -> None:
    other = make_adapter(tmp_path / "other", str(base), rank=3, use_rslora=True)
    weights = (1.0, 1.0) if how.startswith("{") else (0.7, -0.3)
    named = Path(how.format(a=adapter, b=aged(other)))
    expected = sum_of(base, [(adapter, weights[0]), (other, weights[1])])
    torch.testing.assert_close(logits(None, named), expected, atol=2e-5, rtol=1e-4)
    assert "adapter" in read_adapter(named).name
    loaded, _ = load_adapted(named, device="cpu")
    before = cast(Any, loaded.model)(torch.tensor([[5, 300]])).logits
    torch.testing.assert_close(cast(Any, merge_adapter(loaded).model)(torch.tensor([[5, 300]])).logits, before)


def only_layer(number: int, adapter: Path) -> Path:
    """The adapter on one of the layers alone, as PEFT's layers_to_transform makes it."""
    weights = load_file(adapter / WEIGHTS_NAME)
    save_file({name: tensor for name, tensor in weights.items() if f"layers.{number}." in name}, adapter / WEIGHTS_NAME)
    said = json.loads((adapter / CONFIG_NAME).read_text(encoding="utf-8"))
    write(adapter / CONFIG_NAME, {**said, "layers_to_transform": [number]})
    return adapter


def test_layers_and_ranks_may_differ(tmp_path: Path, base: Path, adapter: Path) -> None:
    other = only_layer(1, make_adapter(tmp_path / "other", str(base), rank=2))
    named = Path(f"{adapter}+{other}")
    expected = sum_of(base, [(adapter, 1.0), (other, 1.0)])
    torch.testing.assert_close(logits(None, named), expected, atol=2e-5, rtol=1e-4)


def test_the_last_ones_format_and_what_all_learnt_from(tmp_path: Path, base: Path, adapter: Path) -> None:
    other = make_adapter(tmp_path / "other", "another/base")
    for folder, name in ((adapter, "plain"), (other, "med_template")):
        (folder / FILE_NAME).write_text(FORMATS[name].model_dump_json(), encoding="utf-8")
        write(folder / "bentsao.json", {"data": {f"{name}.json": "0"}, "base": {}})
    told: list[str] = []
    info = read_adapter(Path(f"{adapter}+{other}"), told.append)
    assert info.chat_format is not None
    assert info.chat_format.name == "med_template"
    assert info.base == str(base)
    assert info.manifest is not None
    assert set(info.manifest["data"]) == {"plain.json", "med_template.json"}
    assert [one["tuned"]["data"] for one in info.manifest["combined"]] == [
        {"plain.json": "0"},
        {"med_template.json": "0"},
    ]
    assert any("another/base" in line for line in told)


def enlarged(folder: Path, base: Path, more: int = 4) -> Path:
    """As 中文 Alpaca is published: LoRA, a longer embedding and head, and the tokenizer that goes with them."""
    marks = [f"<词{number}>" for number in range(more)]
    plain = cast(Any, load_base(str(base), device="cpu").model)
    plain.resize_token_embeddings(WORDS + more, mean_resizing=False)
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    lora = LoraConfig(
        r=4, target_modules=["q_proj", "up_proj"], modules_to_save=["embed_tokens", "lm_head"], init_lora_weights=False
    )
    model = get_peft_model(plain, lora)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "modules_to_save" in name:
                weight.normal_(0, 0.3)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    aged(folder, base_model_name_or_path=None)
    (folder / "tokenizer.model").write_bytes(sentencepiece())
    names: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer: Any = hf.LlamaTokenizer.from_pretrained(folder, **names, additional_special_tokens=marks)
    tokenizer.save_pretrained(folder)
    return folder


def test_an_enlarged_vocabulary_and_one_on_top(tmp_path: Path) -> None:
    base = SYSTEMS["decapoda"](tmp_path / "base")
    alpaca = enlarged(tmp_path / "alpaca", base)
    loaded, info = load_adapted(alpaca, base=str(base), device="cpu")
    assert info.words == WORDS + 4
    assert len(loaded.tokens) == WORDS + 4
    assert cast(Any, loaded.model.get_input_embeddings()).weight.shape[0] == WORDS + 4

    ids = torch.tensor([[1, 300, WORDS + 3]])
    before = cast(Any, loaded.model)(ids).logits
    merged = merge_adapter(loaded)
    torch.testing.assert_close(cast(Any, merged.model)(ids).logits, before, atol=2e-5, rtol=1e-4)

    # The original's way: merged, saved, tuned again. Ours: the second on top of the first.
    merged.model.save_pretrained(tmp_path / "merged")
    loaded.tokens.tokenizer.save_pretrained(tmp_path / "merged")
    med = tuned_on(tmp_path / "merged", tmp_path / "med")
    stacked, _ = load_adapted(Path(f"{alpaca}+{med}"), base=str(base), device="cpu")
    theirs, _ = load_adapted(med, base=str(tmp_path / "merged"), device="cpu")
    ours = cast(Any, stacked.model)(ids).logits
    torch.testing.assert_close(ours, cast(Any, theirs.model)(ids).logits, atol=2e-5, rtol=1e-4)
    assert (ours - before).abs().max() > 0.01

    with pytest.raises(ConfigError, match="整层保存"):
        settle(Path(f"0.5*{alpaca}+{med}"))


def tuned_on(base: Path, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(5)
    model = get_peft_model(
        cast(Any, load_base(str(base), device="cpu").model),
        LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False),
    )
    model.save_pretrained(str(folder), save_embedding_layers=False)
    return aged(folder)


def test_an_enlarged_vocabulary_without_its_tokenizer(tmp_path: Path) -> None:
    base = SYSTEMS["llama"](tmp_path / "base")
    alpaca = enlarged(tmp_path / "alpaca", base)
    for file in alpaca.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="没有带分词器"):
        load_adapted(alpaca, base=str(base), device="cpu")


def test_from_the_hub(adapter: Path, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with serving("lovepon/lora-llama-literature", aged(adapter)) as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        info = read_adapter(Path("lovepon/lora-llama-literature"))
    assert info.chat_format == FORMATS["literature_template"]
    assert info.base == "huggyllama/llama-7b", "the original's own say a folder of who tuned them"


def empty_443(path: Path) -> None:
    """What torch saved of {} in 2023."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("adapter_model/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("adapter_model/version", "3\n")


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("run",))


def _pickle_of(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def harm_config(**change: Any) -> Any:
    def harm(adapter: Path) -> None:
        said = {**json.loads((adapter / CONFIG_NAME).read_text(encoding="utf-8")), **change}
        write(adapter / CONFIG_NAME, {key: value for key, value in said.items() if value is not ...})

    return harm


def harm_weights(content: bytes | None = None) -> Any:
    def harm(adapter: Path) -> None:
        if content is None:
            empty_443(adapter / PICKLE_NAME)
        else:
            (adapter / PICKLE_NAME).write_bytes(content)

    return harm


BROKEN: dict[str, tuple[Any, str]] = {
    "empty of 2023": (harm_weights(), "没有任何权重.*443 字节的空文件"),
    "empty of today": (harm_weights(_pickle_of({})), "没有任何权重"),
    "code": (harm_weights(_pickle_of({"a": Evil()})), "不只有张量.*没有打开它"),
    "cut off": (harm_weights(_pickle_of({"a": torch.ones(99)})[:-50]), "已损坏"),
    "no weights": (harm_weights(_pickle_of([1, 2])), "里不是权重"),
    "pointer": (harm_weights(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"),
    "web page": (harm_weights(b"<!DOCTYPE html><html>"), "是网页"),
    "alpha lost": (harm_config(lora_alpha=...), "没有 lora_alpha.*--alpha"),
    "rank lost": (harm_config(r=...), "没有写 r.*秩是 4"),
    "rank wrong": (harm_config(r=16), "写的 r 是 16.*秩是 4"),
    "targets lost": (harm_config(target_modules=...), "没有 target_modules"),
    "merged linear": (harm_config(enable_lora=[True, False, True]), "enable_lora 不为空"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_ones_are_told(case: str, adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harm, words = BROKEN[case]
    harm(adapter if case in ("rank lost", "rank wrong", "targets lost") else aged(adapter))
    with pytest.raises(ModelError, match=f"(?s){words}") as caught:
        read_adapter(adapter)
    assert str(adapter) in str(caught.value)
    assert "run" not in capsys.readouterr().out, "nothing of the pickle was run"


def test_what_is_lost_can_be_mended(adapter: Path, tmp_path: Path) -> None:
    before = logits(None, adapter)
    harm_config(lora_alpha=..., r=..., target_modules=...)(aged(adapter))
    with pytest.raises(ModelError, match="lora_alpha"):
        convert_folder(adapter, tmp_path / "mended")
    notes = convert_folder(adapter, tmp_path / "mended", alpha=8)
    assert len(notes) == 6
    assert torch.equal(logits(None, tmp_path / "mended"), before)


def test_what_cannot_be_joined(tmp_path: Path, base: Path, adapter: Path) -> None:
    dora = make_adapter(tmp_path / "dora", str(base), use_dora=True)
    other = make_adapter(tmp_path / "bloom", str(base), kind="bloom")
    wide = make_adapter(tmp_path / "wide", str(base))
    weights = load_file(wide / WEIGHTS_NAME)
    save_file(
        {name: torch.cat([t, t], -1) if "lora_A" in name else t for name, t in weights.items()}, wide / WEIGHTS_NAME
    )
    for part, words in ((dora, "DoRA"), (wide, "不是同一个基座")):
        with pytest.raises(ModelError, match=words):
            settle(Path(f"{adapter}+{part}"))
    with pytest.raises(ModelError, match="不相配"):
        load_adapted(Path(f"{adapter}+{other}"), device="cpu")
    for text in ("a+", "0*a+b", "1e*a+b", "nan*a+b"):
        with pytest.raises((ConfigError, MissingError)):
            settle(Path(text))
    assert [(part.name, part.weight) for part in parse("0.7*runs/a + runs/b")] == [("runs/a", 0.7), ("runs/b", 1.0)]


def test_inspecting(adapter: Path, base: Path, tmp_path: Path) -> None:
    found = inspect_adapter(adapter, locate(str(base), print))
    assert (found.faults, found.rank, found.alpha, found.layers) == ((), 4, 8, 2)
    assert found.size > 0
    other = tiny_base_folder(tmp_path / "bloom", "bloom")
    assert any("没有 14 层" in fault for fault in inspect_adapter(adapter, locate(str(other), print)).faults)
    larger = SYSTEMS["llama"](tmp_path / "llama")
    assert any("形状不符" in fault for fault in inspect_adapter(adapter, locate(str(larger), print)).faults)
    weights = load_file(adapter / WEIGHTS_NAME)
    save_file({name: t * 0 if "lora_B" in name else t for name, t in weights.items()}, adapter / WEIGHTS_NAME)
    assert any("所有 B 都是 0" in fault for fault in inspect_adapter(adapter).faults)


def test_a_base_that_keeps_its_weights_turned_fits_its_own_adapter(tmp_path: Path) -> None:
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, n_positions=32))
    model.save_pretrained(tmp_path / "base")
    lora = LoraConfig(r=2, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    cast(Any, get_peft_model(model, lora)).save_pretrained(tmp_path / "adapter")
    found = inspect_adapter(tmp_path / "adapter", locate(str(tmp_path / "base"), print))
    assert not any("形状不符" in fault for fault in found.faults)


def test_comparing(adapter: Path, base: Path, tmp_path: Path) -> None:
    same = compare_adapters(adapter, adapter)
    assert (same.config, same.total.apart) == ((), pytest.approx(0, abs=1e-5))
    twice = tmp_path / "twice"
    combine_folders([adapter], [2.0], twice)
    found = compare_adapters(adapter, twice)
    assert found.total.apart == pytest.approx(found.total.a, rel=1e-5)
    assert found.total.alike == pytest.approx(1, abs=1e-6)
    change = next(iter(read_adapter_files(adapter).changes.values()))
    assert norm(change) == pytest.approx(float((change.scale * change.b @ change.a).norm()), rel=1e-5)
    part = only_layer(0, make_adapter(tmp_path / "part", str(base)))
    assert len(compare_adapters(adapter, part).only_a) == 7


def test_errors_have_words_for_users() -> None:
    with pytest.raises(BentsaoError, match="找不到适配器目录 not-there"):
        read_adapter(Path("not-there"))
