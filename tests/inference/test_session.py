from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.formats import FORMATS
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated
from bentsao.inference.session import Session
from tests.inference.stand_in import StandInEngine

SHORT = Decoding(max_new_tokens=20)


def test_each_question_is_asked_with_what_was_said_before() -> None:
    engine = StandInEngine()
    session = Session(engine, SHORT, system="你是医生")
    pieces: list[str] = []
    answer = session.ask("头痛怎么办", pieces.append)
    assert answer.text == "办么怎痛头"
    assert "".join(pieces).strip() == answer.text
    assert (answer.id, answer.finish, answer.tokens) == ("1", "end", 6)
    session.ask("然后呢")
    assert list(engine.asked) == [
        "你是医生\n问：头痛怎么办\n答：",
        "你是医生\n问：头痛怎么办\n答：办么怎痛头\n问：然后呢\n答：",
    ]
    assert [m.role for m in session.messages] == ["system", "user", "assistant", "user", "assistant"]


def test_reset_forgets_all_but_the_system_message() -> None:
    engine = StandInEngine()
    session = Session(engine, SHORT, system="你是医生")
    session.ask("一")
    session.reset()
    session.ask("一")
    assert engine.asked == {"你是医生\n问：一\n答：": 2}


@pytest.mark.parametrize("name", ["plain", "literature_template", "alpaca"])
def test_whole_turns_are_dropped_and_counted_when_the_context_is_full(name: str) -> None:
    chat_format = FORMATS[name]
    context = 60 + len(chat_format.prompt) + 3 * len(chat_format.follow_up or "")
    engine = StandInEngine(chat_format=chat_format, context=context)
    session = Session(engine, Decoding(max_new_tokens=20))
    for number in range(8):
        session.ask(f"第{number}个问题是什么")
        prompt = list(engine.asked)[-1]
        asked_with = [n for n in range(number + 1) if f"第{n}个问题" in prompt]
        assert asked_with == list(range(session.forgotten, number + 1)), "the newest turns, without a gap"
        assert len(engine.tokens.start_ids) + len(prompt) <= context - 20
    assert 0 < session.forgotten < 7
    assert len(session.messages) == 16, "what is saved is the whole conversation"


def test_a_question_longer_than_the_context_changes_nothing() -> None:
    session = Session(StandInEngine(), SHORT)
    session.ask("一")
    before = session.messages
    with pytest.raises(ModelError, match="问题太长"):
        session.ask("长" * 300)
    assert session.messages == before


def test_an_interrupted_answer_changes_nothing() -> None:
    session = Session(StandInEngine(), SHORT)

    def interrupt(piece: str) -> None:
        if piece != " ":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.ask("一二三", interrupt)
    assert session.messages == ()
    assert session.ask("一二三").text == "三二一"


def test_what_is_saved_can_be_learnt_from(tmp_path: Path) -> None:
    session = Session(StandInEngine(), SHORT, system="你是医生")
    with pytest.raises(ConfigError, match="还没有对话"):
        session.save(tmp_path / "chat.jsonl")
    session.ask("一二")
    session.save(tmp_path / "chat.jsonl")
    session.ask("三四")
    session.save(tmp_path / "chat.jsonl")
    (conversation,) = read_conversations(tmp_path / "chat.jsonl").conversations
    assert conversation.messages == session.messages


class SilentEngine(StandInEngine):
    """Answers nothing to what begins with 默."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        answers = super().generate(prompts, decoding, on_text=on_text)
        last = [self.tokens.decode(prompt).rsplit("问：", 1)[1] for prompt in prompts]
        return [Generated((), " ", "end") if q.startswith("默") else a for q, a in zip(last, answers, strict=True)]


def test_turns_without_an_answer_are_left_out_of_what_is_saved(tmp_path: Path) -> None:
    session = Session(SilentEngine(), SHORT, system="你是医生")
    session.ask("默一")
    with pytest.raises(ConfigError, match="都是空的"):
        session.save(tmp_path / "chat.jsonl")
    assert not (tmp_path / "chat.jsonl").exists()
    session.ask("一二")
    session.ask("默三")
    session.ask("四五")
    assert session.save(tmp_path / "chat.jsonl") == 2
    (conversation,) = read_conversations(tmp_path / "chat.jsonl").conversations
    assert [m.content for m in conversation.messages] == ["你是医生", "一二", "二一", "四五", "五四"]
    assert len(session.messages) == 9


def test_a_file_that_another_wrote_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("重要", encoding="utf-8")
    session = Session(StandInEngine(), SHORT)
    session.ask("一")
    with pytest.raises(ConfigError, match="已经存在"):
        session.save(tmp_path / "mine.jsonl")
    assert (tmp_path / "mine.jsonl").read_text(encoding="utf-8") == "重要"


def test_an_answer_carries_the_alarm_of_what_was_said() -> None:
    session = Session(StandInEngine(), SHORT)
    assert session.alarm("我爸突然胸痛") is not None
    answer = session.ask("我爸突然胸痛")
    assert answer.alarm is not None
    assert answer.alarm.kinds == ("胸痛",)
    assert session.ask("他怎么办").alarm is not None
    session.reset()
    assert session.ask("头痛怎么办").alarm is None


def test_what_to_bear_in_mind_goes_with_every_later_answer() -> None:
    session = Session(StandInEngine(), SHORT)
    assert session.ask("我怀孕了头疼").cautions[0].startswith("孕期")
    assert session.ask("吃布洛芬行吗").cautions[0].startswith("孕期")
    session.reset()
    assert session.ask("吃布洛芬行吗").cautions == ()
