"""The engine for GPUs and clusters: vLLM, with LoRA adapters loaded as adapters onto a base that is loaded once.

Written against the Python interface of vLLM 0.33. A beginning that prompts share is computed once (vLLM's prefix
cache), requests of all lengths run side by side. What differs from the reference:
- there are no beams: vLLM's own know neither our stop tokens nor control of repetition;
- each row draws from a seed of its own, and rounding depends on what else is in the batch: in 16 bits an answer may be
  another in other company.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.files import read_json_object
from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import stop_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, Weight, check_prompts
from bentsao.inference.engines.chosen import ChosenModel, Wanted
from bentsao.inference.engines.streaming import RowText
from bentsao.inference.engines.vllm_base import LoadedBase, open_base, put_on, rank_of, vllm_library
from bentsao.models.tokens import HFTokens

CONTROL = "bentsao_repetition"
"""Under this name control of repetition travels to vLLM's processes; see `vllm_control.py`."""

_Ids = Sequence[int]
_Seen = Callable[[int, Sequence[int]], None]
_NUMBERS = itertools.count()


class VllmEngine:
    """Fulfils `Engine` and `Scorer` for a loaded base, with an adapter on it or without.

    name: identifies the weights. Raises ModelError for an adapter that vLLM cannot put on the base.
    """

    def __init__(
        self, base: LoadedBase, adapter: Path | None, tokens: HFTokens, chat_format: ChatFormat, *, name: str
    ) -> None:
        self.name = name
        self.tokens = tokens
        self.chat_format = chat_format
        self._base = base
        self._engine = base.llm.llm_engine
        self.context: int = self._engine.model_config.max_model_len
        self._words: int = self._engine.model_config.get_vocab_size()
        self._stops = stop_ids(chat_format, tokens)
        check_prompts([sorted(self._stops)], self._words, self.context)
        self._adapter = None if adapter is None else put_on(base, adapter)

    def generate(
        self,
        prompts: Sequence[_Ids],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        """See `Engine.generate`. Raises ConfigError for several beams."""
        if decoding.beams > 1:
            raise ConfigError("vllm 引擎没有束搜索。请去掉 beams，或用 --engine transformers。")
        check_prompts(prompts, self._words, self.context)
        texts = [RowText(self.tokens.decode, on_text, row) for row in range(len(prompts))] if on_text else []
        told = [0] * len(prompts)

        def tell(row: int, ids: Sequence[int]) -> None:
            for token in ids[told[row] :]:
                if token not in self._stops:
                    texts[row].add(token)
            told[row] = len(ids)

        params = [self._params(decoding, row, len(prompt)) for row, prompt in enumerate(prompts)]
        outputs = self._run(prompts, params, tell if on_text else None, called_off)
        for text in texts:
            text.end()
        return [self._cut([] if output is None else list(output.outputs[0].token_ids)) for output in outputs]

    def weigh(self, prompts: Sequence[_Ids], continuations: Sequence[Sequence[_Ids]]) -> list[list[Weight]]:
        """See `Scorer.weigh`. One token of the context is left for vLLM, which always writes one."""
        found = [[Weight(0.0, True, 0) for _ in options] for options in continuations]
        places = [(row, at) for row, options in enumerate(continuations) for at, option in enumerate(options) if option]
        if any(not prompts[row] for row, _ in places):
            raise ModelError("提示是空的，没有位置可以给出第一个 token 的概率。请换一个对话格式。")
        texts = [[*prompts[row], *continuations[row][at]] for row, at in places]
        check_prompts(texts, self._words, self.context)
        asked = vllm_library().SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1, detokenize=False)
        for (row, at), output in zip(places, self._run(texts, [asked] * len(texts), None, None), strict=True):
            option = continuations[row][at]
            found[row][at] = _weight(output.prompt_logprobs[len(prompts[row]) :], option)
        return found

    def _run(
        self,
        prompts: Sequence[_Ids],
        params: Sequence[Any],
        tell: _Seen | None,
        called_off: Callable[[int], bool] | None,
    ) -> list[Any]:
        """The last output of each prompt; None for one that was called off before its first token."""
        found: list[Any] = [None] * len(prompts)
        waiting: dict[str, int] = {}
        with self._base.lock:
            try:
                for row, (prompt, each) in enumerate(zip(prompts, params, strict=True)):
                    number = f"bentsao-{next(_NUMBERS)}"
                    request = {"prompt_token_ids": list(prompt)}
                    self._engine.add_request(number, request, each, lora_request=self._adapter)
                    waiting[number] = row
                while waiting:
                    for output in self._engine.step():
                        row = waiting.get(output.request_id)
                        if row is None:
                            continue
                        found[row] = output
                        if tell:
                            tell(row, output.outputs[0].token_ids)
                        if output.finished:
                            del waiting[output.request_id]
                    off = [number for number, row in waiting.items() if called_off and called_off(row)]
                    if off:
                        self._engine.abort_request(off)
                    for number in off:
                        del waiting[number]
            finally:
                if waiting:
                    self._engine.abort_request(list(waiting))
        return found

    def _params(self, decoding: Decoding, row: int, length: int) -> Any:
        drawing: dict[str, Any] = {"temperature": 0.0}
        if decoding.temperature > 0:
            drawing = {
                "temperature": decoding.temperature,
                "top_p": decoding.top_p,
                "top_k": decoding.top_k or -1,
                "seed": (decoding.seed + row) % (1 << 63),
            }
        return vllm_library().SamplingParams(
            max_tokens=min(decoding.max_new_tokens, self.context - length),
            stop_token_ids=sorted(self._stops),
            ignore_eos=True,  # our stop tokens are all that counts
            detokenize=False,
            extra_args=_control(decoding),
            **drawing,
        )

    def _cut(self, ids: list[int]) -> Generated:
        ended = bool(ids) and ids[-1] in self._stops
        kept = ids[:-1] if ended else ids
        return Generated(tuple(kept), self.tokens.decode(kept), "end" if ended else "length")


