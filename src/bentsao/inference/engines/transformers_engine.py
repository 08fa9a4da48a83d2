"""The reference engine: `generate` of transformers, in batches, on any base.

Answers are cut out by counting tokens, so nothing that is said can disturb it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.generation.logits_process import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor
from transformers.generation.streamers import BaseStreamer

from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import stop_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated, MemoryShortageError, Weight, check_prompts
from bentsao.inference.engines.chosen import ChosenModel, Wanted
from bentsao.inference.engines.streaming import RowText
from bentsao.inference.engines.weighing import weigh
from bentsao.models.loading import Base, context_of


def open_model(model: ChosenModel, wanted: Wanted) -> TransformersEngine:
    """The engine for a chosen model. Errors as `load_base`."""
    loaded = model.load(wanted)
    tokens, chosen = model.dress(loaded.tokens, loaded.default_format)
    name = model.name("transformers", wanted.quantization or str(loaded.dtype).removeprefix("torch."))
    return TransformersEngine(replace(loaded, tokens=tokens), chosen, name=name)


class TransformersEngine:
    """Fulfils `Engine` for a loaded base, with or without an adapter on it.

    name: identifies the weights; None means the base's name. The model's own generation config (other bases come with
    a top_k, a repetition penalty …) is taken off, so that `Decoding` is all that counts.
    Raises ModelError when the tokenizer has control ids that the model has no row for.
    """

    def __init__(self, base: Base, chat_format: ChatFormat, *, name: str | None = None) -> None:
        self.name = name or base.name
        self.tokens = base.tokens
        self.chat_format = chat_format
        self.context = context_of(base.model)
        self._model = base.model
        self._device = base.device
        self._words = cast(Any, base.model.get_input_embeddings()).weight.shape[0]
        self._stops = stop_ids(chat_format, base.tokens)
        check_prompts([sorted(self._stops), [base.tokens.pad_id]], self._words, self.context)
        base.model.generation_config = GenerationConfig()

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        """See `Engine.generate`."""
        check_prompts(prompts, self._words, self.context)
        found: dict[int, Generated] = {}
        limits = [min(decoding.max_new_tokens, self.context - len(prompt)) for prompt in prompts]
        # One batch, unless some prompts leave less room than others: then the full context ends their answers earlier.
        for limit in sorted(set(limits)):
            rows = [row for row, own in enumerate(limits) if own == limit]
            stream, calls = None, None
            if called_off and decoding.beams == 1:
                calls = CalledOff(called_off, rows)
            if on_text and decoding.beams == 1:
                stream = TextStream(self.tokens.answer, self._stops, on_text, rows, calls and calls.ended)
            answers = self._continue([prompts[row] for row in rows], limit, decoding, stream, calls)
            found.update(zip(rows, answers, strict=True))
        if on_text and decoding.beams > 1:
            for row in range(len(prompts)):
                on_text(row, found[row].text)
        return [found[row] for row in range(len(prompts))]

    def weigh(
        self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[Weight]]:
        """See `Scorer.weigh`."""
        with _memory_checked(len(prompts)):
            return weigh(self._model, self._words, self.context, prompts, continuations)

    def _continue(
        self,
        prompts: Sequence[Sequence[int]],
        limit: int,
        decoding: Decoding,
        stream: BaseStreamer | None,
        calls: CalledOff | None,
    ) -> list[Generated]:
        ids, mask = _left_padded(prompts, self.tokens.pad_id, self._device)
        width = ids.shape[1]
        with _seeded(decoding, self._device), _memory_checked(len(prompts)):
            whole = cast(Any, self._model).generate(
                ids,
                attention_mask=mask,
                generation_config=self._settings(decoding, limit),
                logits_processor=repetition_control(decoding, width),
                streamer=stream,
                stopping_criteria=None if calls is None else StoppingCriteriaList([calls.begin(width)]),
            )
        ended = {} if calls is None else calls.ended
        rows = cast(Tensor, whole)[:, width:].tolist()
        return [self._cut(row[: ended.get(place)]) for place, row in enumerate(rows)]

    def _settings(self, decoding: Decoding, limit: int) -> GenerationConfig:
        settings: dict[str, Any] = {"do_sample": False}
        if decoding.temperature > 0:
            settings = {
                "do_sample": True,
                "temperature": decoding.temperature,
                "top_p": decoding.top_p,
                "top_k": decoding.top_k,
            }
        return GenerationConfig(
            max_new_tokens=limit,
            num_beams=decoding.beams,
            eos_token_id=sorted(self._stops),
            pad_token_id=self.tokens.pad_id,
            **settings,
        )

    def _cut(self, row: list[int]) -> Generated:
        """The answer up to the first token that ends it; what follows is the batch's padding."""
        end = next((place for place, token in enumerate(row) if token in self._stops), None)
        ids = row[:end]
        return Generated(tuple(ids), self.tokens.answer(ids), "length" if end is None else "end")


