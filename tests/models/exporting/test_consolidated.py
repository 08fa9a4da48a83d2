from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from bentsao.core.errors import ConfigError
from bentsao.models.exporting.consolidated import in_halves, in_pairs, inner_width, read_consolidated
from bentsao.models.exporting.exporting import Target, export
from tests.models.exporting.adapted import source_of

HEADS, SIZE, LENGTH = 4, 8, 5


def test_scores_are_the_same_when_pairs_rotate_side_by_side() -> None:
    """As LLaMA was published: neighbouring numbers are a complex number that is turned."""
    torch.manual_seed(0)
    query, key = torch.randn(HEADS * SIZE, 16), torch.randn(HEADS * SIZE, 16)
    text = torch.randn(LENGTH, 16)
    angles = torch.outer(torch.arange(LENGTH), 10000.0 ** (-torch.arange(0, SIZE, 2) / SIZE))

    def turned(weight: Tensor) -> Tensor:
        pairs = (text @ in_pairs(weight, HEADS).T).view(LENGTH, HEADS, SIZE // 2, 2)
        spun = torch.view_as_complex(pairs) * torch.polar(torch.ones_like(angles), angles)[:, None]
        return torch.view_as_real(spun).flatten(2).transpose(0, 1)

    def halves(weight: Tensor) -> Tensor:
        return (text @ weight.T).view(1, LENGTH, HEADS, SIZE).transpose(1, 2)

    both = torch.cat([angles, angles], dim=-1)[None]
    q, k = apply_rotary_pos_emb(halves(query), halves(key), both.cos(), both.sin())
    torch.testing.assert_close(turned(query) @ turned(key).mT, (q @ k.mT)[0], atol=1e-4, rtol=1e-4)


def test_there_and_back() -> None:
    weight = torch.randn(HEADS * SIZE, 3)
    assert torch.equal(in_halves(in_pairs(weight, HEADS), HEADS), weight)
    assert not torch.equal(in_pairs(weight, HEADS), weight)


def test_the_two_files_hold_the_merged_model(tmp_path: Path) -> None:
    source = source_of(tmp_path, "llama")
    export("llama", source, tmp_path / "out", Target())
    export("hf", source, tmp_path / "hf", Target())
    from bentsao.models.loading import load_base

    wanted: dict[str, Any] = load_base(str(tmp_path / "hf"), device="cpu").model.state_dict()
    found = read_consolidated(tmp_path / "out", AutoConfig.from_pretrained(tmp_path / "hf"))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)
    params = json.loads((tmp_path / "out/params.json").read_text(encoding="utf-8"))
    assert inner_width(params["dim"], params["multiple_of"], params["ffn_dim_multiplier"]) == 64
    assert (params["n_heads"], params["n_kv_heads"], params["n_layers"]) == (4, 2, 2)


@pytest.mark.parametrize(("dim", "width", "multiple"), [(4096, 11008, 256), (4096, 14336, 256), (8192, 28672, 256)])
def test_the_published_widths_come_back(dim: int, width: int, multiple: int) -> None:
    from bentsao.models.exporting.consolidated import _multiplier  # pyright: ignore[reportPrivateUsage]

    assert inner_width(dim, multiple, _multiplier(width, dim, multiple)) == width


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="只适用于 LLaMA"):
        export("llama", source_of(tmp_path, "qwen3"), tmp_path / "out", Target())
