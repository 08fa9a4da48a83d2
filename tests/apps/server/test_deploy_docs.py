"""The chat template that docs/deploy.md gives for other servers says what our renderer says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from bentsao.core.formats import FORMATS
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from tests.doubles import CharTokens

DEPLOY = Path(__file__).parents[3] / "docs" / "deploy.md"

SAID = [
    [("user", "头痛")],
    [("system", "简短回答"), ("user", "头痛")],
    [("system", "简短"), ("user", "头痛"), ("assistant", " 多久了？ "), ("user", "三天")],
]


@pytest.mark.parametrize("said", SAID)
def test_the_template_for_plain_is_the_format(said: list[tuple[str, str]]) -> None:
    (template,) = re.findall(r"```jinja\n(.*?)\n```", DEPLOY.read_text(encoding="utf-8"), re.DOTALL)
    messages = [{"role": role, "content": text} for role, text in said]
    text = Environment().from_string(template).render(messages=messages, bos_token="<bos>", eos_token="<eos>")
    tokens = CharTokens()
    ours = [Message.model_validate(message) for message in messages]
    assert tokens.encode(text, control=True) == prompt_ids(ours, FORMATS["plain"], tokens)
