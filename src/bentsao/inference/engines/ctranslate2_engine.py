"""The engine for CPUs: CTranslate2, with the adapter merged into the weights (see `models/converting.py`).

In float32 its greedy text is the reference's, token by token. What differs:
- beams are ranked and ended by other rules than transformers', so with several beams the text may be another;
- a seed gives the same draws each time, but not those of another engine; within beams nothing is drawn;
- where layers attend to a window only (Gemma 3), the part of a prompt beyond the window is read token by token: exact,
  but slow, and not together with control of repetition, which would count that part as said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import torch

from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import stop_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, MemoryShortageError, Weight, check_prompts
from bentsao.inference.engines.ctranslate2_model import best_threads, open_generator
from bentsao.inference.engines.ctranslate2_weighing import weigh
from bentsao.inference.engines.streaming import RowText
from bentsao.models.converting import Converted
from bentsao.models.machine import memory
from bentsao.models.tokens import HFTokens

Prompts = Sequence[Sequence[int]]
_Model = Any
"""`ctranslate2.Generator`, which has no types."""


class CTranslate2Engine:
    """Fulfils `Engine` for a converted folder.

    name: identifies the weights. threads: None takes as many as are fastest here, which is
    measured once for each model.
    """

    def __init__(
        self,
        folder: Path,
        account: Converted,
        tokens: HFTokens,
        chat_format: ChatFormat,
        *,
        name: str,
        threads: int | None = None,
    ) -> None:
        self.name = name
        self.tokens = tokens
        self.chat_format = chat_format
        self.context = account.context
        self._folder = folder
        self._account = account
        self._stops = stop_ids(chat_format, tokens)
        check_prompts([sorted(self._stops)], account.vocabulary, self.context)
        self._threads = threads or best_threads(folder, account.precision)
        self._model = open_generator(folder, account.precision, self._threads)

    def generate(
        self,
        prompts: Prompts,
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        """See `Engine.generate`. Raises ConfigError for sampling within beams.

        Ctrl-C stops the model after the token at work; with several beams, it finishes behind the caller's back.
        """
        if decoding.beams > 1 and decoding.temperature > 0:
            raise ConfigError(
                "ctranslate2 引擎不能在束搜索中采样（beams > 1 且 temperature > 0）。"
                "请去掉其中一个，或用 --engine transformers。"
            )
        check_prompts(prompts, self._account.vocabulary, self.context)
        groups = list(self._groups(prompts, decoding))
        found: dict[int, Generated] = {}
        with self._drawing(decoding) as model:
            for group in groups:
                texts: list[RowText] = []
                if on_text and decoding.beams == 1:
                    texts = [RowText(self.tokens.answer, on_text, row) for row in group.rows]
                watch = None
                if called_off and decoding.beams == 1:
                    watch = _Watch(called_off, group.rows)
                asked = [prompts[row] for row in group.rows]
                answers = self._continue(model, asked, group.limit, decoding, texts=texts, watch=watch)
                found.update(zip(group.rows, map(self._cut, answers), strict=True))
        if on_text and decoding.beams > 1:
            for row in range(len(prompts)):
                on_text(row, found[row].text)
        return [found[row] for row in range(len(prompts))]

    def weigh(self, prompts: Prompts, continuations: Sequence[Prompts]) -> list[list[Weight]]:
        """See `Scorer.weigh`. Raises ModelError for several tokens beyond the model's window (see the module)."""
        with _memory_checked(len(prompts)):
            return weigh(self._model, self._account, prompts, continuations)

    def _groups(self, prompts: Prompts, decoding: Decoding) -> Generator[_Group]:
        """What is generated together: prompts of about the same length.

        A prompt is read at once up to the length of the group's shortest; what is longer costs a step a token, as if
        it were generated, so up to half an answer's length is worth sharing the steps. Control of repetition counts
        what is read that way as said; with it, a group's prompts are of one length.
        """
        controlled = decoding.repetition_penalty != 1 or decoding.no_repeat_ngram > 0
        spread = 0 if controlled else decoding.max_new_tokens // 2
        if controlled:
            self._check_window(max(map(len, prompts), default=0))
        group: _Group | None = None
        for row in sorted(range(len(prompts)), key=lambda row: len(prompts[row])):
            length = len(prompts[row])
            limit = min(decoding.max_new_tokens, self.context - length)
            # A prompt of one token leaves nothing to read at once; beside it, CTranslate2 takes prompts for answers.
            wide = 0 if group and group.shortest == 1 else spread
            if group and limit == group.limit and length <= group.shortest + wide:
                group.rows.append(row)
                continue
            if group:
                yield group
            group = _Group([row], limit, length)
        if group:
            yield group

    def _check_window(self, longest: int) -> None:
        window = self._account.window
        if window and longest > window:
            raise ModelError(
                f"提示有 {longest} 个 token，超过了模型的滑动窗口（{window}）；ctranslate2 引擎这时不能控制重复。"
                "请去掉 --repetition-penalty 与 --no-repeat-ngram，或缩短问题，或用 --engine transformers。"
            )

    @contextmanager
    def _drawing(self, decoding: Decoding) -> Generator[_Model]:
        """The model to generate with; a seeded run has its own, because a seed counts only before the first draw."""
        if decoding.temperature == 0:
            yield self._model
            return
        import ctranslate2  # not every machine has it

        ctranslate2.set_random_seed(decoding.seed % _SEEDS)
        yield open_generator(self._folder, self._account.precision, self._threads)

    def _continue(
        self,
        model: _Model,
        prompts: Prompts,
        limit: int,
        decoding: Decoding,
        *,
        texts: Sequence[RowText],
        watch: _Watch | None,
    ) -> list[list[int]]:
        """The new ids of each prompt, the one that ended it included. texts: told of them as they come, where given."""
        asked = [[str(number) for number in prompt] for prompt in prompts]
        window = self._account.window
        if window and len(asked[0]) > window:
            # One that is short enough, to be given up at once: only its length is then read at once.
            asked.append(asked[0][:window])
        self._check_memory(asked, limit, decoding)
        beginning = _beginning(asked, window)
        asked = [row[len(beginning) :] for row in asked]
        steps: SimpleQueue[tuple[int, int]] = SimpleQueue()
        cancelled = threading.Event()

        def step(result: Any) -> bool:
            steps.put((result.batch_id, result.token_id))
            place = result.batch_id
            return cancelled.is_set() or place >= len(prompts) or (watch is not None and place in watch.ended)

        with _memory_checked(len(prompts)):
            pending = model.generate_batch(
                asked,
                asynchronous=True,
                callback=step if decoding.beams == 1 else None,
                static_prompt=beginning or None,
                cache_static_prompt=False,  # CTranslate2 would keep it for ever
                max_length=limit,
                include_prompt_in_result=False,
                end_token=sorted(self._stops),
                return_end_token=True,
                beam_size=decoding.beams,
                repetition_penalty=decoding.repetition_penalty,
                no_repeat_ngram_size=decoding.no_repeat_ngram,
                **self._sampling(decoding),
            )
            try:
                while not all(answer.done() for answer in pending):
                    self._pass_on(steps, texts, wait=_POLL)
                    if watch is not None:
                        watch.look()
                self._pass_on(steps, texts, wait=0)
            except BaseException:
                cancelled.set()
                if decoding.beams == 1:
                    for answer in pending:
                        answer.result()
                raise
            found = [answer.result().sequences_ids[0] for answer in pending]
        for text in texts:
            text.end()
        return found[: len(prompts)]

    def _pass_on(self, steps: SimpleQueue[tuple[int, int]], texts: Sequence[RowText], *, wait: float) -> None:
        """Hand the new tokens on to the texts, in this thread; wait so many seconds for the first."""
        deadline = time.monotonic() + wait
        while True:
            try:
                row, token = steps.get(timeout=max(0, deadline - time.monotonic()))
            except Empty:
                return
            if row < len(texts) and token not in self._stops:
                texts[row].add(token)

    def _sampling(self, decoding: Decoding) -> dict[str, Any]:
        if decoding.temperature == 0:
            return {}
        return {
            "sampling_temperature": decoding.temperature,
            "sampling_topp": decoding.top_p,
            "sampling_topk": min(decoding.top_k, self._account.vocabulary),
        }

    def _cut(self, ids: list[int]) -> Generated:
        ended = bool(ids) and ids[-1] in self._stops
        kept = ids[:-1] if ended else ids
        return Generated(tuple(kept), self.tokens.answer(kept), "end" if ended else "length")

    def _check_memory(self, asked: Sequence[Sequence[str]], limit: int, decoding: Decoding) -> None:
        """Keys and values of all rows, and three copies of a step's logits, must fit into what is free.

        Said beforehand, because a system out of memory kills the process without a word.
        """
        rows = len(asked) * decoding.beams
        longest = max(map(len, asked)) + limit
        needed = rows * (longest * self._account.cache_bytes + 3 * 4 * self._account.vocabulary)
        if needed > memory(torch.device("cpu"))[0]:
            raise MemoryShortageError(_shortage(len(asked)))


