"""What a request asks of a model: to write on, to weigh what is written, to answer from the knowledge base."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bentsao.apps.server.batching import Job
from bentsao.apps.server.stopping import StopText
from bentsao.core.errors import BentsaoError
from bentsao.core.records import Message
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, MemoryShortageError, Scorer, Weight
from bentsao.inference.grounded import Answerer, GroundedAnswer, GroundedQuestion
from bentsao.inference.grounded.session import question_of


@dataclass(frozen=True)
class Written:
    """What a model wrote. finish: "stop" at its own end or a stop word, "length" where it was cut."""

    text: str
    ids: tuple[int, ...]
    finish: Literal["stop", "length"]


class Writing(Job):
    """Continue a prompt. Told: pieces of the text, then Written.

    stops: words that end the text, which they are left out of. trim: without blanks around. seeded: whether the
    decoding's seed was asked for; else each batch draws anew.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        decoding: Decoding,
        tell: Callable[[Any], None],
        *,
        stops: Sequence[str] = (),
        trim: bool = False,
        seeded: bool = False,
    ) -> None:
        # A seed counts for a batch as a whole, so one that was asked for goes alone.
        alone = id(self) if seeded and decoding.temperature > 0 else None
        super().__init__(("write", decoding, alone), len(prompt), decoding.max_new_tokens, tell)
        self.prompt = prompt
        self.decoding = decoding
        self.seeded = seeded
        self._pieces: list[str] = []
        self._text = StopText(stops, self._pass_on, trim=trim)
        self._ended = False

    def add(self, piece: str) -> None:
        """A piece that the model wrote."""
        self._text.add(piece)

    @property
    def unwanted(self) -> bool:
        """Whether the model need not write on."""
        return self._text.stopped or self.off.is_set()

    @property
    def begun(self) -> bool:
        """Whether a piece was told."""
        return bool(self._pieces)

    def done(self, generated: Generated) -> None:
        """The model has ended."""
        self._text.end()
        stopped = self._text.stopped or generated.finish == "end"
        self.tell(Written("".join(self._pieces), generated.ids, "stop" if stopped else "length"))

    def _pass_on(self, piece: str) -> None:
        self._pieces.append(piece)
        self.tell(piece)


class Weighing(Job):
    """How likely what is written is after a prompt. Told: its Weight."""

    def __init__(self, prompt: Sequence[int], written: Sequence[int], tell: Callable[[Any], None]) -> None:
        super().__init__("weigh", len(prompt) + len(written), 0, tell)
        self.prompt = prompt
        self.written = written


class Grounded(Job):
    """Answer a conversation's last question from the knowledge base. Told: a GroundedAnswer."""

    def __init__(self, messages: Sequence[Message], decoding: Decoding, tell: Callable[[Any], None]) -> None:
        # Prompts are made on the way; their facts are of about this many tokens.
        super().__init__(("ground", decoding), 256, decoding.max_new_tokens, tell)
        self.messages = messages
        self.decoding = decoding


def write(engine: Engine, jobs: Sequence[Writing]) -> None:
    """Do a batch of one decoding; in halves where memory runs out."""
    decoding = jobs[0].decoding
    if decoding.temperature > 0 and not jobs[0].seeded:
        decoding = decoding.model_copy(update={"seed": secrets.randbits(31)})
    try:
        found = engine.generate(
            [job.prompt for job in jobs],
            decoding,
            on_text=lambda row, piece: jobs[row].add(piece),
            called_off=lambda row: jobs[row].unwanted,
        )
    except MemoryShortageError as error:
        # What was told cannot be taken back.
        again = [job for job in jobs if not job.begun]
        for job in jobs:
            if job.begun or len(jobs) == 1:
                job.tell(error)
        for half in (again[: len(again) // 2], again[len(again) // 2 :]) if len(jobs) > 1 else ():
            if half:
                write(engine, half)
        return
    for job, generated in zip(jobs, found, strict=True):
        job.done(generated)


def weigh(engine: Engine, jobs: Sequence[Weighing]) -> None:
    """Weigh a batch: together, because texts that begin alike are read once; one by one where that fails."""
    assert isinstance(engine, Scorer)
    wanted = [job for job in jobs if not job.off.is_set()]
    try:
        found = engine.weigh([job.prompt for job in wanted], [[job.written] for job in wanted])
    except BentsaoError as error:
        if len(jobs) == 1:
            jobs[0].tell(error)
            return
        for job in wanted:
            weigh(engine, [job])
    else:
        for job, (weight,) in zip(wanted, found, strict=True):
            job.tell(weight)


def ground(answerer: Answerer, jobs: Sequence[Grounded]) -> None:
    """Answer a batch of one decoding."""
    drawing = answerer.with_decoding(jobs[0].decoding)
    questions: list[GroundedQuestion] = []
    asking: list[Grounded] = []
    for place, job in enumerate(jobs):
        try:
            questions.append(question_of(str(place), job.messages, answerer))
        except BentsaoError as error:  # of this job alone: what it answers to may be too long
            job.tell(error)
        else:
            asking.append(job)
    for job, answer in zip(asking, drawing.answer(questions), strict=True):
        job.tell(answer)


Result = Written | Weight | GroundedAnswer
"""What a job is told last, unless it is an error."""