def _left_padded(prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """ids and mask, [rows, longest] int64: every answer then begins in the same column."""
    longest = max(map(len, prompts))
    ids = [[pad_id] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def repetition_control(decoding: Decoding, width: int) -> LogitsProcessorList:
    """Not by GenerationConfig's own fields: those count the prompt and its padding as said already."""
    control = LogitsProcessorList()
    if decoding.repetition_penalty != 1:
        control.append(RepetitionPenaltyLogitsProcessor(float(decoding.repetition_penalty), width))
    if decoding.no_repeat_ngram:
        control.append(_AnswerNGrams(decoding.no_repeat_ngram, width))
    return control


class _AnswerNGrams(NoRepeatNGramLogitsProcessor):
    """No n-gram twice within the answer; the prompt is the first `width` columns."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size)
        self._width = width

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return super().__call__(cast(Any, input_ids[:, self._width :]), cast(Any, scores))


class CalledOff(StoppingCriteria):
    """Ends the answers that are no longer wanted. `rows`: their numbers for `asked`.

    ended: how many tokens each has that was called off, by its place in the batch; what follows there is padding.
    """

    def __init__(self, asked: Callable[[int], bool], rows: Sequence[int]) -> None:
        self._asked = asked
        self._rows = rows
        self._width = 0
        self.ended: dict[int, int] = {}

    def begin(self, width: int) -> CalledOff:
        """For a batch whose prompts are the first `width` columns."""
        self._width = width
        return self

    def __call__(self, input_ids: Tensor, *_: object, **__: object) -> Any:
        """Called by transformers after each token: which rows are done, [rows] bool."""
        for place, row in enumerate(self._rows):
            if place not in self.ended and self._asked(row):
                self.ended[place] = input_ids.shape[1] - self._width
        done = [place in self.ended for place in range(len(self._rows))]
        return torch.tensor(done, device=input_ids.device)


class TextStream(BaseStreamer):
    """Hands on the text of a batch's answers while they grow, as `send(row, piece)`; `rows`: the answers' numbers.

    ended: how many tokens each answer has that was called off, by its place in the batch.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        stops: frozenset[int],
        send: Callable[[int, str], None],
        rows: Sequence[int],
        ended: Mapping[int, int] | None = None,
    ) -> None:
        self._stops = stops
        self._ended = {} if ended is None else ended
        self._step = 0
        self._writing = {place: RowText(decode, send, row) for place, row in enumerate(rows)}
        self._at_prompt = True

    def put(self, value: Tensor) -> None:
        """Called by transformers with the prompts, then with the next token of each row, [rows] int64."""
        if self._at_prompt:
            self._at_prompt = False
            return
        self._step += 1
        for place, token in enumerate(value.tolist()):
            off = self._step > self._ended.get(place, self._step)
            if place in self._writing and (off or token in self._stops):
                self._writing.pop(place).end()
            elif place in self._writing:
                self._writing[place].add(token)

    def end(self) -> None:
        """Called by transformers after the last tokens."""
        for text in self._writing.values():
            text.end()


@contextmanager
def _seeded(decoding: Decoding, device: torch.device) -> Generator[None]:
    """Draws start from the seed, and nobody else's draws are changed by it."""
    if decoding.temperature == 0:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(decoding.seed)
        yield


@contextmanager
def _memory_checked(rows: int) -> Generator[None]:
    try:
        yield
    except RuntimeError as error:
        # The CPU's allocator has no exception class of its own.
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        raise MemoryShortageError(f"内存不足，{rows} 个问题一批放不下。请减小每批的条数，或换小一些的模型。") from None
