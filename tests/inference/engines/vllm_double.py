"""vLLM without a GPU: the names, signatures and habits of vLLM 0.33 that the engine leans on, computed by transformers.

Habits that matter: outputs are told cumulatively, the stop token among them; logits processors see the answer's ids
only; with an eos that is not ignored the model's own also stops; prompt_logprobs begin with None.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    prompt_logprobs: int | None = None
    detokenize: bool = True
    extra_args: dict[str, Any] | None = None


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""

    def __post_init__(self) -> None:
        assert self.lora_int_id >= 1
        assert self.lora_path


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    token_ids: list[int]
    finish_reason: str | None


@dataclass
class RequestOutput:
    request_id: str
    outputs: list[CompletionOutput]
    prompt_logprobs: list[dict[int, Logprob] | None] | None
    finished: bool


class AdapterLogitsProcessor:
    def is_argmax_invariant(self) -> bool:
        raise NotImplementedError

    def new_req_logits_processor(self, params: SamplingParams) -> Any:
        raise NotImplementedError


@dataclass
class Request:
    number: str
    prompt: list[int]
    params: SamplingParams
    adapter: LoRARequest | None
    control: Any
    draws: torch.Generator
    said: list[int] = field(default_factory=list[int])


class LLMEngine:
    """`steps`: how many there were; `aborted`: what was called off; `loaded`: names of adapters."""

    def __init__(self, folder: str, most: int, rank: int, processors: list[AdapterLogitsProcessor]) -> None:
        self._plain = cast(Any, AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)).eval()
        self._adapted: dict[int, Any] = {}
        self._folder, self._rank, self._processors = folder, rank, processors
        self._running: list[Request] = []
        self.model_config = self
        self.max_model_len = most
        self.steps = 0
        self.aborted: list[str] = []
        self.loaded: list[str] = []

    def get_vocab_size(self) -> int:
        return self._plain.config.vocab_size

    def add_lora(self, lora_request: LoRARequest) -> bool:
        base = cast(Any, AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32))
        model = cast(Any, PeftModel.from_pretrained(base, lora_request.lora_path)).eval()
        if model.peft_config["default"].r > self._rank:
            raise ValueError(f"LoRA rank {model.peft_config['default'].r} is greater than max_lora_rank {self._rank}.")
        self._adapted[lora_request.lora_int_id] = model
        self.loaded.append(lora_request.lora_name)
        return True

    def add_request(
        self,
        request_id: str,
        prompt: dict[str, Any],
        params: SamplingParams,
        arrival_time: float | None = None,
        lora_request: LoRARequest | None = None,
    ) -> str:
        assert isinstance(params, SamplingParams)
        assert not params.detokenize, "there is no tokenizer here"
        assert params.max_tokens is not None
        if not 0 < len(prompt["prompt_token_ids"]) < self.max_model_len:
            raise ValueError("The decoder prompt is longer than the maximum model length.")
        found = [processor.new_req_logits_processor(params) for processor in self._processors]
        control = next((one for one in found if one is not None), None)
        draws = torch.Generator().manual_seed(params.seed or 0)
        self._running.append(
            Request(request_id, list(prompt["prompt_token_ids"]), params, lora_request, control, draws)
        )
        return f"{request_id}-internal"

    @torch.no_grad()
    def step(self) -> list[RequestOutput]:
        self.steps += 1
        outputs: list[RequestOutput] = []
        for request in list(self._running):
            model = self._plain if request.adapter is None else self._adapted[request.adapter.lora_int_id]
            logits = model(torch.tensor([request.prompt + request.said])).logits[0].float()
            token = self._next(request, logits[-1].clone())
            request.said.append(token)
            stops = set(request.params.stop_token_ids or ())
            if not request.params.ignore_eos:
                stops.add(self._plain.config.eos_token_id)
            long = len(request.said) >= cast(int, request.params.max_tokens)
            reason = "stop" if token in stops else "length" if long else None
            if reason:
                self._running.remove(request)
            weights = None if request.params.prompt_logprobs is None else _prompt_logprobs(request.prompt, logits)
            said = CompletionOutput(list(request.said), reason)
            outputs.append(RequestOutput(request.number, [said], weights, reason is not None))
        return outputs[::-1]  # in whatever order

    def _next(self, request: Request, logits: torch.Tensor) -> int:
        if request.control is not None:
            logits = request.control(request.said, logits)
        params = request.params
        if params.temperature < 0.01:
            return int(logits.argmax())
        scores = logits / params.temperature
        if params.top_k > 0:
            scores[scores < scores.topk(params.top_k).values[-1]] = -torch.inf
        if params.top_p < 1:
            ordered, places = scores.softmax(-1).sort(descending=True)
            scores[places[ordered.cumsum(-1) - ordered >= params.top_p]] = -torch.inf
        return int(scores.softmax(-1).multinomial(1, generator=request.draws))

    def abort_request(self, request_ids: list[str]) -> None:
        self.aborted += request_ids
        self._running = [request for request in self._running if request.number not in request_ids]


class LLM:
    """`opened`: every one there was."""

    opened: list[LLM]
    longest = 512

    def __init__(
        self,
        model: str,
        *,
        skip_tokenizer_init: bool = False,
        trust_remote_code: bool = False,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        generation_config: str = "auto",
        max_model_len: int | None = None,
        enable_prefix_caching: bool | None = None,
        logits_processors: list[str] | None = None,
        enable_lora: bool = False,
        max_lora_rank: int = 16,
        max_cpu_loras: int | None = None,
    ) -> None:
        if tensor_parallel_size > 1:
            raise ValueError(f"Tensor parallel size {tensor_parallel_size} is larger than the number of GPUs (1).")
        assert max_lora_rank in {1, 8, 16, 32, 64, 128, 256, 320, 512}
        processors = [
            getattr(importlib.import_module(n.split(":")[0]), n.split(":")[1]) for n in logits_processors or ()
        ]
        assert all(issubclass(kind, AdapterLogitsProcessor) for kind in processors)
        self.settings = {"dtype": dtype, "prefix": enable_prefix_caching, "length": max_model_len}
        rank = max_lora_rank if enable_lora else 0
        self.llm_engine = LLMEngine(model, self.longest, rank, [kind() for kind in processors])
        self.opened.append(self)


def _prompt_logprobs(prompt: list[int], logits: torch.Tensor) -> list[dict[int, Logprob] | None]:
    found: list[dict[int, Logprob] | None] = [None]
    for place, token in enumerate(prompt[1:]):
        logs = logits[place].log_softmax(-1)
        best = int(logs.argmax())
        rank = int((logs > logs[token]).sum()) + 1
        found.append({best: Logprob(float(logs[best]), 1), token: Logprob(float(logs[token]), rank)})
    return found


def install(patch: pytest.MonkeyPatch) -> type[LLM]:
    """Put the double in vLLM's place; nothing is opened yet."""
    names = {
        "vllm": {"LLM": LLM, "SamplingParams": SamplingParams},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": LoRARequest},
        "vllm.v1": {},
        "vllm.v1.sample": {},
        "vllm.v1.sample.logits_processor": {"AdapterLogitsProcessor": AdapterLogitsProcessor},
    }
    for name, contents in names.items():
        module = ModuleType(name)
        for key, value in contents.items():
            setattr(module, key, value)
        patch.setitem(sys.modules, name, module)
    patch.delitem(sys.modules, "bentsao.inference.engines.vllm_control", raising=False)
    patch.setattr(LLM, "opened", [], raising=False)
    return LLM
