"""Prompts: a text with a part for the system and one for the user, divided by a line `===`.

`$name` is filled in; what is filled in is never read for further names.
"""

from __future__ import annotations

from string import Template

from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_text
from bentsao.models.remote.exchange import Turn


def fill(prompt: str, values: dict[str, str]) -> tuple[Turn, ...]:
    """The messages of a prompt. Raises ConfigError where it names something that there is no value for."""
    system, divided, user = prompt.partition("\n===\n")
    if not divided:
        system, user = "", prompt
    try:
        texts = [Template(text).substitute(values).strip() for text in (system, user)]
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"提示词里有不认识的 $ 名称：{error}。可用：{'、'.join('$' + name for name in values)}。"
        ) from None
    turns = [Turn("system", texts[0]), Turn("user", texts[1])]
    return tuple(turn for turn in turns if turn.content)


def fenced(data: str, label: str = "资料") -> str:
    """Data between marks that it cannot contain, since they are made of its own hash."""
    mark = f"{label}-{sha256_text(data)[:8]}"
    return f"<{mark}>\n{data}\n</{mark}>"


def one_line(text: str) -> str:
    """On one line, so that a name cannot write lines of its own into the prompt."""
    return " ".join(text.split())
