from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError
from bentsao.core.formats import FORMATS
from bentsao.core.records import Answer, Message, Question
from bentsao.inference.batch import answer_all
from bentsao.inference.decoding import Decoding
from tests.inference.stand_in import StandInEngine

SHORT = Decoding(max_new_tokens=20)


def questions(count: int) -> list[Question]:
    """Of all lengths, the shortest first, each with its own answer."""
    return [ask(f"q{number}", f"{'问' * number}第{number}题") for number in range(count)]


def ask(name: str, text: str, *, reference: str | None = None, history: int = 0) -> Question:
    turns = [
        Message(role=role, content=f"第{number}轮的话") for number in range(history) for role in ("user", "assistant")
    ]
    messages = (*turns, Message(role="user", content=text))
    return Question(id=name, group=name, messages=messages, reference=reference)


def sizes(engine: StandInEngine) -> list[int]:
    return [len(batch) for batch in engine.batches]


def on_disk(path: Path) -> list[Answer]:
    return [Answer.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_answers_come_back_in_the_questions_order(tmp_path: Path) -> None:
    engine, out, seen = StandInEngine(), tmp_path / "new" / "out.jsonl", list[tuple[float, int]]()
    asked = [ask("b", "长长长长长", reference="对"), ask("a", "短"), ask("c", "中中中")]
    answers = answer_all(engine, asked, out, SHORT, rows=2, progress=lambda done, of: seen.append((done, of)))
    assert [(a.id, a.text, a.reference) for a in answers] == [
        ("b", "长长长长长", "对"),
        ("a", "短", None),
        ("c", "中中中", None),
    ]
    assert answers == on_disk(out)
    assert sizes(engine) == [2, 1], "by length: the two longest together"
    assert seen[0] == (0, 3)
    assert seen[-1] == (3, 3)
    assert seen == sorted(seen)
    assert len({done for done, _ in seen if 0 < done < 2}) > 3, "it also moves while a batch is written"
    assert not out.with_name("out.jsonl.part").exists()
    assert all(a.seconds > 0 and a.tokens == len(a.text) + 1 for a in answers)


def test_a_full_disk_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = tmp_path / "out.jsonl.part"

    def full(file: int) -> None:
        if part.exists() and os.path.samestat(os.fstat(file), part.stat()):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bentsao.inference.journal.os.fsync", full)
    with pytest.raises(OSError, match="No space") as told:
        answer_all(StandInEngine(), questions(2), tmp_path / "out.jsonl", SHORT)
    assert told.value.filename == str(part)


@pytest.mark.parametrize(("rows", "budget", "beams"), [(5, 10_000, 1), (16, 100, 1), (16, 100, 2), (1, 10, 1)])
def test_batches_are_as_big_as_rows_and_tokens_allow(tmp_path: Path, rows: int, budget: int, beams: int) -> None:
    engine, decoding = StandInEngine(), Decoding(max_new_tokens=20, beams=beams)
    answer_all(engine, questions(12), tmp_path / "out.jsonl", decoding, rows=rows, token_budget=budget)
    lengths = [length for batch in engine.batches for length in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert len(lengths) == 12

    def fits(batch: list[int], more: int) -> bool:
        count = len(batch) + more
        return count <= rows and count * beams * (max(batch) + 20) <= budget

    for number, batch in enumerate(engine.batches):
        assert fits(batch, 0) or len(batch) == 1
        assert not fits(batch, 1) or number == len(engine.batches) - 1


def test_memory_shortage_halves_the_batch(tmp_path: Path) -> None:
    engine = StandInEngine(most=3)
    answers = answer_all(engine, questions(8), tmp_path / "out.jsonl", SHORT)
    assert all(a.finish == "end" for a in answers)
    assert sizes(engine) == [2, 2, 2, 2]
    out = tmp_path / "none.jsonl"
    answers = answer_all(StandInEngine(most=0), questions(2), out, SHORT)
    assert [(a.finish, a.error) for a in answers] == [("error", "内存不足")] * 2
    assert all(a.finish == "end" for a in answer_all(engine, questions(2), out, SHORT)), "errors are tried again"


def test_a_question_that_cannot_be_asked_does_not_stop_the_others(tmp_path: Path) -> None:
    engine, told = StandInEngine(), list[str]()
    asked = [ask("long", "长" * 300), ask("good", "好吗"), ask("history", "然后呢", history=30)]
    out = tmp_path / "out.jsonl"
    long, good, history = answer_all(engine, asked, out, SHORT, report=told.append)
    assert long.finish == "error"
    assert "问题太长" in (long.error or "")
    assert (good.text, history.text) == ("吗好", "呢后然")
    assert any("1 个问题的对话历史太长" in line for line in told)
    answer_all(engine, asked, out, SHORT)
    assert set(engine.asked.values()) == {1}


@pytest.mark.parametrize("lived", [0, 1, 2, 3])
def test_a_killed_run_goes_on_and_asks_nothing_twice(tmp_path: Path, lived: int) -> None:
    out = tmp_path / "out.jsonl"
    expected = answer_all(StandInEngine(), questions(10), tmp_path / "whole.jsonl", SHORT, rows=3)
    first, second = StandInEngine(dies_after=lived), StandInEngine()
    with pytest.raises(KeyboardInterrupt):
        answer_all(first, questions(10), out, SHORT, rows=3)
    assert not out.exists(), "no half file under the final name"
    answers = answer_all(second, questions(10), out, SHORT, rows=3)
    assert [a.text for a in answers] == [a.text for a in expected]
    assert sizes(second) == [3, 3, 3, 1][lived:], "the batches are those of a run that was not killed"
    assert first.asked + second.asked == Counter(dict.fromkeys(first.asked + second.asked, 1))
    third = StandInEngine()
    assert answer_all(third, questions(10), out, SHORT, rows=3) == answers == on_disk(out)
    assert not third.batches


def test_a_journal_cut_at_any_byte_loses_only_the_cut_line(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    journal = out.with_name("out.jsonl.part")
    with pytest.raises(KeyboardInterrupt):
        answer_all(StandInEngine(dies_after=1), questions(4), out, SHORT, rows=2)
    whole = journal.read_bytes()
    first = whole.index(b"\n")
    # Every seventh byte falls within a character, too.
    for cut in {*range(0, len(whole), 7), first - 1, first, first + 1, len(whole) - 2, len(whole) - 1, len(whole)}:
        out.unlink(missing_ok=True)
        journal.write_bytes(whole[:cut])
        engine = StandInEngine()
        answers = answer_all(engine, questions(4), out, SHORT, rows=2)
        assert [(a.id, a.finish) for a in answers] == [(f"q{number}", "end") for number in range(4)]
        # A line is whole without its line break too.
        assert sum(engine.asked.values()) == 4 - (cut >= first) - (cut >= len(whole) - 1)


SUICIDE = """
import os, signal, sys
from pathlib import Path
from bentsao.inference.batch import answer_all
from tests.inference.stand_in import StandInEngine
from tests.inference.test_batch import SHORT, questions

class Logged(StandInEngine):
    def generate(self, prompts, decoding, *, on_text=None, called_off=None):
        if len(self.batches) == {lives}:
            os.kill(os.getpid(), signal.SIGKILL)
        found = super().generate(prompts, decoding, on_text=on_text)
        with open(sys.argv[2], "a", encoding="utf-8") as log:
            log.writelines(self.tokens.decode(p).replace("\\n", " ") + "\\n" for p in prompts)
        return found

answer_all(Logged(), questions(10), Path(sys.argv[1]), SHORT, rows=2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_kill_9_again_and_again(tmp_path: Path) -> None:
    out, log = tmp_path / "out.jsonl", tmp_path / "log.txt"
    codes = [
        subprocess.run([sys.executable, "-c", SUICIDE.format(lives=lives), out, log], check=False).returncode
        for lives in (1, 2, 99)
    ]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert len(on_disk(out)) == 10
    asked = Counter(log.read_text(encoding="utf-8").splitlines())
    assert len(asked) == 10
    assert set(asked.values()) == {1}


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    before = answer_all(StandInEngine(), questions(3), out, SHORT)
    with pytest.raises(ConfigError, match=r"decoding.seed：0 → 7(.|\n)*--restart"):
        answer_all(StandInEngine(), questions(3), out, SHORT.model_copy(update={"seed": 7}))
    with pytest.raises(ConfigError, match=r"'stand-in' → 'other'"):
        answer_all(StandInEngine(name="other"), questions(3), out, SHORT)
    with pytest.raises(ConfigError, match=r"plain .* → 'alpaca"):
        answer_all(StandInEngine(chat_format=FORMATS["alpaca"]), questions(3), out, SHORT)
    assert on_disk(out) == before, "a refusal touches nothing"
    engine = StandInEngine(name="other")
    answer_all(engine, questions(3), out, SHORT, restart=True)
    assert sum(engine.asked.values()) == 3


def test_more_questions_may_be_added_but_others_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    answer_all(StandInEngine(), questions(3), out, SHORT)
    engine = StandInEngine()
    assert len(answer_all(engine, questions(5), out, SHORT)) == 5
    assert sum(engine.asked.values()) == 2
    with pytest.raises(ConfigError, match=r"1 个回答不属于这些问题（q1"):
        answer_all(engine, [ask("q1", "改了的问题") if q.id == "q1" else q for q in questions(5)], out, SHORT)
    with pytest.raises(ConfigError, match="2 个回答不属于"):
        answer_all(engine, questions(3), out, SHORT)


def test_a_file_of_unknown_origin_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("重要\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="已经存在"):
        answer_all(StandInEngine(), questions(1), out, SHORT)
    assert out.read_text(encoding="utf-8") == "重要\n"
    with pytest.raises(ConfigError, match="是一个目录"):
        answer_all(StandInEngine(), questions(1), tmp_path, SHORT)
    out.unlink()
    journal = out.with_name("out.jsonl.part")
    journal.write_text("重要\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="已经存在"):
        answer_all(StandInEngine(), questions(1), out, SHORT)
    journal.write_text("", encoding="utf-8")
    assert len(answer_all(StandInEngine(), questions(1), out, SHORT)) == 1
    manifest = out.with_name("out.jsonl.manifest.json")
    manifest.write_text(json.dumps({"any": 1}), encoding="utf-8")
    with pytest.raises(ConfigError, match="不是回答的清单"):
        answer_all(StandInEngine(), questions(1), out, SHORT)


def test_ids_must_be_unique(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unique"):
        answer_all(StandInEngine(), [ask("a", "一"), ask("a", "二")], tmp_path / "out.jsonl", SHORT)
