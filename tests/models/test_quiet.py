"""What other libraries write over our lines."""

from __future__ import annotations

import pytest
from transformers import modeling_gguf_pytorch_utils as gguf

from bentsao.models.quiet import without_bars


def test_reading_a_gguf_draws_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with without_bars():
        assert list(gguf.tqdm([1, 2], desc="Converting")) == [1, 2]
    assert capsys.readouterr().err == ""
    assert list(gguf.tqdm([1, 2], desc="Converting")) == [1, 2]
    assert "Converting" in capsys.readouterr().err
