"""A tiny base with an adapter of random weights, in folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from bentsao.models.exporting.source import Source, open_source
from bentsao.models.loading import load_base
from tests.doubles import TEMPLATE, Kind, tiny_base_folder

IDS = torch.tensor([[2, 300, 310, 7, 45, 320, 301, 88]])


def logits(model: Any) -> Tensor:
    """Of the fixed text IDS."""
    with torch.no_grad():
        return model(input_ids=IDS).logits[0]


def adapted_folders(folder: Path, kind: Kind, **settings: Any) -> tuple[Path, Path]:
    """The folders of a base and of an adapter that changes it visibly."""
    base = tiny_base_folder(folder / "base", kind, chat_template=TEMPLATE)
    config: dict[str, Any] = {"r": 4, "lora_alpha": 16, "target_modules": "all-linear", **settings}
    model: Any = get_peft_model(cast(Any, load_base(str(base), device="cpu").model), LoraConfig(**config))
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name or "lora_embedding" in name:
            torch.nn.init.normal_(weight, std=0.2)
        elif "modules_to_save" in name:
            weight.data += torch.randn_like(weight) * 0.1
    model.save_pretrained(str(folder / "adapter"))
    return base, folder / "adapter"


def source_of(folder: Path, kind: Kind, **settings: Any) -> Source:
    """What is exported, in the format `plain`."""
    base, adapter = adapted_folders(folder, kind, **settings)
    return open_source(adapter=adapter, base=str(base), chat_format="plain", report=lambda _: None)
