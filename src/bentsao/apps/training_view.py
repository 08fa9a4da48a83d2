"""What a person sees of a tuning run: the account of the data, a progress bar, losses, and what is learnt."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bentsao.apps.terminal import printable
from bentsao.core.grounding import PARTS
from bentsao.core.rendering import IGNORE, Row
from bentsao.models.tokens import HFTokens
from bentsao.tuning.job import EvalRecord, StepRecord
from bentsao.tuning.rows import Account

REASONS = {
    "prompt_too_long": "问题已超过 cutoff，没有地方放回答",
    "answer_too_long": "问题与回答合起来超过 cutoff",
    "answer_cut": "回答被截到 cutoff（不学结束符）",
}


class TrainingView:
    """Shows a run on a terminal; where there is none, a line now and then. Fulfils `RunReporter`."""

    EVERY = 10.0
    """Seconds between lines where there is no terminal to draw a bar on."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None
        self._validation: TaskID | None = None
        self._last_line = time.monotonic()
        self._seconds: list[float] = []
        self.step_records: list[StepRecord] = []
        self.eval_records: list[EvalRecord] = []

    def __enter__(self) -> TrainingView:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """A line for the user."""
        self.console.print(f"· {printable(text)}", markup=False, highlight=False)

    def tokenising(self, done: int, rows: int) -> None:
        """How far rendering is; shown only where it takes long enough to wait for."""
        if done and rows > 5000 and done % 2000 == 0:
            self.note(f"分词 {done}/{rows}")

    def prepared(self, train: Account, valid: Account) -> None:
        """The table of what is learnt, and what is not and why."""
        self.console.print(account_table(train, valid))

    def step(self, record: StepRecord) -> None:
        """Moves the bar."""
        self.step_records.append(record)
        self._seconds.append(record.seconds)
        speed = record.tokens / record.seconds if record.seconds else 0.0
        left = median(self._seconds[-20:]) * (record.steps - record.step)
        loss = f"损失 {record.loss:.3f}{_by_part(record.by_part)}"
        detail = f"{loss}  {speed:.0f} token/s  还需 {_duration(left)}"
        if self._task is None:
            self._task = self._progress.add_task("训练", total=record.steps, detail=detail)
        self._progress.update(self._task, completed=record.step, detail=detail)
        if self._progress.disable and self._due(now=record.step in (1, record.steps)):
            self.note(f"第 {record.step}/{record.steps} 步  {detail}")

    def validating(self, done: int, rows: int) -> None:
        """A bar of its own, gone when the validation is."""
        if self._validation is None:
            self._validation = self._progress.add_task("验证", total=rows, detail="")
        self._progress.update(self._validation, completed=done)
        if self._progress.disable and self._due():
            self.note(f"验证 {done}/{rows} 行")

    def evaluated(self, record: EvalRecord) -> None:
        """A line for each validation."""
        if self._validation is not None:
            self._progress.remove_task(self._validation)
            self._validation = None
        self.eval_records.append(record)
        parts = _by_part(record.by_part)
        self.note(f"第 {record.step} 步  验证损失 {record.loss:.4f}{parts}（{record.rows} 行）")

    def _due(self, *, now: bool = False) -> bool:
        """Whether a line may be printed: `EVERY` seconds after the last, or `now`."""
        at = time.monotonic()
        if not now and at - self._last_line < self.EVERY:
            return False
        self._last_line = at
        return True

    def saved(self, step: int) -> None:
        """Checkpoints are silent; they are told of when one is resumed from."""


def account_table(train: Account, valid: Account) -> Table:
    """What became of the data, as a table with a column for each part."""
    table = Table("", "训练", "验证", title="数据", title_justify="left")
    for label, name in (
        ("对话", "conversations"),
        ("回答（轮）", "turns"),
        ("学到的回答（轮）", "learnt_turns"),
        ("行", "rows"),
        ("token", "tokens"),
        ("学到的 token", "learnt_tokens"),
        ("最长一行", "longest"),
        ("因太长去掉早先几轮历史的回答", "dropped_history"),
    ):
        table.add_row(label, f"{getattr(train, name):,}", f"{getattr(valid, name):,}")
        if name == "learnt_tokens":
            _add_parts(table, train, valid)
    for kind, part in (("拒绝", "refused"), ("截断", "cut")):
        reasons = {**getattr(train, part), **getattr(valid, part)}
        for reason in reasons:
            counts = [f"{getattr(account, part).get(reason, 0):,}" for account in (train, valid)]
            table.add_row(f"{kind}：{REASONS.get(reason, reason)}", *counts)
        if not reasons:
            table.add_row(kind, "0", "0")
    return table


def _add_parts(table: Table, train: Account, valid: Account) -> None:
    """The learnt tokens by part, where there is more than one."""
    present = [part for part in PARTS if part in train.learnt_by_part or part in valid.learnt_by_part]
    for part in present if len(present) > 1 else []:
        counts = [f"{account.learnt_by_part.get(part, 0):,}" for account in (train, valid)]
        table.add_row(f"  其中 {PARTS[part]}", *counts)


def _by_part(losses: Mapping[str, float]) -> str:
    """The losses by part for a line of text; nothing where there are none."""
    shown = "，".join(f"{PARTS[part]} {loss:.3f}" for part, loss in losses.items())
    return f"：{shown}" if shown else ""


def preview(rows: Sequence[Row], ids: Sequence[str], tokens: HFTokens) -> Text:
    """Rows with each token coloured by whether it is learnt: green is learnt, grey is only read; ⏎ shows line ends.

    Neighbouring tokens are underlined by turns, so that their borders can be seen; a token that is part of a
    character is shown together with the rest of it. An end that is learnt but not read (it is the last thing of its
    row) stands in brackets.
    """
    text = Text()
    for row, name in zip(rows, ids, strict=True):
        learnt = row.learnt
        text.append(f"── {name}：{len(row.ids)} token，学 {learnt}\n", style="bold")
        # Token i is learnt if the position before it has it as its target.
        known = [False, *(t != IGNORE for t in row.targets[:-1])]
        for place, (piece, is_learnt) in enumerate(_pieces(row, known, tokens)):
            colour = "green" if is_learnt else "bright_black"
            text.append(printable(piece).replace("\n", "⏎\n"), style=f"{colour} underline" if place % 2 else colour)
        if row.targets[-1] != IGNORE:
            text.append(f"⟨{_name(row.targets[-1], tokens)}⟩", style="bold green")
        text.append("\n\n")
    text.append("绿色：学习　灰色：只读　⟨⟩：要学会在此结束\n", style="italic")
    return text


def _pieces(row: Row, known: Sequence[bool], tokens: HFTokens) -> list[tuple[str, bool]]:
    """The row's text in pieces of whole characters, each with whether it is learnt."""
    out: list[tuple[str, bool]] = []
    pending: list[int] = []
    for place, token in enumerate(row.ids):
        if token in tokens.control_ids:
            out.append((_name(token, tokens), known[place]))
            continue
        pending.append(token)
        piece = tokens.decode(pending)
        following = place + 1
        goes_on = (
            following < len(row.ids)
            and row.ids[following] not in tokens.control_ids
            and known[following] == known[place]
        )
        # U+FFFD at the end is the beginning of a character, unless somebody wrote one.
        if not (piece.endswith("\ufffd") and goes_on):
            out.append((piece, known[place]))
            pending = []
    return out


def _name(token: int, tokens: HFTokens) -> str:
    return str(tokens.tokenizer.convert_ids_to_tokens(token))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
