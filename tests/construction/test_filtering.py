from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentsao.construction.filtering import Refused, filter_to, judged, refused_path
from bentsao.construction.filters import FILTERS, Context
from bentsao.construction.report import read_refused
from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError
from bentsao.core.records import Conversation, Made
from tests.construction.rows import row, run_filters

GOOD = "发作时可服用布洛芬，并在安静避光处休息。"
QUESTION = "一名35岁女性患偏头痛，应该怎样治疗？"


def rows() -> list[Conversation]:
    return [
        row(QUESTION, GOOD, name="好"),
        row("另一名病人偏头痛，根据知识该怎么办？", "根据知识，可以自行停药。", name="坏"),
        row(QUESTION, GOOD + "多休息。", name="近"),
    ]


def test_all_reasons_of_a_row_are_told_and_counted() -> None:
    done = run_filters(rows())
    assert [one.id for one in done.kept] == ["好"]
    assert [(one.row.id, list(one.reasons)) for one in done.refused] == [
        ("坏", ["leak", "unsafe"]),
        ("近", ["duplicate"]),
    ]
    assert done.tally.filters == {"leak": 1, "unsafe": 1, "duplicate": 1}
    assert (done.tally.rows, done.tally.kept, done.tally.refused, done.tally.without_evidence) == (3, 1, 2, 3)
    assert done.tally.examples["叫人自行改动用药"] == [("坏", done.refused[0].reasons["unsafe"])]


def test_a_row_is_no_copy_of_one_that_was_refused() -> None:
    bad = row(QUESTION, GOOD + "请根据知识处理。", name="坏")
    done = run_filters([bad, row(QUESTION, GOOD, name="好")])
    assert [one.id for one in done.kept] == ["好"]


def test_kept_rows_say_what_they_passed() -> None:
    made = Made(form="qa", writer="composer", filters=("早先的",))
    [kept] = run_filters([row(QUESTION, GOOD, made=made)], ["duplicate", "leak"]).kept
    assert kept.made
    assert kept.made.filters == ("早先的", "leak", "duplicate")
    [other] = run_filters([row(QUESTION, GOOD)]).kept
    assert other.made is None


def test_rows_go_through_one_by_one() -> None:
    taken: list[int] = []

    def source() -> Iterator[Conversation]:
        for number in range(100):
            taken.append(number)
            yield row(f"第{number}个问题是什么？", GOOD, name=str(number))

    stream = judged(source(), tuple(FILTERS), Context())
    next(stream)
    assert len(taken) == 1


def test_nothing_is_lost_in_the_files_and_they_are_the_same_each_time(tmp_path: Path) -> None:
    out = tmp_path / "通过.jsonl"
    tally = filter_to(out, rows())
    assert [one.id for one in read_conversations(out).conversations] == ["好"]
    refused = read_refused(refused_path(out))
    assert [one.row.id for one in refused] == ["坏", "近"]
    assert all(isinstance(one, Refused) and one.reasons for one in refused)
    assert tally.as_json()["reasons"]["leak"] == {"说到给它的知识": 1}
    first = out.read_bytes(), refused_path(out).read_bytes()
    filter_to(out, rows())
    assert (out.read_bytes(), refused_path(out).read_bytes()) == first
    assert json.loads(first[0].splitlines()[0])["source"]["file"] == "测试.json"


def test_a_fault_on_the_way_leaves_no_half_file(tmp_path: Path) -> None:
    def source() -> Iterator[Conversation]:
        yield from rows()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        filter_to(tmp_path / "a.jsonl", source())
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(ConfigError, match="没有名为 leaks 的过滤器"):
        run_filters(rows(), ["leaks"])
