from __future__ import annotations

from pathlib import Path

from bentsao.knowledge.linking.index import ALIAS, OWN, VARIANT, NameIndex
from bentsao.knowledge.linking.stretches import Stretches, codes_of
from tests.knowledge.linking.conftest import names


def _numbers(index: NameIndex, name: str) -> list[int]:
    stretches = Stretches(codes_of(name), len(name))
    whole = (stretches.ends - stretches.starts == len(name)).nonzero()[0]
    return [number for _, number in index.exact.find(stretches.hashes()[whole])]


def test_a_name_calls_its_owners_most_proper_first() -> None:
    index = NameIndex.build(
        [
            ("失眠症", 7, "disease", True),
            ("失眠", 3, "symptom", True),
            ("不寐", 3, "symptom", False),
            ("不寐", 7, "disease", False),
        ]
    )
    (number,) = _numbers(index, "失眠")
    assert [(owner.entity, owner.title, owner.kind, owner.how) for owner in index.owners(number)] == [
        (3, "失眠", "symptom", OWN),
        (7, "失眠症", "disease", VARIANT),
    ]
    (number,) = _numbers(index, "不寐")
    assert {(owner.entity, owner.how) for owner in index.owners(number)} == {(3, ALIAS), (7, ALIAS)}


def test_the_own_name_is_the_title_in_any_order() -> None:
    index = NameIndex.build([("中风", 1, "disease", False), ("脑卒中", 1, "disease", True)])
    (number,) = _numbers(index, "中风")
    assert [owner.title for owner in index.owners(number)] == ["脑卒中"]


def test_it_comes_back_from_disk_as_it_was(index: NameIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "index", "v1")
    again = NameIndex.open(tmp_path / "index", "v1")
    assert again is not None
    for name, *_ in names():
        key = name.lower().replace(" ", "")
        assert [again.owners(number) for number in _numbers(again, key)] == [
            index.owners(number) for number in _numbers(index, key)
        ]
    assert again.alike("肝", "干") == index.alike("肝", "干") == 0.9


def test_another_version_is_not_opened(index: NameIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "index", "v1")
    assert NameIndex.open(tmp_path / "index", "v2") is None
    assert NameIndex.open(tmp_path / "none", "v1") is None


def test_a_damaged_index_is_not_opened(index: NameIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "index", "v1")
    file = tmp_path / "index" / "exact.hashes.npy"
    file.write_bytes(file.read_bytes()[:100])
    assert NameIndex.open(tmp_path / "index", "v1") is None


def test_nothing_but_signs_is_no_name() -> None:
    index = NameIndex.build([("-", 1, "disease", False), ("…", 1, "disease", False), ("胃炎", 1, "disease", True)])
    assert index.longest == 2


def test_pairs_of_characters_are_known(index: NameIndex) -> None:
    assert index.has_pair("阑尾")
    assert not index.has_pair("尾阑")
    assert not index.has_pair("龘龘")


def test_sounds(index: NameIndex) -> None:
    assert index.alike("炎", "炎") == 1
    assert index.alike("阑", "兰") == 0.9
    assert index.alike("真", "蒸") == 0.8
    assert index.alike("胃", "肾") == 0
    assert index.alike("a", "b") == 0


def test_an_index_of_nothing() -> None:
    assert NameIndex.build([]).longest == 0
