"""What denies a sign, against the regular expression that says the same and may take for ever."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bentsao.inference.safety.denials import Denials

WORDS, BETWEEN = ("没", "没有", "不"), ("有", "出现", "明显")
SLOW = re.compile(r"(?:没有|没|不)(?:[^,。;:!?\n]{1,8}[、和或及与跟]|也没有?|有|出现|明显)*$")


@given(st.lists(st.sampled_from([*WORDS, *BETWEEN, "也没", *"、和头痛,我"]), max_size=9).map("".join))
def test_denied_is_what_the_expression_says(text: str) -> None:
    assert Denials(WORDS, BETWEEN).reach_the_end(text) == bool(SLOW.search(text))
