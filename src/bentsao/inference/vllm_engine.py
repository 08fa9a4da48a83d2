"""The engine for GPUs and clusters: vLLM, with LoRA adapters loaded as adapters onto a base that is loaded once.

Written against the Python interface of vLLM 0.33. A beginning that prompts share is computed once (vLLM's prefix
cache), requests of all lengths run side by side. What differs from the reference:
- there are no beams: vLLM's own know neither our stop tokens nor control of repetition;
- each row draws from a seed of its own, and rounding depends on what else is in the batch: in 16 bits an answer may be
  another in other company.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentsao.core.errors import ConfigError, MissingError, ModelError
from bentsao.core.files import read_json
from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import stop_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, Weight, check_prompts
from bentsao.inference.streaming import RowText
from bentsao.models.adapters import CONFIG_NAME
from bentsao.models.tokens import HFTokens

RANKS = (64, 128, 256, 320, 512)
"""The ranks that a base is opened for; vLLM knows smaller ones, which would only part adapters of one base."""

CONTROL = "bentsao_repetition"
"""Under this name control of repetition travels to vLLM's processes; see `vllm_control.py`."""

_Ids = Sequence[int]
_Seen = Callable[[int, Sequence[int]], None]
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class LoadedBase:
    """A base in vLLM, which all engines on it share. lock: held while one of them asks.

    key: what was loaded (folder, number format, GPUs); rank: the highest rank of adapters, 0 for none.
    """

    llm: Any
    key: tuple[str, str, int]
    rank: int
    adapters: dict[Path, Any] = field(default_factory=dict[Path, Any])
    lock: threading.Lock = field(default_factory=threading.Lock)


_LOADED: list[LoadedBase] = []
_LOADING = threading.Lock()


def open_base(folder: Path, *, dtype: str | None, gpus: int, rank: int, trust_remote_code: bool) -> LoadedBase:
    """The base of that folder, loaded once for all adapters. rank: of the adapter that it is for, 0 for none.

    Raises MissingError without vLLM, ModelError where vLLM cannot load it.
    """
    vllm = _vllm()
    key = (str(folder), dtype or "auto", gpus)
    with _LOADING:
        for loaded in _LOADED:
            if loaded.key == key and rank <= loaded.rank:
                return loaded
        highest = 0 if rank == 0 else next((known for known in RANKS if rank <= known), None)
        if highest is None:
            raise ModelError(f"适配器的秩是 {rank}，vLLM 最多 {RANKS[-1]}。请先合并成完整的模型，或用其他引擎。")
        lora: dict[str, Any] = {"enable_lora": True, "max_lora_rank": highest, "max_cpu_loras": 16} if highest else {}
        try:
            llm = vllm.LLM(
                str(folder),
                skip_tokenizer_init=True,
                trust_remote_code=trust_remote_code,
                tensor_parallel_size=gpus,
                dtype=key[1],
                generation_config="vllm",
                max_model_len=-1,  # as much as fits
                enable_prefix_caching=True,
                logits_processors=["bentsao.inference.vllm_control:RepetitionControl"],
                **lora,
            )
        except (ValueError, RuntimeError, OSError) as error:
            raise ModelError(f"vLLM 打不开 {folder}：{_short(error)}。可以改用 --engine transformers。") from error
        _LOADED.append(LoadedBase(llm, key, highest))
        return _LOADED[-1]


def rank_of(adapter: Path) -> int:
    """The highest rank in an adapter folder."""
    config = read_json(adapter / CONFIG_NAME)
    return max([config.get("r", 8), *(config.get("rank_pattern") or {}).values()])


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
        self._adapter = None if adapter is None else _put_on(base, adapter)

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
        asked = _vllm().SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1, detokenize=False)
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
        return _vllm().SamplingParams(
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


def _put_on(base: LoadedBase, adapter: Path) -> Any:
    """vLLM's handle of the adapter, which is loaded here, so that a fault shows now."""
    folder = adapter.resolve()
    with base.lock:
        if folder not in base.adapters:
            number = len(base.adapters) + 1
            # vLLM tells adapters apart by their names, so the whole path is one.
            request = _lora_request()(str(folder), number, str(folder))
            try:
                base.llm.llm_engine.add_lora(request)
            except Exception as error:  # whatever came of it in another process
                raise ModelError(
                    f"vLLM 不能把适配器 {adapter} 放到基座上：{_short(error)}。可以用 --engine transformers。"
                ) from error
            base.adapters[folder] = request
        return base.adapters[folder]


def _weight(places: Sequence[Any], option: _Ids) -> Weight:
    """places: for each token of the option a dict from ids (itself and the likeliest) to vLLM's Logprob."""
    each = [found[token].logprob for found, token in zip(places, option, strict=True)]
    best = [max(((token, one.logprob) for token, one in found.items()), key=lambda pair: pair[1]) for found in places]
    greedy = all(own >= peak for own, (_, peak) in zip(each, best, strict=True))
    return Weight(sum(each), greedy, len(option), tuple(each), tuple(best))


def _vllm() -> Any:
    try:
        import vllm  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingError(
            f"缺少 {error.name}：vllm 引擎要在有 GPU 的 Linux 上安装 pip install 'bentsao[vllm]'。"
            "没有 GPU 请去掉 --engine vllm（CPU 上用 ctranslate2）。"
        ) from None
    return vllm


def _lora_request() -> Any:
    from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]

    return LoRARequest


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:200] + "……"
