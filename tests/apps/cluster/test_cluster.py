"""Work over a cluster, as far as it can be seen without one: room, rounds, the same answers, errors in words."""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from bentsao.apps.cluster.connecting import connected
from bentsao.apps.cluster.pieces import ClusterError, Node, Size, in_rounds, planned
from bentsao.apps.commands.evaluate import evaluate
from bentsao.apps.commands.infer import infer
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.apps.commands.spreading import ClusterChoice
from bentsao.core.errors import BentsaoError, ConfigError, MissingError
from bentsao.core.records import Answer, Message, Question
from bentsao.inference.batch import answer_all
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine
from tests.inference.stand_in import StandInEngine

T = TypeVar("T")
R = TypeVar("R")

GIB = 2**30
NODES = [
    Node("a", "头节点", Size(0, 0, 8 * GIB)),
    Node("b", "甲", Size(8, 2, 32 * GIB)),
    Node("c", "乙", Size(4, 0, 4 * GIB)),
]


def nothing(_: str) -> None: ...


# ---- room -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "room"),
    [
        (Size(1), 12),
        (Size(3), 3),
        (Size(1, 1), 2),
        (Size(0.5, 0.5), 4),
        (Size(4, 0, 4 * GIB), 3),
        (Size(1, 0, 5 * GIB), 6),
    ],
)
def test_as_many_workers_as_the_scarcest_thing_allows(size: Size, room: int) -> None:
    assert planned(NODES, size, 0) == room
    assert planned(NODES, size, room) == room
    with pytest.raises(ClusterError, match=f"只放得下 {room} 个"):
        planned(NODES, size, room + 1)


@pytest.mark.parametrize("size", [Size(9), Size(1, 3), Size(1, 0, 33 * GIB)])
def test_no_room_is_said_with_what_there_is(size: Size) -> None:
    with pytest.raises(ClusterError, match="没有一台机器放得下") as found:
        planned(NODES, size, 0)
    assert str(size) in str(found.value)
    assert "甲：8 个 CPU、2 张 GPU" in str(found.value)
    with pytest.raises(ClusterError, match="没有节点"):
        planned([], size, 0)


# ---- rounds ---------------------------------------------------------------------------------------------------------


def test_what_a_round_loses_is_asked_again_and_what_comes_twice_is_dropped() -> None:
    asked: list[list[int]] = []
    told: list[str] = []

    def ask(left: Mapping[int, str]) -> Iterator[tuple[int, str]]:
        asked.append(list(left))
        for number, piece in left.items():
            if len(asked) > 1 or number % 2:
                yield number, piece.upper()
                if number == 3:
                    yield number, "again"

    assert list(in_rounds(ask, "abcdef", told.append)) == ["B", "D", "F", "A", "C", "E"]
    assert asked == [[0, 1, 2, 3, 4, 5], [0, 2, 4]]
    assert len(told) == 2
    assert "3 批随着丢失的节点" in told[0]
    assert "1 批做了两遍" in told[1]


def test_rounds_that_bring_nothing_end() -> None:
    rounds: list[int] = []

    def ask(left: Mapping[int, str]) -> Iterator[tuple[int, str]]:
        rounds.append(len(left))
        yield from [(0, "a")] if len(rounds) == 2 else []

    with pytest.raises(ClusterError, match="有 1 批连续 3 次没有结果"):
        list(in_rounds(ask, "ab", nothing))
    assert rounds == [2, 2, 1, 1, 1], "one that brings something starts the count anew"


# ---- answers --------------------------------------------------------------------------------------------------------


class ShakySpread:
    """A stand-in engine in the place of many: pieces go through pickle, and a first round loses and doubles some."""

    weighs = False

    def __init__(self, engine: StandInEngine, most: int | None = None) -> None:
        self.name, self.tokens = engine.name, engine.tokens
        self.chat_format, self.context = engine.chat_format, engine.context
        self._engine, self._most = engine, most

    def each(self, work: Callable[[Engine, T], R], pieces: Sequence[T], report: Callable[[str], None]) -> Iterator[R]:
        again: Callable[[Engine, T], R] = pickle.loads(pickle.dumps(work))
        rounds: list[int] = []

        def ask(left: Mapping[int, T]) -> Iterator[tuple[int, R]]:
            rounds.append(len(left))
            for number in sorted(left, reverse=True):
                if len(rounds) > 1 or number % 3:
                    yield number, again(self._engine, pickle.loads(pickle.dumps(left[number])))
                    yield number, again(self._engine, left[number])

        for count, result in enumerate(in_rounds(ask, pieces, report)):
            if count == self._most:
                raise KeyboardInterrupt
            yield result


