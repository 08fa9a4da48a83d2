"""The output folder: PEFT's or Hugging Face's own layout, and beside it all that says how to use it and whence it came.

adapter_config.json, adapter_model.safetensors   an adapter: PEFT's; `PeftModel.from_pretrained` opens them
config.json, model*.safetensors, tokenizer files a whole model, where all weights were tuned: `AutoModelForCausalLM`'s
chat_format.json                                 the words around question and answer (core/formats.py)
bentsao.json                                     base, recipe, data hashes, account, versions, losses
losses.json, losses.svg                          the loss by step and part, as data and as a picture
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from bentsao import __version__
from bentsao.core.charts import Line, line_chart
from bentsao.core.files import whole_folder, write_json, write_text
from bentsao.core.formats import FILE_NAME, ChatFormat
from bentsao.core.grounding import PARTS
from bentsao.models.adapters import MANIFEST_NAME, WEIGHTS_NAME
from bentsao.models.loading import Base
from bentsao.tuning.sharding import whole

PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")


@dataclass(frozen=True)
class Papers:
    """What goes beside the weights. history: the run's records by step; manifest: more for bentsao.json."""

    base: Base
    chat_format: ChatFormat
    history: Sequence[Mapping[str, Any]]
    manifest: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """The project's own files."""
        base, chat_format = self.base, self.chat_format
        write_text(folder / FILE_NAME, chat_format.model_dump_json(indent=2) + "\n")
        write_json(folder / "losses.json", list(self.history))
        write_text(folder / "losses.svg", loss_picture(self.history))
        write_json(
            folder / MANIFEST_NAME,
            {
                "bentsao": __version__,
                "base": {"name": base.name, "revision": base.revision, "dtype": str(base.dtype).removeprefix("torch.")},
                "chat_format": {"name": chat_format.name, "hash": chat_format.hash},
                "versions": versions(),
                **self.manifest,
            },
        )


def write_result(folder: Path, model: nn.Module, papers: Papers, accelerator: Accelerator) -> None:
    """Write the output folder whole or not at all: an adapter, or a whole model. Every process calls it."""
    weights = _whole_weights(model, only_tuned=isinstance(model, PeftModel), accelerator=accelerator)
    if accelerator.is_main_process:
        with whole_folder(folder) as temporary:
            if isinstance(model, PeftModel):
                _write_adapter(temporary, model, weights, papers.base)
            else:
                _write_model(temporary, cast(PreTrainedModel, model), weights, papers)
            papers.write(temporary)
    accelerator.wait_for_everyone()


def _whole_weights(model: nn.Module, *, only_tuned: bool, accelerator: Accelerator) -> dict[str, Tensor]:
    """The weights by name, on the CPU in the main process; those that are tied to others once."""
    named = [*model.named_parameters(), *(() if only_tuned else _stored_buffers(model))]
    out: dict[str, Tensor] = {}
    for name, tensor in named:
        if only_tuned and not tensor.requires_grad:
            continue
        found = whole(tensor.detach())
        if accelerator.is_main_process:
            out[name] = found.cpu().contiguous()
    return out


def _stored_buffers(model: nn.Module) -> list[tuple[str, Tensor]]:
    stored = model.state_dict().keys()
    return [(name, buffer) for name, buffer in model.named_buffers() if name in stored]


def _write_adapter(folder: Path, model: PeftModel, weights: dict[str, Tensor], base: Base) -> None:
    config = model.peft_config["default"]
    # What PEFT stores as the base's name is where it was loaded from, which may be a folder of this machine's cache.
    config.base_model_name_or_path = base.name
    config.revision = base.revision
    config.inference_mode = True
    config.save_pretrained(str(folder))
    own = get_peft_model_state_dict(model, state_dict=weights, save_embedding_layers=False)
    save_file(own, folder / WEIGHTS_NAME, metadata={"format": "pt"})


def _write_model(folder: Path, model: PreTrainedModel, weights: dict[str, Tensor], papers: Papers) -> None:
    model.save_pretrained(folder, state_dict=weights)
    tokens = papers.base.tokens
    template = papers.chat_format.base_template or tokens.template
    tokens.tokenizer.save_pretrained(folder)
    if template is not None and tokens.tokenizer.chat_template != template:
        write_text(folder / "chat_template.jinja", template)


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
