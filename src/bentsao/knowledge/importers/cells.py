"""Cells that tables of diseases have in common: whom it strikes, how it spreads, what it costs, how long it takes."""

from __future__ import annotations

import re
from collections.abc import Callable

from bentsao.knowledge.importers import values
from bentsao.knowledge.importers.drafting import Draft

PARENT_DEPARTMENT = "上级科室，另有更具体的科室"
NOT_OF_THIS_COLUMN = "不是这一列该有的值"
NO_AMOUNT = "没有数额"
REVERSED = "数额的上下限颠倒"

_ANYONE = re.compile(
    r"(?:各类|所有|一般)(?:的)?(?:人群?|年龄段?)|无(?:明显)?(?:特定|特殊|特发|特异)性?的?(?:发病|好发)?(?:人群?|群体)"
)
_PRONE = re.compile(r"^(?:本病)?(?:多见于|好发于|多发于|常见于|主要见于|多发生于|发生于|易发于|多发)")


def people(draft: Draft, cell: str) -> None:
    """Whom it strikes, a group a clause; the many ways to say "anyone" are one."""
    for clause in values.split_list(cell, "，,、；;。"):
        text = _PRONE.sub("", clause)
        draft.fact("多发群体", "无特定人群" if _ANYONE.fullmatch(text) else text)


_SPREADS = re.compile(r"(?:传播|传染)$")


_NO, _YES = frozenset({"无", "没有", "否", "不", "不是"}), frozenset({"有", "是"})
"""What people answer in a word."""


def infection(draft: Draft, cell: str) -> None:
    """Whether it is infectious, or the routes of transmission: the column holds the one or the other."""
    no = cell.strip() in _NO or re.search(r"(?:无|非|不具备|没有)传染性|不(?:会)?传染", cell)
    yes = cell.strip() in _YES or re.search(r"(?<!无)(?<!具备)(?<!没)有传染性", cell)
    if no and yes:
        draft.leave_out(values.SENTENCE, cell)
    elif no or yes:
        draft.fact("传染性", "无传染性" if no else "有传染性")
    else:
        for part in re.split(r"[，,、；;。/\s]+|\d[、.]", cell):
            if _SPREADS.search(part) and 3 <= len(part) <= 8 and not re.match("[不无其有口]", part):
                draft.fact("传播途径", _SPREADS.sub("传播", part))
            elif part:
                draft.leave_out(values.why_not(part) or values.SENTENCE, part)


def insurance(draft: Draft, cell: str) -> None:
    """Whether the insurance pays: in words, or yes and no."""
    answer = cell.strip()
    draft.fact("是否医保", "医保疾病" if answer in _YES else "非医保疾病" if answer in _NO else cell)


ANSWERS: dict[str, Callable[[Draft, str], None]] = {"传染性": infection, "是否医保": insurance}
"""The attributes whose value is an answer, and what becomes of it."""


def cost(draft: Draft, cell: str) -> None:
    """The amounts out of 根据不同医院，收费标准不一致，市三甲医院约（5000 —— 10000元）."""
    text = values.tidy(cell)
    if reason := values.why_not(text, running=True):
        draft.leave_out(reason, text)
        return
    amounts = re.search(r"([0-9][0-9 ]{0,9})\s*[-—－～~至]+\s*([0-9][0-9 ]{0,9})\s*(万?)元?", text)
    if not amounts:
        draft.leave_out(NO_AMOUNT, text)
        return
    low, high = (int(amounts[group].replace(" ", "")) for group in (1, 2))
    if low >= high:
        draft.leave_out(REVERSED, text)
    else:
        draft.fact("治疗费用", f"{low}~{high}{amounts[3]}元", "市三甲医院" if "三甲" in text else None)


def duration(draft: Draft, cell: str) -> None:
    """How long the treatment takes: `1--3个月` is 1~3个月."""
    text = _one_way(cell)
    if "%" in text or not re.search("[天日周月年时]|终[身生]|长期|疗程|多次|反复|随访|无需|不需|无法|不可", text):
        draft.leave_out(values.why_not(text, running=True) or NOT_OF_THIS_COLUMN, text)
    else:
        draft.fact("治疗周期", text)


def cure_rate(draft: Draft, cell: str) -> None:
    """How many are cured. Words without a figure speak of the prognosis (无法根治，对症治疗为主)."""
    text = _one_way(cell)
    if re.search(r"\d[%％]", text) and not re.search("生存|发病率|发生率|死亡|病死|男女", text):
        draft.fact("治愈率", text)
    elif re.search("[治自]愈|根治|控制|预后|愈后|不可逆", text) and not re.search(
        r"\d|(?:率|率在|约|一般|治疗)$", text
    ):
        draft.fact("预后状况", text)
    else:
        draft.leave_out(values.why_not(text, running=True) or NOT_OF_THIS_COLUMN, text)


def prevalence(draft: Draft, cell: str) -> None:
    """How often the disease occurs."""
    draft.fact("发病率", _one_way(cell))


def _one_way(cell: str) -> str:
    """Ranges written one way: `30--50%`, `30－50%` are `30~50%`."""
    return values.tidy(re.sub(r"(?<=[\d%％年月周天日个])\s*[-—－～~]+\s*(?=\d)", "~", cell))
