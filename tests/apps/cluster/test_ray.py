"""The same work on a real Ray: a head and two nodes on this machine, each with processes of its own; one is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bentsao.apps.cluster.building import build_on
from bentsao.apps.cluster.connecting import connected
from bentsao.apps.cluster.engine import ClusterEngine, open_on
from bentsao.apps.cluster.pieces import ClusterError
from bentsao.apps.cluster.workers import Cluster
from bentsao.construction.writing import BuildOptions, build
from bentsao.core.records import Answer, Message, Question
from bentsao.evaluation.answers import read_answers
from bentsao.evaluation.systems import Run, weigh_all
from bentsao.evaluation.tasks.task import Item
from bentsao.inference.batch import answer_all
from bentsao.inference.decoding import Decoding
from bentsao.knowledge.store import KnowledgeBase
from tests.apps.cluster.engine_doubles import fall, open_once, open_slowly
from tests.construction.materials import small_kb
from tests.doubles import tiny_base_folder

pytest.importorskip("ray.data", reason="without Ray there is no cluster: pip install 'bentsao[ray]'")

# Ray warns of its own next versions, and leaves sockets to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

STORE = 100 * 2**20


@dataclass
class Machines:
    """A cluster of processes on this machine. ray: `ray.cluster_utils.Cluster`."""

    ray: Any
    cluster: Cluster

    def add(self) -> Any:
        return self.ray.add_node(num_cpus=1, object_store_memory=STORE)


@pytest.fixture(scope="module")
def machines() -> Generator[Machines]:
    """A head that does no work, and two nodes of one core."""
    from ray.cluster_utils import Cluster as Nodes

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    nodes: Any = Nodes(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            nodes.add_node(num_cpus=1, object_store_memory=STORE)
        with connected(nodes.address) as cluster:
            yield Machines(nodes, cluster)
    finally:
        nodes.shutdown()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def engine(machines: Machines, base: Path) -> ClusterEngine:
    told: list[str] = []
    found = open_on(machines.cluster, partial(open_slowly, base), told.append)
    assert told == ["打开了"], "what a worker has to say reaches the user, once"
    return found


def questions(count: int) -> list[Question]:
    def one(number: int) -> Question:
        said = Message(role="user", content="感冒发热怎么办？" * (1 + number % 5) + str(number))
        return Question(id=f"q{number}", group=f"q{number}", messages=(said,))

    return [one(number) for number in range(count)]


def without_times(answers: list[Answer]) -> list[Answer]:
    return [answer.model_copy(update={"seconds": 0.0}) for answer in answers]


def test_answers_are_those_of_one_process_though_a_node_is_killed(
    machines: Machines, engine: ClusterEngine, base: Path, tmp_path: Path
) -> None:
    decoding, asked = Decoding(max_new_tokens=12, temperature=0.8, seed=3), questions(60)
    here = answer_all(open_slowly(base, lambda _: None), asked, tmp_path / "here.jsonl", decoding, rows=2)
    lost: list[Any] = [machines.add()]
    told: list[str] = []

    def kill(done: float, _: int) -> None:
        if done >= 12 and lost:
            machines.ray.remove_node(lost.pop(), allow_graceful=False)

    there = answer_all(engine, asked, tmp_path / "there.jsonl", decoding, rows=2, progress=kill, report=told.append)
    assert not lost
    assert without_times(there) == without_times(here), "sampled ones too: the batches are the same"
    assert any("重新分派" in line for line in told), told
    assert not (tmp_path / "there.jsonl.part").exists()


def test_weights_are_those_of_one_process(engine: ClusterEngine, base: Path, tmp_path: Path) -> None:
    items = [Item(q.id, q.id, q.messages, "A", weighed=("头痛", "咳嗽发热")) for q in questions(20)]

    def run(name: str) -> Run:
        (tmp_path / name).mkdir()
        return Run(tmp_path / name, 8, restart=False, tell=lambda what, done, count: None, report=lambda _: None)

    here = weigh_all(open_slowly(base, lambda _: None), items, run("here"))
    there = weigh_all(engine, items, run("there"))
    assert there == here
    assert len(there) == 20


def test_a_piece_that_ends_its_process_each_time_is_given_up(engine: ClusterEngine) -> None:
    got: list[int] = []
    with pytest.raises(ClusterError, match="连续 3 次没有结果"):
        got.extend(engine.each(fall, range(5), lambda _: None))
    assert sorted(got) == [0, 1, 9, 16]


def test_what_a_node_cannot_do_is_said_in_its_words(machines: Machines, base: Path, tmp_path: Path) -> None:
    opening = partial(open_once, tmp_path / "marker", base)
    engine = open_on(machines.cluster, opening, lambda _: None)
    with pytest.raises(ClusterError, match=r"节点 .* 上：权重不在这里"):
        answer_all(engine, questions(4), tmp_path / "out.jsonl", Decoding(max_new_tokens=4))


def test_data_sets_have_the_same_bytes(machines: Machines, tmp_path: Path) -> None:
    kb = small_kb(tmp_path)
    orders = {name: BuildOptions(dataset=name, rows=60) for name in ("qa", "polarity", "choice")}
    manifests = build_on(machines.cluster, kb, orders, tmp_path / "there", lambda _: None)
    with KnowledgeBase.open(kb) as store:
        for name, options in orders.items():
            assert build(store, options, tmp_path / "here" / name) == manifests[name]
    files = {path.relative_to(tmp_path / "here"): path.read_bytes() for path in (tmp_path / "here").rglob("*.json*")}
    assert len(files) >= 6
    assert {name: (tmp_path / "there" / name).read_bytes() for name in files} == files


def test_the_command_on_this_machine_alone(base: Path, tmp_path: Path) -> None:
    asked = "\n".join(f"感冒发热怎么办？{number}" for number in range(12))
    (tmp_path / "q.txt").write_text(asked, encoding="utf-8")
    for name, flags in (("here", []), ("there", ["--ray", "local:2"])):
        command = [
            sys.executable, "-m", "bentsao.apps.cli", "infer", str(tmp_path / "q.txt"), "--base", str(base),
            "--out", str(tmp_path / f"{name}.jsonl"),
            "--engine", "transformers", "--max-new-tokens", "8", "--batch-rows", "2", "--show", "0", *flags,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
    assert "ray" not in done.stderr.lower(), "it keeps quiet"
    here, there = (list(read_answers(tmp_path / f"{name}.jsonl").values()) for name in ("here", "there"))
    assert without_times(there) == without_times(here)
