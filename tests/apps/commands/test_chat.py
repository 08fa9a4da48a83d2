from __future__ import annotations

import builtins
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bentsao.apps.commands.chat import chat
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.core.conversations import read_conversations
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Generated
from bentsao.inference.notice import NOTICE
from tests.inference.stand_in import StandInEngine
from tests.inference.test_session import SilentEngine

Talk = Callable[..., str]
SHORT = Decoding(max_new_tokens=20)


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Talk:
    """Runs a chat with lines from a pipe and returns what it printed."""

    def run(*lines: str, engine: StandInEngine, decoding: Decoding = SHORT) -> str:
        monkeypatch.setattr(ModelChoice, "open", lambda _: engine)
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
        chat(decoding=decoding)
        return capsys.readouterr().out

    return run


def test_turns_by_pipe_go_on_from_each_other(talk: Talk) -> None:
    engine = StandInEngine()
    said = talk("头痛怎么办", "", "  然后呢 ", engine=engine)
    assert said.startswith(NOTICE)
    assert "你：头痛怎么办\n答： 办么怎痛头\n" in said
    assert "答： 呢后然\n" in said
    assert list(engine.asked) == ["问：头痛怎么办\n答：", "问：头痛怎么办\n答：办么怎痛头\n问：然后呢\n答："]


@pytest.mark.parametrize("leaving", ["/quit", "exit", "EXIT", "退出", "再见"])
def test_reset_begins_anew_and_quit_ends(talk: Talk, leaving: str) -> None:
    engine = StandInEngine()
    said = talk("一", "/reset", "二", leaving, "三", engine=engine)
    assert list(engine.asked) == ["问：一\n答：", "问：二\n答："]
    assert "已重新开始" in said


def test_save_writes_what_can_be_learnt_from(talk: Talk, tmp_path: Path) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text("重要", encoding="utf-8")
    out = tmp_path / "my chat.jsonl"
    said = talk(f"/save {out}", "一二", f"/save {there}", "/save", f"/save {out}", engine=StandInEngine())
    (conversation,) = read_conversations(out).conversations
    assert [m.content for m in conversation.messages] == ["一二", "二一"]
    assert there.read_text(encoding="utf-8") == "重要"
    for note in ("还没有对话", "已经存在", "请给出文件名", f"已保存到 {out}"):
        assert note in said


def test_save_says_what_it_leaves_out(talk: Talk, tmp_path: Path) -> None:
    out = tmp_path / "chat.jsonl"
    said = talk("一二", "默", f"/save {out}", engine=SilentEngine())
    assert f"已保存到 {out}；1 轮的回答是空的，没有写进去。" in said


def test_help_and_unknown_commands_ask_nothing(talk: Talk) -> None:
    engine = StandInEngine()
    said = talk("/help", "/hepl", engine=engine)
    assert said.count("/save FILE") == 2
    assert "没有命令 /hepl" in said
    assert not engine.asked


def test_an_error_does_not_end_the_chat(talk: Talk, tmp_path: Path) -> None:
    engine = StandInEngine()
    said = talk("长" * 300, "短", f"/save {tmp_path}", engine=engine)
    assert "出错：问题太长" in said
    assert list(engine.asked) == ["问：短\n答："]
    assert said.count("出错") == 2


class InterruptedEngine(StandInEngine):
    """Ctrl-C comes in the middle of its first answer."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        on_text: Callable[[int, str], None] | None = None,
        called_off: Callable[[int], bool] | None = None,
    ) -> list[Generated]:
        first = not self.asked
        found = super().generate(prompts, decoding, on_text=on_text)
        if first:
            raise KeyboardInterrupt
        return found


def test_ctrl_c_stops_the_answer_and_not_the_chat(talk: Talk) -> None:
    engine = InterruptedEngine()
    said = talk("一", "二", engine=engine)
    assert "已停止" in said
    assert list(engine.asked) == ["问：一\n答：", "问：二\n答："]


def test_ctrl_c_and_ctrl_d_at_the_prompt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed: Iterator[str | type[BaseException]] = iter([KeyboardInterrupt, "一", EOFError])
    prompts: list[str] = []

    def typing(prompt: str) -> str:
        prompts.append(prompt)
        line = next(typed)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr(ModelChoice, "open", lambda _: StandInEngine())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(builtins, "input", typing)
    chat()
    said = capsys.readouterr().out
    assert "/quit 退出" in said
    assert "答： 一" in said
    assert prompts == ["你："] * 3


def test_what_is_dropped_and_what_is_cut_is_said(talk: Talk) -> None:
    said = talk(*"一二三四五六七八", engine=StandInEngine(context=60))
    assert "最早的 1 轮不再带上" in said
    assert "最早的 2 轮不再带上" in said
    said = talk("一二三四五", engine=StandInEngine(), decoding=Decoding(max_new_tokens=3))
    assert "到达 3 个 token 的长度上限" in said


def test_bytes_and_control_characters_from_a_pipe_do_no_harm(talk: Talk) -> None:
    said = talk("头\x1b[2J痛\udcff", engine=StandInEngine())
    assert "\x1b" not in said
    assert "你：头\ufffd[2J痛\ufffd" in said


def test_an_alarm_stands_before_the_answer_and_a_caution_after(talk: Talk) -> None:
    said = talk("我爸突然胸痛", "怀孕能坐飞机吗", engine=StandInEngine())
    assert said.index("【急症提示】可能是心脏急症") < said.index("不要自己开车") < said.index("痛胸然突爸我")
    assert said.index("吗机飞坐能孕怀") < said.index("提醒：孕期")


def test_an_alarm_is_told_where_the_model_fails(talk: Talk) -> None:
    said = talk("我爸突然胸痛" + "长" * 300, engine=StandInEngine())
    assert said.index("【急症提示】") < said.index("出错：")
