"""What stands in the fences of other languages than the shell's holds: it is run, read or rendered.

Python in extend.md has test_extend.py; the commands in Dockerfile and service file are read with the shell's.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bentsao.core.formats import load_format
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from tests.docs.fences import PAGES, ROOT, fences
from tests.doubles import CONTROLS, END_ID, START_ID, CharTokens

PYTHON = [(page, code) for page in PAGES for _, code in fences(page, re.compile("python"))]


def only(page: str, language: str, holding: str = "") -> str:
    """The one fence of a page in a language, with these words in it."""
    (text,) = [text for _, text in fences(ROOT / "docs" / page, re.compile(language)) if holding in text]
    return text


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[f"{page.name}-{n}" for n, (page, _) in enumerate(PYTHON)])
def test_python_is_python(page: Path, code: str) -> None:
    if re.match(r"# the line in [A-Z]+\n", code):
        code = f"{{\n{code}}}"  # an entry of a dict
    ast.parse(code, page.name)


def test_the_detector_says_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    code = only("page.md", "python", "look(")
    found: dict[str, Any] = {}
    exec(code.replace("caution(", "said = caution("), found)
    ((kind, word),) = re.findall(r"# \('(.+?)',\) \('(.+?)', …\)", code)
    assert found["alarm"].kinds == (kind,)
    assert found["alarm"].words[0] == word
    assert "120" in capsys.readouterr().out
    assert found["said"]


TALKS = [
    [Message(role="user", content="感冒怎么办？")],
    [Message(role="system", content="你是医生。"), Message(role="user", content=" 头痛 \n")],
    [
        Message(role="user", content="一"),
        Message(role="assistant", content="二。"),
        Message(role="user", content="三"),
    ],
]


@pytest.mark.parametrize("talk", TALKS, ids=["one", "system", "turns"])
def test_the_chat_template_writes_the_format_plain(talk: list[Message]) -> None:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(only("deploy.md", "jinja"))
    written = template.render(messages=talk, bos_token=CONTROLS[START_ID], eos_token=CONTROLS[END_ID])
    tokens = CharTokens()
    assert tokens.encode(written, control=True, after=True) == prompt_ids(talk, load_format("plain"), tokens)


def test_the_format_of_the_page_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "completion.json").write_text(only("evaluation.md", "json"), encoding="utf-8")
    tokens = CharTokens()
    said = prompt_ids(
        [Message(role="user", content="题目。\n答案：")], load_format(str(tmp_path / "completion.json")), tokens
    )
    assert said == [*tokens.start_ids, *tokens.encode("题目。\n答案：", control=False, after=False)]
