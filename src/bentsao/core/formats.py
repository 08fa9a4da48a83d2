"""Chat formats: the words around what user and model say.

A format is data. Tuning stores the one it used in the adapter folder, and inference reads it from there, so the two
cannot drift apart. How a format becomes token ids is `rendering.py`'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bentsao.core.errors import ConfigError, DataError, Fault, MissingError
from bentsao.core.files import read_json_object, sha256_text
from bentsao.core.records import Message, Record

FILE_NAME = "chat_format.json"
"""The format's name in an adapter folder."""


class ChatFormat(Record):
    """How messages become text.

    Slots are `{instruction}` and `{input}`; other braces are text. With `base_template` set, the base model's own chat
    template is used, everything else is empty and `base_template` holds its text as it was when the adapter was
    tuned.

    prompt: a first question up to where the answer begins.
    prompt_input: the same where the question has an input; None puts the input on a line after the instruction.
    follow_up: a later question, after the previous answer and its end token. None: earlier turns are written into the
        instruction slot, as `history_user` and `history_bot` say.
    history_user, history_bot: what stands before each side's words there (empty: nothing).
    rounds: each turn where there are several, up to where its answer begins, with `{round}` for its number from 0; the
        answer and a line break follow, and the whole is one text. Empty: as `follow_up` says.
    marks: texts that would read as structure if a user wrote them; a leading line break means "at the start of a line".
    source: who made it, for formats from elsewhere.
    """

    name: str
    prompt: str = ""
    prompt_input: str | None = None
    follow_up: str | None = None
    history_user: str = ""
    history_bot: str = ""
    rounds: str = ""
    marks: tuple[str, ...] = ()
    source: str = ""
    base_template: str | None = None

    @property
    def hash(self) -> str:
        """Identifies the format by all that changes tokens; the name and the source do not."""
        # Without what later versions added and this format has not: adapters of before keep their hash.
        unused = set() if self.rounds else {"rounds"}
        return sha256_text(self.model_dump_json(exclude={"name", "source", *unused}))[:16]

    def question(self, message: Message, *, first: bool) -> tuple[str, ...]:
        """A user's message with the words around it, up to where the answer begins.

        In pieces, by turns the format's own text and what the user said, the format's first.
        """
        template = self.prompt if first or self.follow_up is None else self.follow_up
        content, extra = self.disarm(message.content), self.disarm(message.input)
        if extra and first and self.prompt_input is not None:
            template = self.prompt_input
        if extra and "{input}" not in template:
            content = f"{content}\n{extra}"
        return fill(template, {"instruction": content, "input": extra})

    def in_rounds(self, turns: Sequence[Message]) -> str:
        """All turns as `rounds` says, up to where the last answer begins."""
        said: list[str] = []
        asked = 0
        for message in turns:
            if message.role == "assistant":
                said.append(self.disarm(message.content.strip()) + "\n")
                continue
            extra = f"\n{self.disarm(message.input)}" if message.input else ""
            slots = {"instruction": self.disarm(message.content) + extra, "input": ""}
            said += fill(self.rounds.replace("{round}", str(asked)), slots)
            asked += 1
        return "".join(said)

    def disarm(self, text: str) -> str:
        """The text with every turn mark broken by a space, so that it reads as words and not as structure."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        for mark in self.marks:
            core = mark.strip()
            where = r"(?m)^([ \t]*)" if mark.startswith("\n") else "()"
            text = re.sub(where + re.escape(core), lambda m, c=core: f"{m[1]}{c[0]} {c[1:]}", text)
        return text


def fill(template: str, values: dict[str, str]) -> tuple[str, ...]:
    """A template's text and the values of its slots by turns, so that a `{input}` in a value is never filled."""
    parts = re.split(r"\{(instruction|input)\}", template)
    return tuple(values[part] if place % 2 else part for place, part in enumerate(parts))


_ORIGINAL = "SCIR-HI/Huatuo-Llama-Med-Chinese, Apache-2.0"
_ALPACA = "tatsu-lab/stanford_alpaca, Apache-2.0"
_MED_LEAD = "下面是一个问题，运用医学知识来正确回答提问.\n"

