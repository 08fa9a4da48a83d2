"""The chat renderer: messages → token ids and what is learnt of them. Training and inference both use this one.

Two promises:
- what a model is trained on before an answer is, token by token, what it is given at inference;
- nothing that a user (or a document) says becomes a control token or a turn mark.

Knows no tokenizer library: it speaks to the `Tokens` protocol, which `models/tokens.py` fulfils for Hugging Face
tokenizers and the tests fulfil by characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.formats import ChatFormat, fill
from bentsao.core.grounding import DEFAULT_PART
from bentsao.core.records import Message

IGNORE = -100
"""The target of a position that is not learnt (the value that PyTorch's cross entropy ignores)."""


class Tokens(Protocol):
    """What the renderer needs of a tokenizer."""

    @property
    def start_ids(self) -> tuple[int, ...]:
        """What the base wants before any text (its BOS); empty for bases without."""
        ...

    @property
    def prompt_end_ids(self) -> tuple[int, ...]:
        """What stands between a prompt and its answer in a prefix-LM (ChatGLM's [gMASK] <sop>); empty for all others.

        Where there is something, the prompt is attended to in both directions, and the answer is a text of its own.
        """
        ...

    @property
    def end_id(self) -> int:
        """The token that ends a text."""
        ...

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end an answer whatever the format, `end_id` among them."""
        ...

    @property
    def control_ids(self) -> frozenset[int]:
        """The tokens that no user's words may become."""
        ...

    def encode(self, text: str, *, control: bool, after: bool) -> list[int]:
        """Token ids without start or end. `control`: read control tokens in the text; else they are spelt out.

        `after`: the text continues another one, so no start-of-text blank is put before it.
        """
        ...

    def apply_template(self, messages: Sequence[Message], *, ask: bool) -> str:
        """The messages through the base's own chat template; `ask` adds what opens the answer."""
        ...


@dataclass(frozen=True)
class Row:
    """One training sequence. `targets[i]` is what is to be predicted after reading `ids[: i + 1]`, or IGNORE.

    Targets stand already shifted, and the end token of a turn is a target even where the format has no room for it in
    `ids`; so one dialogue in one row teaches exactly what one row a turn would teach.

    `parts` says which loss a target counts for (`grounding.PARTS`): (part, end) in order, each part's positions going
    from the end before it up to its own. Empty: all are the instruction's.
    """

    ids: tuple[int, ...]
    targets: tuple[int, ...]
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def learnt(self) -> int:
        """How many positions have a target."""
        return sum(target != IGNORE for target in self.targets)

    def spans(self) -> Iterator[tuple[str, int, int]]:
        """(part, start, end) over all positions, learnt or not."""
        start = 0
        for part, end in self.parts or ((DEFAULT_PART, len(self.targets)),):
            yield part, start, end
            start = end

    def learnt_by_part(self) -> Counter[str]:
        """How many positions of each part have a target."""
        counts: Counter[str] = Counter()
        for part, start, end in self.spans():
            counts[part] += sum(target != IGNORE for target in self.targets[start:end])
        return counts


@dataclass(frozen=True)
class Loss:
    """An answer that could not be rendered whole. `turn` counts from 0; `tokens` is what it would have needed."""

    turn: int
    reason: Literal["prompt_too_long", "answer_too_long", "answer_cut"]
    tokens: int


@dataclass
class Rendering:
    """The rows of one conversation and what did not get in.

    `turns` counts assistant turns that are learnt whole; `dropped_history` counts turns learnt with their oldest
    history left out because the whole would not fit.
    """

    rows: list[Row] = field(default_factory=list[Row])
    turns: int = 0
    dropped_history: int = 0
    losses: list[Loss] = field(default_factory=list[Loss])


def render(
    messages: Sequence[Message],
    chat_format: ChatFormat,
    tokens: Tokens,
    *,
    limit: int | None = None,
    cut_answers: bool = False,
    learn_prompt: bool = False,
) -> Rendering:
    """Render a conversation for training, with a target on every assistant turn.

    limit: the most tokens a row may have; None means no limit. A turn that does not fit with its whole history is
        learnt in a row of its own with the oldest turns left out; one that does not fit alone is refused.
    cut_answers: an answer that does not fit is learnt up to the limit, without an end token, instead of refused.
    learn_prompt: the prompts are targets too (the original's `train_on_inputs`), of the part of the answer after them.
    Raises ConfigError for `learn_prompt` with a prefix-LM, which sees the next token of a prompt.
    """
    if learn_prompt and tokens.prompt_end_ids:
        raise ConfigError("这个基座是 prefix-LM，读问题时看得到后文，学不了问题部分。请去掉 learn_prompt。")
    out = Rendering()
    builder = _Builder(learn_prompt)
    for turn, at in enumerate(_assistant_places(messages)):
        part = messages[at].part or DEFAULT_PART
        said = _clean(messages[at].content, chat_format)
        answer = tokens.encode(said, control=False, after=not tokens.prompt_end_ids)
        history, prompt = _fit_prompt(
            messages[:at], chat_format, tokens, None if limit is None else limit - len(answer)
        )
        if limit is not None and len(prompt) + len(answer) > limit:
            needed = len(prompt) + len(answer)
            if len(prompt) >= limit:
                out.losses.append(Loss(turn, "prompt_too_long", needed))
            elif not cut_answers:
                out.losses.append(Loss(turn, "answer_too_long", needed))
            else:
                out.losses.append(Loss(turn, "answer_cut", needed))
                builder.add(prompt, answer[: limit - len(prompt)], part, end=None)
            continue
        out.turns += 1
        out.dropped_history += len(history) < at
        builder.add(prompt, answer, part, end=_turn_end(history, messages[at], chat_format, tokens))
    out.rows = builder.finish()
    return out


def prompt_ids(messages: Sequence[Message], chat_format: ChatFormat, tokens: Tokens) -> list[int]:
    """The ids a model is given to answer the last message, which must be the user's."""
    if not messages or messages[-1].role != "user":
        raise ValueError("a prompt ends with a user's message")
    ids: list[int] = []
    for segment in _segments(messages, chat_format, tokens, ask=True):
        ids += segment.encode(tokens, after=bool(ids))
    # A base's own template writes the start token itself.
    start = () if chat_format.base_template is not None else tokens.start_ids
    end = list(tokens.prompt_end_ids)
    # So may it write what ends a prompt, as the templates of exports do.
    return [*start, *ids, *(end if ids[len(ids) - len(end) :] != end else ())]


def fit_prompt(
    messages: Sequence[Message], chat_format: ChatFormat, tokens: Tokens, room: int
) -> tuple[list[int], int]:
    """The prompt within `room` tokens by leaving out whole turns, oldest first; and how many messages were left out.

    The last question and a system message are always kept, so the prompt may still be longer than `room`.
    """
    kept, prompt = _fit_prompt(messages, chat_format, tokens, room)
    return prompt, len(messages) - len(kept)


def stop_ids(chat_format: ChatFormat, tokens: Tokens) -> frozenset[int]:
    """The tokens that end an answer: those of the base itself, and the end of turn of the format's template."""
    probe = [Message(role="user", content="问"), Message(role="assistant", content="答")]
    return frozenset({*tokens.stop_ids, _turn_end(probe[:1], probe[1], chat_format, tokens)})


# ---------------------------------------------------------------------------------------------------------------------


class _Builder:
    """Joins turns into one row as long as each prompt goes on from what stands already; else begins another row."""

    def __init__(self, learn_prompt: bool) -> None:
        self._learn_prompt = learn_prompt
        self._rows: list[Row] = []
        self._ids: list[int] = []
        self._targets: list[int] = []
        self._parts: list[tuple[str, int]] = []

    def add(self, prompt: list[int], answer: list[int], part: str, end: int | None) -> None:
        if self._ids and prompt[: len(self._ids)] != self._ids:
            self._flush()
        known = len(self._ids)
        new = prompt[known:]
        if self._learn_prompt:
            # The position before each new prompt token predicts it; a turn's own end token keeps its place.
            if self._targets and self._targets[-1] == IGNORE and new:
                self._targets[-1] = new[0]
            self._targets += [*new[1:], IGNORE] if new else []
        else:
            self._targets += [IGNORE] * len(new)
        self._ids = list(prompt)
        if answer:
            self._targets[-1] = answer[0]
            self._targets += [*answer[1:], IGNORE if end is None else end]
            self._ids += answer
        elif end is not None:
            self._targets[-1] = end
        if self._parts and self._parts[-1][0] == part:
            self._parts.pop()
        self._parts.append((part, len(self._targets)))

    def _flush(self) -> None:
        if self._ids:
            self._rows.append(Row(tuple(self._ids), tuple(self._targets), tuple(self._parts)))
        self._ids, self._targets, self._parts = [], [], []

    def finish(self) -> list[Row]:
        self._flush()
        return self._rows


@dataclass(frozen=True)
class _Segment:
    """A run of text with one way to encode it. `pieces` alternate trusted and untrusted text, trusted first."""

    pieces: tuple[str, ...] = ()
    end: bool = False

    def encode(self, tokens: Tokens, *, after: bool) -> list[int]:
        if self.end:
            return [tokens.end_id]
        trusted = self.pieces[::2]
        if not any(_has_control(piece, tokens) for piece in trusted):
            # One call for the whole, as the published weights were tuned: merges may cross the pieces.
            return tokens.encode("".join(self.pieces), control=False, after=after)
        ids: list[int] = []
        for place, piece in enumerate(self.pieces):
            if piece:
                ids += tokens.encode(piece, control=place % 2 == 0, after=after or bool(ids))
        return ids


def _has_control(text: str, tokens: Tokens) -> bool:
    return not tokens.control_ids.isdisjoint(tokens.encode(text, control=True, after=True))


def _segments(messages: Sequence[Message], chat_format: ChatFormat, tokens: Tokens, *, ask: bool) -> list[_Segment]:
    if chat_format.base_template is not None:
        return _template_segments(messages, tokens, ask=ask)
    lead = "".join(chat_format.disarm(message.content) + "\n" for message in messages if message.role == "system")
    turns = [message for message in messages if message.role != "system"]
    if chat_format.rounds and len(turns) > 1:
        return [_Segment(("", lead + chat_format.in_rounds(turns)))]
    if chat_format.follow_up is None:
        said = "".join(_said(message, chat_format) for message in turns)
        return [_Segment(("", lead, *fill(chat_format.prompt, {"instruction": said, "input": ""})))]
    out: list[_Segment] = []
    for place, message in enumerate(turns):
        if message.role == "user":
            out.append(_Segment(("", lead, *chat_format.question(message, first=place == 0))))
            lead = ""
        else:
            out += [_Segment(("", _clean(message.content, chat_format))), _Segment(end=True)]
    return out


def _said(message: Message, chat_format: ChatFormat) -> str:
    """One turn as it stands in the instruction slot of a format that keeps its history there."""
    if message.role == "assistant":
        return chat_format.history_bot + _clean(message.content, chat_format)
    extra = f"\n{chat_format.disarm(message.input)}" if message.input else ""
    return chat_format.history_user + chat_format.disarm(message.content) + extra


def _template_segments(messages: Sequence[Message], tokens: Tokens, *, ask: bool) -> list[_Segment]:
    """The base's own template, with what people said told apart from what the template says.

    The contents go through the template as placeholders, which no template reads as anything, and come back as
    untrusted pieces between the template's own, trusted text.
    """
    opening, closing = "\ue0f0", "\ue0f1"  # private-use characters; no template writes them
    slots = [
        message.model_copy(update={"content": f"{opening}{number}{closing}", "input": ""})
        for number, message in enumerate(messages)
    ]
    text = tokens.apply_template(slots, ask=ask)
    out: list[_Segment] = []
    pieces: list[str] = []
    for number, message in enumerate(messages):
        slot = f"{opening}{number}{closing}"
        if slot not in text:
            raise ModelError(f"基座自带的对话模板丢掉了第 {number + 1} 条消息（{message.role}）。请换一个对话格式。")
        before, text = text.split(slot, 1)
        content = message.content.strip() + (f"\n{message.input}" if message.input else "")
        if message.role == "assistant":
            out += [_Segment((*pieces, before)), _Segment(("", content))]
            pieces = []
        else:
            pieces += [before, content]
    out.append(_Segment((*pieces, text)))
    return [segment for segment in out if any(segment.pieces)]


def _turn_end(history: Sequence[Message], answer: Message, chat_format: ChatFormat, tokens: Tokens) -> int:
    """The token that ends this answer: the control token the base's template puts after it, else the end of text."""
    if chat_format.base_template is None:
        return tokens.end_id
    segments = _template_segments([*history, answer], tokens, ask=False)
    last = segments[-1]
    trailing = last.pieces[0] if len(last.pieces) == 1 else ""
    ids = tokens.encode(trailing, control=True, after=True)
    return ids[0] if ids and ids[0] in tokens.control_ids else tokens.end_id


def _fit_prompt(
    messages: Sequence[Message], chat_format: ChatFormat, tokens: Tokens, room: int | None
) -> tuple[list[Message], list[int]]:
    kept = list(messages)
    prompt = prompt_ids(kept, chat_format, tokens)
    while room is not None and len(prompt) > room:
        users = [place for place, message in enumerate(kept) if message.role == "user"]
        if len(users) < 2:
            break
        kept = [message for message in kept[: users[0]] if message.role == "system"] + kept[users[1] :]
        prompt = prompt_ids(kept, chat_format, tokens)
    return kept, prompt


def _assistant_places(messages: Sequence[Message]) -> list[int]:
    return [place for place, message in enumerate(messages) if message.role == "assistant"]


def _clean(answer: str, chat_format: ChatFormat) -> str:
    return chat_format.disarm(answer.strip())
