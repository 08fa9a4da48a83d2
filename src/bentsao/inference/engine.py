"""What answers: prompts in, generated tokens out. `transformers_engine.py` is the reference that others must equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

from bentsao.core.errors import ModelError
from bentsao.core.formats import ChatFormat
from bentsao.core.records import Message
from bentsao.core.rendering import Tokens, fit_prompt
from bentsao.inference.decoding import Decoding


@dataclass(frozen=True)
class Generated:
    """One generated answer.

    `ids` are its tokens without the token that ended it; `text` is what they read, control tokens left out;
    `finish` is "end" when the model ended it, "length" when it was cut: at the token limit, at the end of the context,
    or because it was called off.
    """

    ids: tuple[int, ...]
    text: str
    finish: Literal["end", "length"]


EngineName = Literal["auto", "transformers", "ctranslate2", "vllm"]
"""The engines of `engines/opening.py` by name, and the choice between them by what the machine has."""


class MemoryShortageError(ModelError):
    """These prompts do not fit in memory together; fewer of them may."""


T = TypeVar("T")
R = TypeVar("R")


class Described(Protocol):
    """What is known of a model that continues prompts, wherever its weights are."""

    @property
    def name(self) -> str:
        """Identifies the weights: two engines of one name give the same answers."""
        ...

    @property
    def tokens(self) -> Tokens:
        """The tokenizer."""
        ...

    @property
    def chat_format(self) -> ChatFormat:
        """The format the weights were tuned with."""
        ...

    @property
    def context(self) -> int:
        """The most tokens of prompt and answer together."""
        ...


class Engine(Described, Protocol):
    """A model that continues prompts."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        """An answer for each prompt, in the prompts' order. The same call gives the same answers, sampling included.

        on_text(row, piece) is given each answer's text while the model writes, never half a character; with several
        beams, which may change their mind, each text comes whole at the end. called_off(row) is asked while the model
        writes, in the caller's thread as on_text is; where it says yes, that answer ends as it stands a token or a few
        later, and the others go on. With several beams it is not asked.
        Raises ModelError for a prompt that fills the context, MemoryShortageError when memory runs out.
        """
        ...


@runtime_checkable
class Spread(Described, Protocol):
    """Many engines of one name in other processes or on other machines."""

    @property
    def weighs(self) -> bool:
        """Whether they are Scorers."""
        ...

    def each(self, work: Callable[[Engine, T], R], pieces: Sequence[T], report: Callable[[str], None]) -> Iterator[R]:
        """What `work` makes of each piece with one of the engines, each result once, in the order of being done.

        work, the pieces and the results are pickled. report: told of what was lost on the way and is done again.
        """
        ...


@dataclass(frozen=True)
class Weight:
    """How likely a continuation is after its prompt.

    logprob: the sum of its tokens' log-probabilities (natural logarithm, ≤ 0). greedy: whether it is what the model
    itself would write, token by token. tokens: how many it has. each: the log-probability of each token; best: the
    likeliest token in each place, with its log-probability.
    """

    logprob: float
    greedy: bool
    tokens: int
    each: tuple[float, ...] = ()
    best: tuple[tuple[int, float], ...] = ()


@runtime_checkable
class Scorer(Protocol):
    """A model that weighs continuations. Engines that can see log-probabilities fulfil it beside `Engine`."""

    def weigh(
        self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[Weight]]:
        """The weights of each prompt's continuations (`continuations[i]` belong to `prompts[i]`), in their order.

        A continuation of no token weighs 0. Raises ModelError where prompt and continuation exceed the context,
        MemoryShortageError when memory runs out; fewer prompts at once may do.
        """
        ...


def check_prompts(prompts: Sequence[Sequence[int]], words: int, context: int) -> None:
    """Raises ModelError for ids that the model has no row for (`words` rows), or a prompt that fills the context.

    Looked for before, because on a GPU an id without a row kills the process.
    """
    highest = max((max(ids) for ids in prompts), default=0)
    if highest >= words:
        raise ModelError(
            f"token 编号 {highest} 超出了模型的词表（{words}）：分词器和权重不是一套。请用同一基座的分词器。"
        )
    longest = max(map(len, prompts), default=0)
    if longest >= context:
        raise ModelError(f"提示有 {longest} 个 token，模型的上下文只有 {context}，没有留给回答的位置。")


def fitted_prompt(engine: Described, messages: Sequence[Message], decoding: Decoding) -> tuple[list[int], int]:
    """The prompt for a last user's message with as much history as fits; and how many of its messages were left out.

    Room for a whole answer is kept, but no more than half the context. Raises ModelError where even the bare question
    leaves no room for a single token of answer.
    """
    room = max(engine.context - decoding.max_new_tokens, engine.context // 2)
    prompt, dropped = fit_prompt(messages, engine.chat_format, engine.tokens, room)
    if len(prompt) >= engine.context:
        raise ModelError(f"问题太长：{len(prompt)} 个 token，模型的上下文只有 {engine.context}。请缩短问题。")
    return prompt, dropped