FORMATS: dict[str, ChatFormat] = {
    "plain": ChatFormat(
        name="plain",
        prompt="问：{instruction}\n答：",
        follow_up="\n问：{instruction}\n答：",
        marks=("\n问：", "\n答："),
    ),
    "med_template": ChatFormat(
        name="med_template",
        prompt=_MED_LEAD + "### 问题:\n{instruction}\n### 回答:\n",
        follow_up="\n### 问题:\n{instruction}\n### 回答:\n",
        marks=("### 问题:", "### 回答:"),
        source=_ORIGINAL,
    ),
    "bloom_deploy": ChatFormat(
        name="bloom_deploy",
        prompt=_MED_LEAD + "{instruction}\n### 回答：\n",
        follow_up="\n{instruction}\n### 回答：\n",
        marks=("### 回答：",),
        source=_ORIGINAL,
    ),
    "literature_template": ChatFormat(
        name="literature_template",
        prompt="以下是描述任务的说明，编写适当地回复完成请求的响应。\n\n ### 说明:\n{instruction}\n\n### 回复:\n",
        history_user=" <user>: ",
        history_bot=" <bot>: ",
        marks=("### 说明:", "### 回复:", "<user>:", "<bot>:"),
        source=_ORIGINAL,
    ),
    "alpaca": ChatFormat(
        name="alpaca",
        prompt="Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\n{instruction}\n\n### Response:\n",
        prompt_input="Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n"
        "### Input:\n{input}\n\n### Response:\n",
        follow_up="\n\n### Instruction:\n{instruction}\n\n### Response:\n",
        marks=("### Instruction:", "### Input:", "### Response:"),
        source=_ALPACA,
    ),
    "chatglm": ChatFormat(
        name="chatglm",
        prompt="{instruction}",
        rounds="[Round {round}]\n问：{instruction}\n答：",
        marks=("[Round", "\n问：", "\n答："),
        source="THUDM/ChatGLM-6B, Apache-2.0",
    ),
    "chatglm_med": ChatFormat(
        name="chatglm_med",
        prompt="问题：{instruction}\n回答: ",
        rounds="[Round {round}]\n问题：{instruction}\n回答: ",
        marks=("[Round", "\n问题：", "\n回答:"),
        source="SCIR-HI/Med-ChatGLM, Apache-2.0",
    ),
}
"""The formats by name; add one here. `base` (the base's own chat template) is made by `from_base`."""


def from_base(template: str) -> ChatFormat:
    """The format that uses a base model's own chat template; `template` is its text."""
    return ChatFormat(name="base", base_template=template)


_THINKING = "{%- set enable_thinking = true -%}"
"""Before a template, it overrides what the renderer sets, which is that models answer without thinking first."""


def from_base_thinking(template: str) -> ChatFormat:
    """The same for bases that can think before they answer (Qwen3), with thinking on."""
    return ChatFormat(name="base-thinking", base_template=_THINKING + template)


def load_format(name_or_path: str) -> ChatFormat:
    """A built-in format by name, or one from a file: our own stored form, or the original's template JSON.

    Raises ConfigError for a name that is neither, DataError for a faulty file.
    """
    if name_or_path in FORMATS:
        return FORMATS[name_or_path]
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        known = "、".join([*FORMATS, "base", "base-thinking"])
        raise ConfigError(f"没有名为 {name_or_path!r} 的对话格式。可用：{known}，或一个模板 JSON 文件的路径。")
    if not path.is_file():
        raise MissingError(f"找不到对话格式文件 {path}。")
    value = read_json_object(path)
    if "prompt_no_input" in value or ("prompt_input" in value and "prompt" not in value):
        return _from_original(path, value)
    try:
        stored = ChatFormat.model_validate(value)
    except ValueError as error:
        raise DataError([Fault(str(path), None, "模板", sorted(value), f"不是对话格式：{error}")]) from None
    templates = {key: getattr(stored, key) for key in ("prompt", "prompt_input", "follow_up")}
    templates["rounds"] = stored.rounds or None
    faults = [
        Fault(str(path), None, key, text, "缺少 {instruction}，问题没有地方放。")
        for key, text in templates.items()
        if text is not None and "{instruction}" not in text
    ]
    if faults and stored.base_template is None:
        raise DataError(faults)
    return stored


def _from_original(path: Path, value: dict[str, Any]) -> ChatFormat:
    """The original's JSON form: prompt_input, prompt_no_input, response_split; `prompt_follow_up` is ours, optional."""
    known = {"description", "prompt_input", "prompt_no_input", "response_split", "prompt_follow_up"}
    faults = [Fault(str(path), None, key, value[key], "不认识的字段。") for key in sorted(value.keys() - known)]
    faults += [
        Fault(str(path), None, key, value[key], "应是字符串。")
        for key in sorted(value.keys() & known)
        if not isinstance(value[key], str)
    ]
    prompt = value.get("prompt_no_input") or value.get("prompt_input", "")
    follow_up = value.get("prompt_follow_up")
    for key in ("prompt_no_input", "prompt_input", "prompt_follow_up"):
        if isinstance(value.get(key), str) and value[key] and "{instruction}" not in value[key]:
            faults.append(Fault(str(path), None, key, value[key], "缺少 {instruction}。"))
    if faults:
        raise DataError(faults)
    with_input: str | None = value.get("prompt_input")
    literal = re.split(r"\{instruction\}|\{input\}", "\n".join(filter(None, [prompt, with_input, follow_up])))
    lines = {line.strip() for part in literal for line in part.split("\n")}
    return ChatFormat(
        name=path.stem,
        prompt=prompt,
        prompt_input=with_input if with_input and "{input}" in with_input else None,
        follow_up=follow_up or "\n" + prompt,
        marks=tuple(sorted("\n" + line for line in lines if len(line) > 1)),
    )
