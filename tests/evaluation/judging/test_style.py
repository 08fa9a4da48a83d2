"""What is taken away before judging, and what must never be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentsao.evaluation.judging.style import Style, alike, without_disclaimers
from bentsao.inference.notice import NOTICE


def test_markdown_blank_lines_and_marks_go() -> None:
    text = "## 偏头痛\n\n\n- **头痛**[1]\n- 恶心[2]\n\n> 见[指南](http://x.y/z)\n\n---\n"
    text += "| 药 | 量 |\n|---|---|\n`布洛芬` *慎用*\n"
    assert alike(text) == "偏头痛\n头痛\n恶心\n见指南\n| 药 | 量 |\n布洛芬 慎用"
    kept = Style(markdown=False, blank_lines=False, marks=False, disclaimers=False)
    assert alike(text, kept) == text.strip()


def test_two_styles_become_one() -> None:
    assert alike("1. **多休息**\n\n2. *多喝水*[3]") == alike("1. 多休息\n2. 多喝水")


@pytest.mark.parametrize(
    "notice",
    [
        "以上内容仅供参考。",
        "本回答由AI生成，不构成医疗建议。",
        "我的回答不能替代医生的诊断。",
        NOTICE.partition("。")[0] + "。",
    ],
)
def test_standing_notices_go(notice: str) -> None:
    assert without_disclaimers(f"多喝水。{notice}") == "多喝水。"


@pytest.mark.parametrize(
    "advice",
    [
        "以上仅供参考，如胸痛持续请立即拨打120。",
        "请及时就医，由医生当面诊断。",
        "我不能替代医生，但这种情况要马上去急诊。",
        "偏方仅供参考，不要自行停药。",
        "我不能给您开处方。",
    ],
)
def test_advice_stays(advice: str) -> None:
    assert without_disclaimers(advice) == advice


@settings(max_examples=1000)
@given(st.text(alphabet="好*_#`>-[](1)|\n 。2.", max_size=60))
def test_no_word_is_lost(text: str) -> None:
    assert alike(text, Style(marks=False)).count("好") == text.count("好")
