"""What a person sees of a run: losses by part where there are several, and none where there is one."""

from __future__ import annotations

import io

from rich.console import Console

from bentsao.apps.training_view import TrainingView, account_table
from bentsao.tuning.loop import EvalRecord, StepRecord
from bentsao.tuning.rows import Account


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
