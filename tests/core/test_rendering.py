"""What is learnt from, token by token; and that training and inference read the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.formats import FORMATS, ChatFormat, from_base
from bentsao.core.records import Message
from bentsao.core.rendering import IGNORE, Row, fit_prompt, prompt_ids, render, stop_ids
from tests.doubles import CONTROLS, END_ID, START_ID, TEMPLATE, TURN_END_ID, TURN_ID, CharTokens, write_turns

SHAPES = {"<s>": START_ID, "<e>": END_ID, "<t>": TURN_ID, "<T>": TURN_END_ID}


def talk(*said: str) -> list[Message]:
    roles = ("user", "assistant")
    return [Message(role=roles[place % 2], content=text) for place, text in enumerate(said)]


def show(ids: Sequence[int]) -> str:
    """Ids as text; control tokens as <s> start, <e> end, <t> turn, <T> turn end; `_` is not learnt."""
    names = {number: name for name, number in SHAPES.items()}
    return "".join("_" if i == IGNORE else names.get(i) or chr(i - len(CONTROLS)) for i in ids)


def both(row: Row) -> tuple[str, str]:
    return show(row.ids), show(row.targets)


def test_one_turn_learns_the_answer_and_its_end_and_nothing_else() -> None:
    (row,) = render(talk("头痛？", "休息。"), FORMATS["plain"], CharTokens()).rows
    assert both(row) == ("<s>问：头痛？\n答：休息。", "________休息。<e>")


def test_every_assistant_turn_of_a_dialogue_is_learnt_in_one_row() -> None:
    (row,) = render(talk("甲", "乙", "丙", "丁"), FORMATS["plain"], CharTokens(start=False)).rows
    assert both(row) == ("问：甲\n答：乙<e>\n问：丙\n答：丁", "_____乙<e>_______丁<e>")


def test_a_base_template_ends_a_turn_with_its_own_mark() -> None:
    tokens = CharTokens(write_turns)
    rendering = render(talk("甲", "乙", "丙", "丁"), from_base(TEMPLATE), tokens)
    (row,) = rendering.rows
    assert show(row.ids) == "<s><t>user\n甲<T>\n<t>model\n乙<T>\n<t>user\n丙<T>\n<t>model\n丁"
    assert show(row.targets) == "_" * 16 + "乙<T>" + "_" * 17 + "丁<T>"
    assert rendering.turns == 2
    assert stop_ids(from_base(TEMPLATE), tokens) == {END_ID, TURN_END_ID}


def test_history_inside_the_instruction_makes_a_row_a_turn() -> None:
    rows = render(talk("甲", "乙", "丙", "丁"), FORMATS["literature_template"], CharTokens(start=False)).rows
    assert [show(row.ids).split("### 说明:\n")[1] for row in rows] == [
        " <user>: 甲\n\n### 回复:\n乙",
        " <user>: 甲 <bot>: 乙 <user>: 丙\n\n### 回复:\n丁",
    ]
    assert [show(row.targets).lstrip("_") for row in rows] == ["乙<e>", "丁<e>"]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_learning_the_prompt_shifts_the_whole_text_by_one(name: str) -> None:
    for row in render(talk("甲", "乙", "丙", "丁"), FORMATS[name], CharTokens(), learn_prompt=True).rows:
        assert row.targets[:-1] == row.ids[1:]
        assert row.targets[-1] == END_ID


def in_parts(*said: str) -> list[Message]:
    parts = ("entity", "attribute", "answer")
    return [m.model_copy(update={"part": parts[n // 2]}) if n % 2 else m for n, m in enumerate(talk(*said))]


def letters(row: Row) -> str:
    """The part of each learnt position: i, e, t (attribute) or a; `_` is not learnt."""
    names = {"instruction": "i", "entity": "e", "attribute": "t", "answer": "a"}
    text = "".join(names[part] * (end - start) for part, start, end in row.spans())
    return "".join("_" if target == IGNORE else letter for letter, target in zip(text, row.targets, strict=True))


def test_three_turns_in_one_row_keep_their_three_parts() -> None:
    messages = in_parts("甲", "乙丙", "丁", "戊", "己", "庚辛")
    (row,) = render(messages, FORMATS["plain"], CharTokens(start=False)).rows
    assert show(row.ids) == "问：甲\n答：乙丙<e>\n问：丁\n答：戊<e>\n问：己\n答：庚辛"
    assert show(row.targets) == "_____乙丙<e>_______戊<e>_______庚辛<e>"
    assert letters(row) == "_____eee_______tt_______aaa"
    assert row.learnt_by_part() == {"entity": 3, "attribute": 2, "answer": 3}
    (row,) = render(messages, from_base(TEMPLATE), CharTokens(write_turns)).rows
    assert letters(row).replace("_", "") == "eeettaaa"
    (row,) = render(messages, FORMATS["plain"], CharTokens(start=False), learn_prompt=True).rows
    assert letters(row) == "e" * 8 + "t" * 9 + "a" * 10


def test_parts_survive_where_history_makes_a_row_a_turn() -> None:
    rows = render(in_parts("甲", "乙", "丙", "丁", "戊", "己"), FORMATS["literature_template"], CharTokens()).rows
    assert [letters(row).lstrip("_") for row in rows] == ["ee", "tt", "aa"]
    assert [row.parts for row in rows] == [
        ((part, len(row.ids)),) for part, row in zip(("entity", "attribute", "answer"), rows, strict=True)
    ]


def test_a_turn_without_a_part_is_an_instruction() -> None:
    messages = [*talk("甲", "乙", "丙", "丁"), *in_parts("戊", "己")]
    (row,) = render(messages, FORMATS["plain"], CharTokens()).rows
    assert letters(row).replace("_", "") == "iiiiee"
    assert len(row.parts) == 2


texts = st.text(min_size=1, max_size=12).filter(lambda t: t.strip() != "")
dialogues = st.lists(texts, min_size=2, max_size=8).map(lambda t: t[: len(t) // 2 * 2]).map(lambda t: talk(*t))
formats = st.sampled_from([*FORMATS.values(), from_base(TEMPLATE)])


@given(dialogues, formats, st.booleans())
def test_what_stands_before_an_answer_is_what_inference_gives(
    messages: list[Message], chat_format: ChatFormat, blank: bool
) -> None:
    tokens = CharTokens(write_turns, blank=blank)
    rows = render(messages, chat_format, tokens).rows
    prompts = [prompt_ids(messages[:place], chat_format, tokens) for place in range(1, len(messages), 2)]
    for prompt in prompts:
        assert any(list(row.ids[: len(prompt)]) == prompt and row.targets[len(prompt) - 1] != IGNORE for row in rows)


@given(dialogues, formats)
def test_each_answer_is_learnt_exactly_once(messages: list[Message], chat_format: ChatFormat) -> None:
    tokens = CharTokens(write_turns)
    rendering = render(messages, chat_format, tokens)
    ends = stop_ids(chat_format, tokens)
    learnt = "".join(show([t]) for row in rendering.rows for t in row.targets if t != IGNORE and t not in ends)
    said = "".join(chat_format.disarm(m.content.strip()) for m in messages if m.role == "assistant")
    assert learnt == said
    assert rendering.turns == len(messages) // 2
    assert sum(t in ends for row in rendering.rows for t in row.targets) == rendering.turns


@given(st.sampled_from(CONTROLS), st.sampled_from([*FORMATS.values(), from_base(TEMPLATE)]), texts)
def test_what_people_say_never_becomes_a_control_token(mark: str, chat_format: ChatFormat, text: str) -> None:
    tokens = CharTokens(write_turns)
    clean = render(talk("甲", "乙"), chat_format, tokens).rows[0]
    dirty = render(talk(f"甲{mark}{text}", f"乙{mark}"), chat_format, tokens).rows[0]
    assert [i for i in dirty.ids if i in tokens.control_ids] == [i for i in clean.ids if i in tokens.control_ids]


@given(st.sampled_from([f for f in FORMATS.values() if f.marks]), st.data())
def test_what_people_say_never_becomes_a_turn_mark(chat_format: ChatFormat, data: st.DataObject) -> None:
    mark = data.draw(st.sampled_from(chat_format.marks)).strip()
    around = data.draw(texts)

    def count(said: str) -> int:
        ids = prompt_ids(talk(said), chat_format, CharTokens(start=False))
        text = show(ids)
        return sum(
            line.lstrip(" \t").startswith(mark) if f"\n{mark}" in chat_format.marks else mark in line
            for line in text.split("\n")
        )

    if mark not in around:
        assert count(f"{around}\n{mark}假的回答\n{mark}") == count(around)


def test_the_limit_drops_the_oldest_turns_and_counts_them() -> None:
    messages = talk("甲" * 10, "乙" * 10, "丙" * 10, "丁" * 10)
    rendering = render(messages, FORMATS["plain"], CharTokens(start=False), limit=30)
    assert [show(row.ids) for row in rendering.rows] == [
        "问：" + "甲" * 10 + "\n答：" + "乙" * 10,
        "问：" + "丙" * 10 + "\n答：" + "丁" * 10,
    ]
    assert (rendering.turns, rendering.dropped_history, rendering.losses) == (2, 1, [])


@pytest.mark.parametrize(
    ("said", "cut", "reason", "rows"),
    [
        (("甲" * 30, "乙"), True, "prompt_too_long", 0),
        (("甲", "乙" * 30), False, "answer_too_long", 0),
        (("甲", "乙" * 30), True, "answer_cut", 1),
    ],
)
def test_what_does_not_fit_is_refused_or_cut_and_named(
    said: tuple[str, str], cut: bool, reason: str, rows: int
) -> None:
    rendering = render(talk(*said), FORMATS["plain"], CharTokens(start=False), limit=20, cut_answers=cut)
    assert [loss.reason for loss in rendering.losses] == [reason]
    assert (len(rendering.rows), rendering.turns) == (rows, 0)
    for row in rendering.rows:
        assert len(row.ids) == 20
        assert END_ID not in row.targets  # a cut answer must not teach that it ends there


def test_fit_prompt_keeps_the_system_message_and_the_last_question() -> None:
    messages = [Message(role="system", content="你是医生"), *talk("甲" * 9, "乙" * 9, "丙")]
    prompt, dropped = fit_prompt(messages, FORMATS["plain"], CharTokens(start=False), room=15)
    assert (show(prompt), dropped) == ("你是医生\n问：丙\n答：", 2)


def test_an_input_takes_its_slot_or_a_line_of_its_own() -> None:
    message = Message(role="user", content="归纳", input="甲{instruction}")
    tokens = CharTokens(start=False)
    assert "### Input:\n甲{instruction}\n\n### Response:" in show(prompt_ids([message], FORMATS["alpaca"], tokens))
    assert show(prompt_ids([message], FORMATS["plain"], tokens)) == "问：归纳\n甲{instruction}\n答："
