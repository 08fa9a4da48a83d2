from __future__ import annotations

from pathlib import Path

import pytest

from bentsao.core.errors import ConfigError
from bentsao.inference.grounded import Answerer, Policy
from bentsao.inference.grounded.following import follow_swaps
from bentsao.knowledge.compare import compare
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from bentsao.knowledge.swapping import swapped_copy
from tests.inference.grounded.reader import Reader
from tests.knowledge.bases import entity, put

DRUGS = ("布洛芬", "奥美拉唑", "多奈哌齐", "阿莫西林", "普萘洛尔", "氯苯那敏")
DISEASES = ("偏头痛", "胃溃疡", "高血压", "感冒", "哮喘", "痛风")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    put(tmp_path / "kb", "甲", *(entity(name, ("药物治疗", drug)) for name, drug in zip(DISEASES, DRUGS, strict=True)))
    return tmp_path / "kb"


def test_a_copy_differs_in_the_swapped_values_only(many: Path, tmp_path: Path) -> None:
    with KnowledgeBase.open(many) as kb:
        swaps = swapped_copy(kb, tmp_path / "copy", 4, seed=1)
        assert swapped_copy(kb, tmp_path / "again", 4, seed=1) == swaps
        with KnowledgeBase.open(tmp_path / "copy") as copy:
            assert copy.version != kb.version
            assert len(list(compare(kb, copy))) == 4
            for swap in swaps:
                assert [f.values for f in kb.facts(swap.entity, swap.attribute)] == [(swap.old,)]
                assert [f.values for f in copy.facts(swap.entity, swap.attribute)] == [(swap.new,)]
        with pytest.raises(ConfigError, match="不够 9 个"):
            swapped_copy(kb, tmp_path / "many", 9)
    assert not (tmp_path / "many").exists()


@pytest.mark.parametrize("path", ["oracle", "linker"])
def test_answers_that_follow_are_told_from_those_that_do_not(many: Path, tmp_path: Path, path: str) -> None:
    def stubborn(_: object) -> str:
        return "药物有" + "、".join(DRUGS)

    with KnowledgeBase.open(many) as kb:
        swaps = swapped_copy(kb, tmp_path / "copy", 5)
        linker = Linker.build(kb.names())
        with KnowledgeBase.open(tmp_path / "copy") as copy:

            def follows(engine: Reader, guard: str = "remove") -> tuple[int, int]:
                policy = Policy.model_validate({"path": path, "guard": guard})
                both = [Answerer(engine, base, policy, linker=linker) for base in (kb, copy)]
                found = follow_swaps(both[0], both[1], swaps)
                assert len(found.lagging) == 5 - found.followed
                return found.said_before, found.followed

            assert follows(Reader()) == (5, 5)
            assert follows(Reader(stubborn), "off") == (5, 0)
            assert follows(Reader(stubborn)) == (5, 5), "the guard leaves the facts"
