"""Many questions → a file of answers, by a model behind an OpenAI-style API; as `batch.py` does it for an engine.

Beside the answers stands a journal of all calls (`OUT.calls.jsonl`), so that no reply is paid for twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from bentsao.core.records import Answer, Question, Record
from bentsao.inference.journal import Journal
from bentsao.models.remote.budget import Budget, BudgetReachedError, Prices
from bentsao.models.remote.calling import Caller, GivenUpError, Patience
from bentsao.models.remote.client import Client, Endpoint
from bentsao.models.remote.exchange import OUTPUT_LIMITS, Reply, Request, Turn
from bentsao.models.remote.journal import Journal as Calls
from bentsao.models.remote.limits import Limits


class RemoteModel(Record):
    """A model behind an API, and how it may be asked.

    temperature: None leaves it to the server. limit_name: what the server calls the limit of a reply's tokens. extra:
    further parameters of the API. requests_per_minute, tokens_per_minute, max_tokens, max_money: None is no limit;
    the last two are for all that a journal of calls holds.
    """

    endpoint: Endpoint
    model: str
    temperature: float | None = 0.0
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: dict[str, Any] = Field(default_factory=dict)
    concurrency: int = Field(default=8, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, ge=0)
    max_money: float | None = Field(default=None, ge=0)
    prices: Prices = Prices()
    patience: Patience = Patience()

    @field_validator("extra")
    @classmethod
    def _leaves_ours_alone(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if ours := sorted(extra.keys() & {"model", "messages", "stream", "n", *OUTPUT_LIMITS}):
            raise ValueError(f"不能另设 {'、'.join(ours)}")
        return extra

    @property
    def name(self) -> str:
        """What identifies it: the model as the server calls it, and where the server is."""
        return f"{self.model} @ {self.endpoint.base_url}"

    def request(self, question: Question, max_new_tokens: int) -> Request:
        """The call that asks a question."""
        turns = tuple(
            Turn(message.role, f"{message.content}\n{message.input}" if message.input else message.content)
            for message in question.messages
        )
        parameters: dict[str, Any] = {self.limit_name: max_new_tokens}
        if self.temperature is not None:
            parameters["temperature"] = self.temperature
        return Request(self.model, turns, {**parameters, **self.extra})


def answer_remotely(
    model: RemoteModel,
    questions: Sequence[Question],
    out: Path,
    max_new_tokens: int,
    *,
    restart: bool = False,
    progress: Callable[[float, int], None] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Answer]:
    """Answer the questions into `out` (JSON lines of Answer), both in the questions' order.

    A question that gets no reply becomes an Answer with finish "error", which another run asks again. The other
    arguments, the journal and the errors are those of `batch.answer_all`. Raises RemoteError where the server will
    answer none, and BudgetReachedError; what was answered is kept then.
    """
    settings = {
        "engine": model.name,
        "temperature": model.temperature,
        "max_new_tokens": max_new_tokens,
        **{f"extra.{name}": value for name, value in model.extra.items()},
    }
    journal = Journal(Answer, out, settings, questions, restart=restart)
    if journal.answers:
        report(journal.resumed)
    kept = out.with_name(out.name + ".calls.jsonl")
    if restart:
        kept.unlink(missing_ok=True)
    with Calls(kept) as calls:
        left = [question for question in questions if question.id not in journal.answers]
        tell = progress or (lambda _done, _all: None)
        tell(len(journal.answers), len(questions))
        asked = [(question, model.request(question, max_new_tokens)) for question in left]
        asyncio.run(_ask_all(model, asked, calls, journal, lambda done: tell(done, len(questions))))
        spent = calls.run.used
        money = model.prices.money(spent)
        cost = "" if money is None else f"，花费 {money:.4f}"
        report(f"调用 {calls.run.calls} 次，用去 {spent.total:,} token{cost}。")
    return journal.close()


async def _ask_all(
    model: RemoteModel,
    asked: Sequence[tuple[Question, Request]],
    calls: Calls,
    journal: Journal[Answer],
    tell: Callable[[int], None],
) -> None:
    budget = Budget(model.max_tokens, model.max_money, model.prices, calls.charged)
    limits = Limits(model.requests_per_minute, model.tokens_per_minute)
    errors: list[BaseException] = []
    queue = iter(asked)
    async with Client(model.endpoint.model_copy(update={"connections": model.concurrency})) as client:
        caller = Caller(client, calls, budget, limits, model.patience)

        async def work() -> None:
            while not errors and (pair := next(queue, None)) is not None:
                question, request = pair
                started = time.perf_counter()
                try:
                    reply = await caller.ask(request)
                    answer = _answer(question, reply, time.perf_counter() - started)
                except GivenUpError as error:
                    answer = _failed(question, f"{error.reason}：{error.detail}")
                except Exception as error:
                    errors.append(error)
                    return
                journal.append([answer])
                tell(len(journal.answers))

        await asyncio.gather(*(work() for _ in range(min(model.concurrency, len(asked)))))
    # A budget that is reached is the reason, whatever else the calls that were out came to.
    for error in sorted(errors, key=lambda error: not isinstance(error, BudgetReachedError))[:1]:
        raise error


def _answer(question: Question, reply: Reply, seconds: float) -> Answer:
    if reply.finish in {"empty", "unreadable"}:
        return _failed(question, f"不能读的回答：{reply.text[:80]}")
    return Answer(
        id=question.id,
        question=question.text,
        text=reply.text.strip(),
        reference=question.reference,
        finish="length" if reply.finish == "length" else "end",
        tokens=reply.output_tokens,
        seconds=seconds,
    )


def _failed(question: Question, error: str) -> Answer:
    return Answer(
        id=question.id, question=question.text, text="", reference=question.reference, finish="error", error=error
    )