def _control(decoding: Decoding) -> dict[str, Any] | None:
    settings = {"repetition_penalty": decoding.repetition_penalty, "no_repeat_ngram": decoding.no_repeat_ngram}
    return None if settings == {"repetition_penalty": 1, "no_repeat_ngram": 0} else {CONTROL: settings}


def _weight(places: Sequence[Any], option: _Ids) -> Weight:
    """places: for each token of the option a dict from ids (itself and the likeliest) to vLLM's Logprob."""
    each = [found[token].logprob for found, token in zip(places, option, strict=True)]
    best = [max(((token, one.logprob) for token, one in found.items()), key=lambda pair: pair[1]) for found in places]
    greedy = all(own >= peak for own, (_, peak) in zip(each, best, strict=True))
    return Weight(sum(each), greedy, len(option), tuple(each), tuple(best))


def open_model(model: ChosenModel, wanted: Wanted) -> VllmEngine:
    """The engine for a chosen model. Raises ConfigError for what vLLM cannot do; other errors as `open_base`."""
    if wanted.device is not None or wanted.quantization is not None:
        raise ConfigError(
            "vllm 引擎自己管理 GPU，不用 --device 与 --quantization。请去掉它们（选哪些 GPU 用环境变量 "
            "CUDA_VISIBLE_DEVICES，几张用 --gpus），或用 --engine transformers。"
        )
    if wanted.gpus < 1:
        raise ConfigError(f"--gpus {wanted.gpus} 应不小于 1。")
    if read_json_object(model.located.folder / "config.json").get("model_type") == "chatglm":
        raise ConfigError("ChatGLM-6B 不能用 vllm 引擎（它只认识 ChatGLM2 以后的）。请用 --engine transformers。")
    tokens, chosen = model.dressed()
    base = open_base(
        model.located.folder,
        dtype=wanted.dtype,
        gpus=wanted.gpus,
        rank=0 if model.folder is None else rank_of(model.folder),
        trust_remote_code=model.trust_remote_code,
    )
    return VllmEngine(base, model.folder, tokens, chosen, name=model.name("vllm", wanted.dtype or "auto"))