def _beginning(asked: Sequence[list[str]], window: int | None) -> list[str]:
    """What all these prompts begin with, to be read once; none where that is not worth it or leaves the window."""
    first, last = min(map(list, asked)), max(map(list, asked))
    # Two tokens are left of each: with one alone, CTranslate2 takes the others' prompts for answers.
    most = min(map(len, asked)) - 2
    same = next((at for at in range(most) if first[at] != last[at]), max(0, most))
    wide = window is not None and max(map(len, asked)) > window
    return [] if len(asked) == 1 or same < _WORTH or wide else first[:same]


@dataclass(frozen=True)
class _Group:
    """Prompts that are generated together: their rows, how many new tokens each may have, the shortest's length."""

    rows: list[int]
    limit: int
    shortest: int


class _Watch:
    """Looks which answers of a group are called off. ended: their places, which the model's thread reads."""

    def __init__(self, asked: Callable[[int], bool], rows: Sequence[int]) -> None:
        self._asked = asked
        self._rows = rows
        self.ended: set[int] = set()

    def look(self) -> None:
        self.ended.update(place for place, row in enumerate(self._rows) if place not in self.ended and self._asked(row))


_WORTH = 24
"""From so many tokens on a shared beginning is read apart."""

_POLL = 0.02
"""Seconds between two looks whether the answers are done."""

_SEEDS = (1 << 32) - 1
"""Seeds are below this; this one itself means no seed."""


@contextmanager
def _memory_checked(rows: int) -> Generator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error) and "alloc" not in str(error):
            raise
        raise MemoryShortageError(_shortage(rows)) from None


def _shortage(rows: int) -> str:
    return f"内存不足，{rows} 个问题一批放不下。请减小每批的条数，或换小一些的模型。"