def questions(count: int) -> list[Question]:
    def one(number: int) -> Question:
        said = Message(role="user", content=f"{'问' * (number % 7)}第{number}题" if number != 5 else "长" * 300)
        return Question(id=f"q{number}", group=f"q{number}", messages=(said,))

    return [one(number) for number in range(count)]


def without_times(answers: Sequence[Answer]) -> list[Answer]:
    return [answer.model_copy(update={"seconds": 0.0}) for answer in answers]


def test_many_engines_answer_as_one_does(tmp_path: Path) -> None:
    decoding, asked = Decoding(max_new_tokens=20), questions(20)
    here = answer_all(StandInEngine(), asked, tmp_path / "here.jsonl", decoding, rows=3)
    told: list[str] = []
    seen: list[float] = []
    there = answer_all(
        ShakySpread(StandInEngine()), asked, tmp_path / "there.jsonl", decoding, rows=3,
        progress=lambda done, _: seen.append(done), report=told.append,
    )  # fmt: skip
    assert without_times(there) == without_times(here)
    assert [answer.id for answer in there] == [question.id for question in asked]
    assert there[5].finish == "error"
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 20)
    assert any("重新分派" in line for line in told)
    assert any("做了两遍" in line for line in told)
    manifests = [(tmp_path / f"{name}.jsonl.manifest.json").read_bytes() for name in ("here", "there")]
    assert manifests[0] == manifests[1], "so that one may go on where the other was interrupted"


def test_a_run_on_a_cluster_goes_on_here(tmp_path: Path) -> None:
    decoding, asked, out = Decoding(max_new_tokens=20), questions(20), tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        answer_all(ShakySpread(StandInEngine(), most=3), asked, out, decoding, rows=3)
    engine = StandInEngine()
    answers = answer_all(engine, asked, out, decoding, rows=3)
    assert [answer.id for answer in answers] == [question.id for question in asked]
    assert engine.asked.total() == 20 - 1 - 3 * 3, "what was answered is not asked again"


def test_paths_are_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("adapter", "base", "embedded", "plain"):
        Path(name).mkdir()
    given = ModelChoice(adapter=Path("adapter"), base="base", chat_format="own.json").with_full_paths()
    assert (given.adapter, given.base, given.chat_format) == (
        tmp_path / "adapter", str(tmp_path / "base"), str(tmp_path / "own.json"),
    )  # fmt: skip
    names = ModelChoice(base="embedded", chat_format="plain")
    assert names.with_full_paths() == names, "what has a name is no path, whatever lies here"


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (ClusterChoice(workers=2), "--ray"),
        (ClusterChoice(ray="auto", workers=-1), "--workers"),
        (ClusterChoice(ray="auto", worker_cpus=0), "--worker-cpus"),
    ],
)
def test_flags_that_cannot_be(choice: ClusterChoice, words: str) -> None:
    with pytest.raises(ConfigError, match=words), choice.opener():
        pass


def test_what_is_not_spread_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    spreading = ClusterChoice(ray="local:1")
    with pytest.raises(ConfigError, match="--ray"):
        infer(question="头痛怎么办", spreading=spreading)
    with pytest.raises(ConfigError, match="--ray"):
        infer(grounded=True, spreading=spreading)
    with pytest.raises(ConfigError, match="--ray"):
        evaluate(("choice",), out=tmp_path, rescore=True, spreading=spreading)


@pytest.mark.parametrize("address", ["local", "local:0", "ray://a:1", "a b:1", "somewhere"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match=r"local:N"), connected(address):
        pass


def test_ray_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingError, match=r"bentsao\[ray\]"), connected("auto"):
        pass


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bentsao.apps.cluster.connecting._import_ray", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BentsaoError, match=f"连不上 Ray 集群 127.0.0.1:{port}"), connected(f"127.0.0.1:{port}"):
        pass
