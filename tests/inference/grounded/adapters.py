"""Adapter folders as far as a bundle looks into them: a config, a weights file, a chat format, a manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bentsao.core.files import write_json
from bentsao.core.formats import FILE_NAME, FORMATS


def adapter_folder(folder: Path, *, weight: float = 0.0, base: str | None = "some/base", named: str = "plain") -> Path:
    """An adapter on a base that is nowhere; `weight` tells two of them apart."""
    folder.mkdir(parents=True)
    lora = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["layer"]}
    write_json(folder / "adapter_config.json", {**lora, "base_model_name_or_path": base, "revision": "abc"})
    save_file({"layer.lora_A.weight": np.full((1, 2), weight, dtype=np.float32)}, folder / "adapter_model.safetensors")
    write_json(folder / FILE_NAME, FORMATS[named].model_dump())
    write_json(folder / "bentsao.json", {"base": {"name": base, "revision": "abc"}})
    (folder / "losses.svg").write_text("<svg/>", encoding="utf-8")
    return folder
