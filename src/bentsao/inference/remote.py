"""Many questions → a file of answers, by a model behind an OpenAI-style API; as `batch.py` does it for an engine.

Beside the answers stands a journal of all calls (`OUT.calls.jsonl`), so that no reply is paid for twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bentsao.core.records import Answer, Question
from bentsao.inference.answers import answer_to
from bentsao.inference.journal import Journal
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.budget import BudgetReachedError
from bentsao.models.remote.exchange import Reply, Request, Turn
from bentsao.models.remote.jobs import Job
from bentsao.models.remote.journal import Journal as Calls
from bentsao.models.remote.running import Ended, ask_jobs


def remote_name(asking: Asking) -> str:
    """What identifies a remote model: the model as the server calls it, and where the server is."""
    return f"{asking.model} @ {asking.endpoint.base_url}"


def answer_remotely(
    asking: Asking,
    questions: Sequence[Question],
    out: Path,
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
        "engine": remote_name(asking),
        "temperature": asking.temperature,
        "output_limit": asking.output_limit,
        **{f"extra.{name}": value for name, value in asking.extra.items()},
    }
    journal = Journal(Answer, out, settings, questions, restart=restart)
    if journal.answers:
        report(journal.resumed)
    kept = out.with_name(out.name + ".calls.jsonl")
    if restart:
        kept.unlink(missing_ok=True)
    jobs = {question.id: _job(asking, question) for question in questions if question.id not in journal.answers}
    tell = progress or (lambda _done, _all: None)
    tell(len(journal.answers), len(questions))
    started = time.perf_counter()
    with Calls(kept) as calls:
        before = len(journal.answers)
        ended = asyncio.run(
            ask_jobs(
                # Two questions in the same words are one call.
                list({job.request.key: job for job in jobs.values()}.values()),
                asking,
                calls,
                progress=lambda reached: tell(before + reached.done, len(questions)),
            )
        )
        seconds = (time.perf_counter() - started) / max(len(jobs), 1)
        asked = [question for question in questions if question.id in jobs]
        journal.append(
            [
                answer
                for question in asked
                if (answer := _answer(question, jobs[question.id].request, calls, ended, seconds))
            ]
        )
        _tell_cost(asking, calls, report)
    if ended.stopped:
        raise BudgetReachedError(ended.stopped)
    return journal.close()


def _job(asking: Asking, question: Question) -> Job[Reply]:
    """The call that asks a question; whatever comes is the answer, and it is not asked for again."""
    turns = tuple(
        Turn(message.role, f"{message.content}\n{message.input}" if message.input else message.content)
        for message in question.messages
    )
    return Job(question.id, asking.plain_request(turns), lambda reply: reply, "")


def _answer(question: Question, request: Request, calls: Calls, ended: Ended, seconds: float) -> Answer | None:
    """The answer in the journal of calls; None where the run ended before it was asked."""
    reply = calls.reply(request.key)
    if reply is None:
        given_up = ended.given_up.get(request.key)
        return None if given_up is None else answer_to(question, error=f"{given_up.reason}：{given_up.detail}")
    if reply.finish in {"empty", "unreadable"}:
        return answer_to(question, error=f"不能读的回答：{reply.text[:80]}")
    finish = "length" if reply.finish == "length" else "end"
    return answer_to(question, reply.text, finish=finish, tokens=reply.output_tokens, seconds=seconds)


def _tell_cost(asking: Asking, calls: Calls, report: Callable[[str], None]) -> None:
    spent = calls.run.used
    money = asking.prices.money(spent)
    cost = "" if money is None else f"，花费 {money:.4f}"
    report(f"调用 {calls.run.calls} 次，用去 {spent.total:,} token{cost}。")
