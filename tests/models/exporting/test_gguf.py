from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

from bentsao.core.errors import ModelError
from bentsao.models.exporting.exporting import Target, export
from bentsao.models.exporting.gguf_file import check_gguf
from bentsao.models.exporting.quantising import kind_of, pack, stored_bytes
from tests.doubles import Kind, tiny_model
from tests.models.exporting.adapted import source_of

GGUF_KINDS: tuple[Kind, ...] = ("llama", "qwen3", "gemma3")


@pytest.mark.parametrize("kind", GGUF_KINDS)
def test_the_file_holds_the_model_the_vocabulary_and_the_template(kind: Kind, tmp_path: Path) -> None:
    source = source_of(tmp_path, kind)
    export("gguf-f16", source, tmp_path / "out", Target())
    file = next((tmp_path / "out").glob("*-F16.gguf"))
    reader = GGUFReader(file)
    fields: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
    rows = next(t for t in reader.tensors if t.name == "token_embd.weight").shape[1]
    words, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert len(words) == len(kinds) == rows
    assert words[source.tokens.end_id] == "<eos>"
    assert [kinds[number] for number in sorted(source.tokens.control_ids)] == [3] * 5
    assert fields["tokenizer.ggml.add_bos_token"] is True
    assert "问：" in fields["tokenizer.chat_template"]
    assert fields["general.name"] == source.name
    assert f"FROM ./{file.name}" in (tmp_path / "out/Modelfile").read_text(encoding="utf-8")


MORE_BITS = {0, 1, 4, 7, 10, 13, 15, 16, 17}
"""The layers of the embedded base's published GGUF (Q4_K_M, 18 layers) whose ffn_down has six bits."""


def test_q4_k_m_is_mixed_as_in_a_published_file() -> None:
    """Gemma 3 270M: rows of 640 are no multiple of 256, those of 2048 (ffn_down) and 1024 (attn_output) are."""

    def kind(name: str, *shape: int) -> str:
        return kind_of("Q4_K_M", name, shape, layers=18, tied=True).name

    for layer in range(18):
        more = layer in MORE_BITS
        assert kind(f"blk.{layer}.ffn_down.weight", 640, 2048) == ("Q6_K" if more else "Q4_K")
        assert kind(f"blk.{layer}.attn_v.weight", 256, 640) == ("Q8_0" if more else "Q5_0")
        assert kind(f"blk.{layer}.attn_output.weight", 640, 1024) == "Q4_K"
        assert kind(f"blk.{layer}.attn_q.weight", 1024, 640) == "Q5_0"
        assert kind(f"blk.{layer}.attn_norm.weight", 640) == "F32"
    assert kind("token_embd.weight", 262144, 640) == "Q8_0"
    assert kind_of("Q4_K_M", "token_embd.weight", (9, 512), layers=2, tied=False).name == "Q4_K"
    assert kind_of("Q4_K_M", "output.weight", (9, 512), layers=2, tied=False).name == "Q6_K"
    assert kind_of("Q8_0", "output.weight", (9, 40), layers=2, tied=False).name == "F16"


@pytest.mark.parametrize("name", ["Q4_K", "Q5_0", "Q6_K"])
def test_packed_numbers_come_back_near_what_they_were(name: str) -> None:
    pytest.importorskip("xllamacpp", reason="without llama.cpp there is no packing: pip install 'bentsao[export]'")
    kind = GGMLQuantizationType[name]
    rows = np.random.default_rng(0).normal(size=(17_000, 256)).astype(np.float32)  # more than one piece
    packed = pack(rows, kind)
    assert packed.nbytes == stored_bytes(rows.shape, kind)
    assert np.abs(dequantize(packed, kind) - rows).max() < 0.5
    assert np.abs(dequantize(packed, kind) - rows).mean() < {"Q4_K": 0.07, "Q5_0": 0.05, "Q6_K": 0.02}[name]


def test_what_llama_cpp_computes_otherwise_is_refused() -> None:
    with pytest.raises(ModelError, match="bloom 还不能"):
        check_gguf(tiny_model("bloom").config)
    gemma: Any = tiny_model("gemma3").config
    gemma.query_pre_attn_scalar = 99
    with pytest.raises(ModelError, match="query_pre_attn_scalar"):
        check_gguf(gemma)
