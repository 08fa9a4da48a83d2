"""A chat format for runtimes that know templates only: as Jinja (Hugging Face, llama.cpp) and as Ollama's Modelfile."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from bentsao.core.errors import ModelError
from bentsao.core.formats import ChatFormat, fill
from bentsao.core.records import Message
from bentsao.core.rendering import stop_ids
from bentsao.models.tokens import HFTokens

_U, _A, _V, _S = "\ue0f0", "\ue0f1", "\ue0f2", "\ue0f3"
"""Stand for what people say while a template is taken apart; private-use characters, no template writes them."""


def jinja_template(chat_format: ChatFormat, tokens: HFTokens) -> str:
    """A Jinja template that writes what `core.rendering` writes for this format, up to where the answer begins.

    What it cannot do is keep a user's words from becoming control tokens: that is the runtime's matter. Marks are
    broken by a blank where they are written exactly as the format writes them.
    """
    if chat_format.base_template is not None:
        return chat_format.base_template
    end = _text(cast(str, tokens.tokenizer.convert_ids_to_tokens(tokens.end_id)))
    system = _disarmed("m['content']", chat_format)
    lines = [
        _say(_text(tokens.tokenizer.bos_token)) if tokens.start_ids else "",
        "{%- set ns = namespace(lead='', turn=0, said='') -%}",
        "{%- for m in messages if m['role'] == 'system' -%}",
        _let("lead", f"ns.lead + {system} + '\\n'"),
        "{%- endfor -%}",
        "{%- for m in messages if m['role'] != 'system' -%}",
        *_body(chat_format, end),
        "{%- endfor -%}",
    ]
    if chat_format.rounds:
        lines.append(_say("ns.lead + ns.said"))
    elif chat_format.follow_up is None:
        lines.append(_say(f"ns.lead + {_filled(chat_format.prompt, 'ns.said')}"))
    if tokens.prompt_end_ids:
        marks = cast("list[str]", tokens.tokenizer.convert_ids_to_tokens(list(tokens.prompt_end_ids)))
        lines += ["{%- if add_generation_prompt -%}", _say(_text("".join(marks))), "{%- endif -%}"]
    return "".join(lines)


def _body(chat_format: ChatFormat, end: str) -> list[str]:
    if chat_format.rounds:
        return _rounds(chat_format)
    return _turns(chat_format, end) if chat_format.follow_up is not None else _history(chat_format)


def _rounds(chat_format: ChatFormat) -> list[str]:
    said = _disarmed("m['content']", chat_format)
    answer = _disarmed("(m['content'] | trim)", chat_format)
    parts = [_filled(part, said) for part in chat_format.rounds.split("{round}")]
    return [
        "{%- set many = messages | rejectattr('role', 'equalto', 'system') | list | length > 1 -%}",
        "{%- if m['role'] == 'user' and not many -%}",
        _let("said", _filled(chat_format.prompt, said)),
        "{%- elif m['role'] == 'user' -%}",
        _let("said", " + ".join(["ns.said", " + (ns.turn | string) + ".join(parts)])),
        _let("turn", "ns.turn + 1"),
        "{%- else -%}",
        _let("said", f"ns.said + {answer} + '\\n'"),
        "{%- endif -%}",
    ]


def _turns(chat_format: ChatFormat, end: str) -> list[str]:
    said = _disarmed("m['content']", chat_format)
    answer = _disarmed("(m['content'] | trim)", chat_format)
    return [
        "{%- if m['role'] == 'user' -%}{%- if ns.turn == 0 -%}",
        _say(f"ns.lead + {_filled(chat_format.prompt, said)}"),
        "{%- else -%}",
        _say(f"ns.lead + {_filled(chat_format.follow_up or '', said)}"),
        "{%- endif -%}",
        _let("lead", "''"),
        "{%- else -%}",
        _say(f"{answer} + {end}"),
        "{%- endif -%}",
        _let("turn", "ns.turn + 1"),
    ]


def _history(chat_format: ChatFormat) -> list[str]:
    user, bot = _text(chat_format.history_user), _text(chat_format.history_bot)
    said = _disarmed("m['content']", chat_format)
    answer = _disarmed("(m['content'] | trim)", chat_format)
    return [
        "{%- if m['role'] == 'user' -%}",
        _let("said", f"ns.said + {user} + {said}"),
        "{%- else -%}",
        _let("said", f"ns.said + {bot} + {answer}"),
        "{%- endif -%}",
    ]


def _say(expression: str) -> str:
    return "{{ " + expression + " }}"


def _let(name: str, expression: str) -> str:
    return "{%- set ns." + name + " = " + expression + " -%}"


def _filled(template: str, instruction: str) -> str:
    """A template as a Jinja expression, its question slot filled with another; the input slot stays empty."""
    parts = fill(template, {"instruction": _U, "input": ""})
    return " + ".join(instruction if part == _U else _text(part) for part in parts if part) or "''"


def _disarmed(expression: str, chat_format: ChatFormat) -> str:
    at_line = [mark for mark in chat_format.marks if mark.startswith("\n")]
    for mark in chat_format.marks:
        if mark not in at_line:
            expression += f" | replace({_text(mark)}, {_text(mark[0] + ' ' + mark[1:])})"
    if not at_line:
        return f"({expression})"
    expression = f"('\\n' + {expression})"
    for mark in at_line:
        expression += f" | replace({_text(mark)}, {_text(mark[:2] + ' ' + mark[2:])})"
    return f"({expression})[1:]"


def _text(value: object) -> str:
    """A text as a Jinja literal."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def modelfile(weights: str, chat_format: ChatFormat, tokens: HFTokens, *, context: int, licence: str | None) -> str:
    """Ollama's Modelfile for a GGUF file beside it. Greedy, as this project answers unless told otherwise."""
    lines = [f"FROM ./{weights}", "", f'TEMPLATE """{go_template(chat_format, tokens)}"""', ""]
    spelt = cast("list[str]", tokens.tokenizer.convert_ids_to_tokens(sorted(stop_ids(chat_format, tokens))))
    settings: list[tuple[str, object]] = [("stop", _quoted(text)) for text in spelt]
    settings += [("temperature", 0), ("repeat_penalty", 1), ("num_predict", 256), ("num_ctx", min(context, 4096))]
    lines += [f"PARAMETER {name} {value}" for name, value in settings]
    if licence:
        lines += ["", f'LICENSE """{licence}"""']
    return "\n".join([*lines, ""])


