from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.knowledge.linking import Linker
from bentsao.knowledge.linking.index import Name, NameIndex

PETS: tuple[tuple[str, str], ...] = (
    ("犬细小病毒病", "狗细小"),
    ("猫传染性腹膜炎", "猫传腹"),
    ("猫慢性肾病", ""),
    ("髌骨内脱位", ""),
    ("髌骨外脱位", ""),
    ("髌骨上脱位", ""),
    ("髌骨下脱位", ""),
    ("髌骨全脱位", ""),
)


def pet_names() -> list[Name]:
    own: list[Name] = [(name, number, "disease", True) for number, (name, _) in enumerate(PETS)]
    return own + [(alias, number, "disease", False) for number, (_, alias) in enumerate(PETS) if alias]


@pytest.fixture(scope="module")
def pets() -> Linker:
    return Linker.build(pet_names())


@pytest.mark.parametrize(
    ("question", "offered"),
    [
        ("细小怎么治", ("犬细小病毒病",)),
        ("细小", ("犬细小病毒病",)),
        ("我家狗得了细小怎么办", ("犬细小病毒病",)),
        ("腹膜炎怎么治", ("猫传染性腹膜炎",)),
        ("髌骨怎么治", ()),  # five, which is as good as none
        ("快递到哪了", ()),
        ("昨天带它去楼下跟别的狗玩了半天，回来就吐，是不是细小，怎么治", ()),  # a story
    ],
)
def test_a_name_that_holds_what_is_said_is_asked_back(pets: Linker, question: str, offered: tuple[str, ...]) -> None:
    linked = pets.link(question)
    assert (linked.entities, linked.ask_back) == ((), offered)


@pytest.mark.parametrize(
    ("question", "entities", "offered"),
    [
        ("那怎么治", ["猫传染性腹膜炎"], ()),
        ("那细小怎么治", ["猫传染性腹膜炎"], ()),  # nothing tells that it is a name
        ("那肾病怎么治", [], ("猫慢性肾病",)),
        ("那羊角疯病怎么治", [], ()),
    ],
)
def test_a_question_that_names_something_else_is_not_about_what_was_spoken_of(
    pets: Linker, question: str, entities: list[str], offered: tuple[str, ...]
) -> None:
    linked = pets.link(question, ["猫传腹有什么症状"])
    assert ([entity.name for entity in linked.entities], linked.ask_back) == (entities, offered)


@given(st.text(st.sampled_from("犬细小病猫传腹髌骨炎a "), min_size=1, max_size=4))
def test_a_name_is_found_by_every_part_of_it(part: str) -> None:
    index = NameIndex.build(pet_names())
    keys = {index.key(number) for number in index.holding(part)}
    assert all(part in key for key in keys)
    assert keys >= {name for pair in PETS for name in pair if name and part in name}
