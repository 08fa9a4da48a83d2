"""An export opened again by its own runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from bentsao.core.files import read_json
from bentsao.core.records import Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine
from bentsao.inference.engines.transformers_engine import TransformersEngine
from bentsao.inference.llamacpp_runtime import LlamaCpp
from bentsao.models.converting import ACCOUNT, Converted
from bentsao.models.exporting.consolidated import read_consolidated
from bentsao.models.exporting.source import Source
from bentsao.models.loading import Base, load_base
from bentsao.models.repairs import open_tokenizer


@dataclass(frozen=True)
class Opened:
    """An export in its own runtime: the prompt's tokens as it makes them, and what it says after ours."""

    prompt: Callable[[list[Message]], list[int]]
    greedy: Callable[[Sequence[Sequence[int]], int], list[list[int]]]


def reopen(form: str, folder: Path, source: Source, context: int) -> Opened:
    """The export in `folder`; context: the most tokens of prompt and answer. Raises ModelError."""
    return _OPEN[form.split("-", maxsplit=1)[0]](folder, source, context)


def _open_hf(folder: Path, source: Source, _: int) -> Opened:
    base = load_base(str(folder), device="cpu", dtype="float32")
    return Opened(_own_prompt(folder), _greedy(TransformersEngine(base, source.chat_format)))


def _open_llama(folder: Path, source: Source, _: int) -> Opened:
    config: Any = AutoConfig.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read_consolidated(folder, config))
    number = torch.device("cpu")
    base = Base(str(folder), None, str(folder), model.eval(), source.tokens, number, torch.float32, source.chat_format)
    return Opened(_own_prompt(folder), _greedy(TransformersEngine(base, source.chat_format)))


def _open_ct2(folder: Path, source: Source, _: int) -> Opened:
    from bentsao.inference.engines.ctranslate2_engine import CTranslate2Engine

    account = Converted.model_validate(read_json(folder / ACCOUNT))
    engine = CTranslate2Engine(folder, account, source.tokens, source.chat_format, name=str(folder))
    return Opened(_own_prompt(folder), _greedy(engine))


def _open_gguf(folder: Path, _source: Source, context: int) -> Opened:
    opened = LlamaCpp(next(folder.glob("*.gguf")), context=context)
    return Opened(opened.prompt_ids, lambda prompts, limit: [opened.greedy(prompt, limit) for prompt in prompts])


def _own_prompt(folder: Path) -> Callable[[list[Message]], list[int]]:
    tokenizer: Any = open_tokenizer(folder, False)

    def prompt(messages: list[Message]) -> list[int]:
        said = [{"role": message.role, "content": message.content} for message in messages]
        return cast("list[int]", tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=False))

    return prompt


def _greedy(engine: Engine) -> Callable[[Sequence[Sequence[int]], int], list[list[int]]]:
    return lambda prompts, limit: [
        list(answer.ids) for answer in engine.generate(prompts, Decoding(max_new_tokens=limit))
    ]


_OPEN: dict[str, Callable[[Path, Source, int], Opened]] = {
    "hf": _open_hf,
    "llama": _open_llama,
    "ct2": _open_ct2,
    "gguf": _open_gguf,
}