def go_template(chat_format: ChatFormat, tokens: HFTokens) -> str:
    """The format in Go's template language, read off from what its Jinja template writes around what is said.

    Without the start token, which Ollama puts there itself. Formats that keep the history in the question's slot cannot
    be written turn by turn: of those, one question.
    """
    first, opening = _around(chat_format, tokens, [_user(_U)], [_U])
    if chat_format.base_template is None and chat_format.follow_up is None:
        return _go(first) + "{{ .Prompt }}" + _go(opening)
    dialogue = [_user(_U), Message(role="assistant", content=_A), _user(_V)]
    _, after_user, after_answer, _ = _around(chat_format, tokens, dialogue, [_U, _A, _V])
    parts = ["{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"]
    with suppress(ModelError):  # some bases' templates have no place for it
        before, after, _ = _around(chat_format, tokens, [Message(role="system", content=_S), _user(_U)], [_S, _U])
        parts.append('{{ if eq .Role "system" }}' + _go(before) + "{{ .Content }}" + _go(after) + "{{ end }}")
    parts += [
        '{{ if eq .Role "user" }}{{ if eq $i 0 }}' + _go(first) + "{{ end }}{{ .Content }}",
        "{{ if $last }}" + _go(opening) + "{{ else }}" + _go(after_user) + "{{ end }}{{ end }}",
        '{{ if eq .Role "assistant" }}{{ .Content }}{{ if not $last }}' + _go(after_answer) + "{{ end }}{{ end }}",
        "{{ end }}",
    ]
    return "".join(parts)


def _around(chat_format: ChatFormat, tokens: HFTokens, messages: Sequence[Message], slots: Sequence[str]) -> list[str]:
    """What the template writes before, between and behind the slots. Raises ModelError where one is left out."""
    text = tokens.with_template(jinja_template(chat_format, tokens)).apply_template(messages, ask=True)
    text = text.removeprefix(cast("str | None", tokens.tokenizer.bos_token) or "")
    out: list[str] = []
    for slot in slots:
        if slot not in text:
            raise ModelError(f"对话模板丢掉了一条消息，不能写成 Ollama 的模板。格式：{chat_format.name}。")
        before, text = text.split(slot, 1)
        out.append(before)
    return [*out, text]


def _user(content: str) -> Message:
    return Message(role="user", content=content)


def _go(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
