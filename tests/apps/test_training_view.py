"""What a person sees of a run: the losses by part, and every character of a previewed row."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from bentsao.apps.training_view import TrainingView, account_table, preview
from bentsao.core.formats import FORMATS
from bentsao.core.records import Message
from bentsao.core.rendering import IGNORE, Row, render
from bentsao.models.tokens import HFTokens
from bentsao.tuning.job import EvalRecord, StepRecord
from bentsao.tuning.rows import Account
from tests.doubles import tiny_tokenizer


def shown(view: TrainingView) -> str:
    assert isinstance(view.console.file, io.StringIO)
    return view.console.file.getvalue()


def a_view() -> TrainingView:
    return TrainingView(Console(file=io.StringIO(), width=200))


def test_losses_are_shown_by_part_where_there_are_several() -> None:
    view = a_view()
    view.step(StepRecord(1, 2, 0.5, 2.0, 1e-3, 1.0, 100, 10, 1.0, {"entity": 1.5, "answer": 2.5}))
    view.evaluated(EvalRecord(1, 2.25, 8, {"entity": 1.25, "answer": 2.75}))
    first, second = shown(view).splitlines()
    assert "损失 2.000：实体（L_e） 1.500，依据资料的回答（L_r） 2.500" in first
    assert "验证损失 2.2500：实体（L_e） 1.250，依据资料的回答（L_r） 2.750（8 行）" in second


def test_a_long_validation_is_seen_to_move(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("bentsao.apps.training_view.time.monotonic", lambda: now[0])
    view = a_view()
    for done in range(1, 31):
        now[0] += 1
        view.validating(done, 30)
    assert shown(view).splitlines() == ["· 验证 10/30 行", "· 验证 20/30 行", "· 验证 30/30 行"]


def test_one_part_is_not_named() -> None:
    view = a_view()
    view.step(StepRecord(1, 2, 0.5, 2.0, 1e-3, 1.0, 100, 10, 1.0, {}))
    view.evaluated(EvalRecord(1, 2.25, 8, {}))
    view.console.print(account_table(Account(learnt_by_part={"instruction": 5}), Account()))
    assert "L_" not in shown(view)


def test_learnt_tokens_are_counted_by_part() -> None:
    view = a_view()
    train = Account(learnt_tokens=9, learnt_by_part={"instruction": 4, "answer": 5})
    view.prepared(train, Account(learnt_tokens=3, learnt_by_part={"instruction": 3}))
    lines = [line.split("│")[1:4] for line in shown(view).splitlines() if "其中" in line]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["其中 指令（L_it）", "4", "3"],
        ["其中 依据资料的回答（L_r）", "5", "0"],
    ]


def coloured(row: Row, tokens: HFTokens) -> tuple[str, str]:
    """The previewed row as (all text, text shown as learnt)."""
    text = preview([row], ["a"], tokens)
    body = text.plain.split("学 ")[1].split("\n", 1)[1].split("\n\n绿色")[0]
    start = text.plain.index(body)
    green = "".join(text.plain[max(span.start, start) : span.end] for span in text.spans if "green" in str(span.style))
    return body, green


def test_a_replacement_character_that_people_wrote_hides_nothing() -> None:
    tokens = HFTokens(tiny_tokenizer(start=False))
    said = [Message(role="user", content="甲\ufffd怎么办"), Message(role="assistant", content="吃药\ufffd休息魑")]
    (row,) = render(said, FORMATS["plain"], tokens).rows
    body, green = coloured(row, tokens)
    assert body.replace("⏎\n", "\n") == "问：甲\ufffd怎么办\n答：吃药\ufffd休息魑⟨<eos>⟩"
    assert green.startswith("吃药\ufffd休息魑")


def test_half_a_character_before_an_end_stays_in_its_place() -> None:
    tokens = HFTokens(tiny_tokenizer(start=False))
    half = tokens.encode("魑")[:2]
    ids = (*half, tokens.end_id, *tokens.encode("好"), *half)
    row = Row(ids, (IGNORE,) * len(ids))
    body, _ = coloured(row, tokens)
    assert re.sub("\ufffd+", "\ufffd", body) == "\ufffd<eos>好\ufffd"
