from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentsao.core.errors import DataError
from bentsao.models.remote.exchange import RemoteError, Reply, Usage
from bentsao.models.remote.journal import BatchDone, BatchPlanned, BatchTaken, Journal, Lost, Refused, Sent


def reply(key: str, text: str = "好", tokens: int = 5) -> Reply:
    return Reply(request=key, text=text, finish="stop", input_tokens=10, output_tokens=tokens, time="2026-01-01")


def sent(key: str) -> Sent:
    return Sent(request=key, most_input=100, most_output=50)


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    with Journal(path) as journal:
        journal.add(sent("a"))
        journal.add(reply("a", "第一\n行"))
        assert journal.reply("a") == reply("a", "第一\n行")
        assert journal.reply("b") is None
    with Journal(path) as journal:
        assert journal.reply("a") == reply("a", "第一\n行")
        assert "a" in journal
        assert (journal.total.calls, journal.total.replies, journal.total.used) == (1, 1, Usage(10, 5))
        assert journal.run.calls == 0
        journal.add(sent("b"), reply("b", tokens=7))
        assert journal.run.used == Usage(10, 7)
        assert journal.charged == Usage(20, 12)


def test_calls_without_an_answer_are_counted_at_their_most(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.add(sent("a"), Refused(request="a", reason="HTTP 429"), sent("a"), Lost(request="a", reason="超时"))
        journal.add(sent("a"))  # and then the process is killed
    with Journal(path) as journal:
        assert journal.total.refused == {"HTTP 429": 1}
        assert journal.total.lost == {"超时": 1}
        assert journal.total.cut_off == 1
        assert journal.charged == Usage(200, 100)
        journal.add(sent("a"), reply("a"))
    with Journal(path) as journal:
        assert journal.total.cut_off == 1
        assert journal.charged == Usage(210, 105)


def test_a_request_that_goes_out_again_cuts_off_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for _ in range(3):
        with Journal(path) as journal:
            journal.add(sent("a"))
    with Journal(path) as journal:
        assert journal.total.cut_off == 3


def test_open_batches_are_charged_at_their_most_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.add(BatchPlanned(name="n", requests=(sent("a"), sent("b"))))
    with Journal(path) as journal:
        assert journal.batches["n"].id is None
        journal.add(BatchTaken(name="n", id="batch_1"))
    with Journal(path) as journal:
        assert journal.batches["n"].id == "batch_1"
        assert journal.charged == Usage(200, 100)
        journal.add(reply("a"), BatchDone(name="n", status="completed"))
    with Journal(path) as journal:
        assert not journal.batches
        assert journal.charged == Usage(10, 5)
        assert journal.total.calls == 2


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl"), pytest.raises(RemoteError, match="正被另一个进程使用"):
        Journal(tmp_path / "j.jsonl")
    Journal(tmp_path / "j.jsonl").close()


def test_a_line_that_is_none_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(
        sent("a").model_dump_json().encode() + b"\n{oops}\n" + reply("a").model_dump_json().encode() + b"\n"
    )
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"j\.jsonl:2"):
        Journal(path)
    assert path.read_bytes() == before
    path.write_bytes(before.replace(b"{oops}\n", b""))
    Journal(path).close()  # the lock was given back


events = st.lists(
    st.one_of(
        st.builds(sent, st.sampled_from("abc")),
        st.builds(reply, st.sampled_from("abc"), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
        st.builds(Refused, request=st.sampled_from("abc"), reason=st.just("HTTP 500")),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events, data=st.data())
def test_cut_anywhere_no_whole_line_is_lost_and_it_goes_on(
    tmp_path: Path, events: list[Sent | Reply | Refused], data: st.DataObject
) -> None:
    path = tmp_path / "j.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        journal.add(*events)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    lines = whole[:cut].split(b"\n")
    # The last line counts as well if only its line end is missing.
    kept = len(lines) - 1 + (lines[-1] == whole.split(b"\n")[len(lines) - 1] != b"")
    with Journal(path) as journal:
        replies = [event for event in events[:kept] if isinstance(event, Reply)]
        assert journal.total.replies == len(replies)
        for event in reversed(replies):
            known = journal.reply(event.request)
            assert known is not None
            assert known == next(other for other in replies if other.request == event.request)
        journal.add(reply("new"))
    with Journal(path) as journal:
        assert journal.reply("new") == reply("new")
        assert journal.total.replies == len(replies) + 1
