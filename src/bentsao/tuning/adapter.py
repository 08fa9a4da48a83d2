"""The adapter folder: PEFT's own layout, and beside it all that is needed to use it and to know where it came from.

adapter_config.json, adapter_model.safetensors   PEFT's; `PeftModel.from_pretrained` opens them
chat_format.json                                 the words around question and answer (core/formats.py)
bentsao.json                                     base, recipe, data hashes, account, versions, losses
losses.json, losses.svg                          the loss by step and part, as data and as a picture
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from peft import PeftModel

from bentsao import __version__
from bentsao.core.charts import Line, line_chart
from bentsao.core.files import whole_folder, write_json, write_text
from bentsao.core.formats import FILE_NAME, ChatFormat
from bentsao.core.grounding import PARTS
from bentsao.models.adapters import MANIFEST_NAME
from bentsao.models.loading import Base

PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")


def write_adapter(
    folder: Path,
    model: PeftModel,
    base: Base,
    *,
    chat_format: ChatFormat,
    history: Sequence[Mapping[str, Any]],
    manifest: Mapping[str, Any],
) -> None:
    """Write the adapter folder whole or not at all. `history`: the run's records by step (see loop.py)."""
    config = model.peft_config["default"]
    # What PEFT stores as the base's name is where it was loaded from, which may be a folder of this machine's cache.
    config.base_model_name_or_path = base.name
    config.revision = base.revision
    with whole_folder(folder) as temporary:
        model.save_pretrained(str(temporary), save_embedding_layers=False)
        (temporary / "README.md").unlink(missing_ok=True)
        write_text(temporary / FILE_NAME, chat_format.model_dump_json(indent=2) + "\n")
        write_json(temporary / "losses.json", list(history))
        write_text(temporary / "losses.svg", loss_picture(history))
        write_json(
            temporary / MANIFEST_NAME,
            {
                "bentsao": __version__,
                "base": {"name": base.name, "revision": base.revision, "dtype": str(base.dtype).removeprefix("torch.")},
                "chat_format": {"name": chat_format.name, "hash": chat_format.hash},
                "versions": versions(),
                **manifest,
            },
        )


def loss_picture(history: Sequence[Mapping[str, Any]]) -> str:
    """The losses as an SVG line chart: training by step, and validation where there was one.

    Where the rows have several parts, a line for each: of the validation, or of training where there was none.
    """
    training = [(float(h["step"]), float(h["loss"])) for h in history if "loss" in h]
    valid = [(float(h["step"]), float(h["valid_loss"])) for h in history if "valid_loss" in h]
    lines = [Line("训练", training), Line("验证", valid, dots=True)]
    of_parts = [h for h in history if h.get("by_part") and ("valid_loss" in h) == bool(valid)]
    for part, label in PARTS.items():
        points = [(float(h["step"]), float(h["by_part"][part])) for h in of_parts if part in h["by_part"]]
        lines.append(Line(label, points, dots=bool(valid)))
    which = f"（各部分为{'验证' if valid else '训练'}损失）" if of_parts else ""
    return line_chart(f"每个所学 token 的损失{which}", "优化步", "损失", lines)


def versions() -> dict[str, str]:
    """The versions that decide what comes out of a run; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
