"""A GGUF file in llama.cpp, by the package xllamacpp: its own prompts and its greedy texts, to hold against ours."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from bentsao.core.errors import MissingError, ModelError
from bentsao.core.records import Message


class LlamaCpp:
    """A GGUF file that is open. Its server listens on this machine only, at a port of the system's choice.

    context: the most tokens of prompt and answer together. Raises MissingError without xllamacpp, ModelError where
    llama.cpp cannot open the file.
    """

    def __init__(self, file: Path, *, context: int) -> None:
        if find_spec("xllamacpp") is None:
            raise MissingError("打开 GGUF 需要 xllamacpp。请运行：pip install 'bentsao[export]'，或加 --no-check。")
        llama: Any = import_module("xllamacpp")  # a compiled module, which says nothing of its types
        settings = llama.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = context
        settings.n_parallel = 1
        settings.n_gpu_layers = 0
        settings.verbosity = -1
        settings.warmup = False
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = torch.get_num_threads()
        try:
            self._server: Any = llama.Server(settings)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"llama.cpp 打不开 {file.name}：{error}") from None

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a prompt as llama.cpp makes them, with the template and the tokenizer in the file."""
        said = [{"role": message.role, "content": message.content} for message in messages]
        text = self._post("/apply-template", {"messages": said})["prompt"]
        return self._post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]

    def greedy(self, prompt: Sequence[int], limit: int) -> list[int]:
        """The likeliest tokens after the prompt, up to the one that ends the text."""
        wanted = {
            "prompt": list(prompt),
            "n_predict": limit,
            "temperature": 0,
            "repeat_penalty": 1,
            "cache_prompt": False,
            "return_tokens": True,
        }
        return self._post("/completion", wanted)["tokens"]

    def _post(self, path: str, wanted: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self._server.listening_address + path, json.dumps(wanted).encode(), {"Content-Type": "application/json"}
        )
        # Without the system's proxies: it is this very process that answers.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.load(answer)
