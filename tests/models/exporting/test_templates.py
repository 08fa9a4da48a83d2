from __future__ import annotations

import pytest

from bentsao.core.formats import FORMATS, ChatFormat, from_base
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from bentsao.models.exporting.templates import go_template, jinja_template, modelfile
from bentsao.models.tokens import HFTokens
from tests.doubles import TEMPLATE, tiny_tokenizer


def say(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


TALKS = (
    [say("user", "感冒怎么办？")],
    [say("system", "你是医生"), say("user", "感冒怎么办？")],
    [say("user", "a\n问：b ### 问题: <user>:"), say("assistant", " 吃药 "), say("user", "c\n答：")],
    [say("system", "你是医生"), say("user", "x"), say("assistant", "y"), say("user", "z")],
)
CHAT_FORMATS: dict[str, ChatFormat] = {**FORMATS, "base": from_base(TEMPLATE)}


@pytest.mark.parametrize("name", CHAT_FORMATS)
@pytest.mark.parametrize("start", [True, False])
def test_the_jinja_template_writes_what_the_renderer_writes(name: str, start: bool) -> None:
    tokens = HFTokens(tiny_tokenizer(chat_template=TEMPLATE, start=start))
    template = jinja_template(CHAT_FORMATS[name], tokens)
    for talk in TALKS:
        said = [{"role": m.role, "content": m.content} for m in talk]
        if name == "base":
            said = [{**turn, "content": turn["content"].strip()} for turn in said]
        found = tokens.tokenizer.apply_chat_template(
            said, chat_template=template, add_generation_prompt=True, return_dict=False
        )
        assert found == prompt_ids(talk, CHAT_FORMATS[name], tokens)


@pytest.mark.parametrize("name", FORMATS)
def test_with_sentencepieces_blank_a_first_question_is_the_same(name: str) -> None:
    tokens = HFTokens(tiny_tokenizer(blank=True))
    template = jinja_template(FORMATS[name], tokens)
    said = [{"role": "user", "content": "感冒怎么办？"}]
    found = tokens.tokenizer.apply_chat_template(
        said, chat_template=template, add_generation_prompt=True, return_dict=False
    )
    assert found == prompt_ids(TALKS[0], FORMATS[name], tokens)


def test_ollamas_template_has_every_piece_in_its_place() -> None:
    tokens = HFTokens(tiny_tokenizer(chat_template=TEMPLATE))
    plain = go_template(FORMATS["plain"], tokens)
    assert '{{ if eq .Role "user" }}{{ if eq $i 0 }}问：{{ end }}{{ .Content }}{{ if $last }}\n答：' in plain
    assert '{{ if eq .Role "assistant" }}{{ .Content }}{{ if not $last }}<eos>\n问：' in plain
    assert "<bos>" not in plain
    base = go_template(CHAT_FORMATS["base"], tokens)
    assert '{{ if eq .Role "system" }}<start_of_turn>system\n{{ .Content }}<end_of_turn>\n<start_of_turn>user\n' in base
    assert go_template(FORMATS["literature_template"], tokens).count("{{ .Prompt }}") == 1


def test_the_modelfile_stops_where_the_format_ends() -> None:
    tokens = HFTokens(tiny_tokenizer(chat_template=TEMPLATE))
    text = modelfile("x.gguf", CHAT_FORMATS["base"], tokens, context=512, licence="L")
    assert text.startswith("FROM ./x.gguf\n")
    assert 'PARAMETER stop "<eos>"\nPARAMETER stop "<end_of_turn>"\n' in text
    assert "PARAMETER temperature 0\nPARAMETER repeat_penalty 1\n" in text
    assert "num_ctx 512" in text
    assert 'LICENSE """L"""' in text
