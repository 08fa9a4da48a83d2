from __future__ import annotations

import re

import pytest

from bentsao.knowledge.linking import Linker
from bentsao.knowledge.linking.cues import CUES, SLOTS
from bentsao.knowledge.schema import ALIAS_TYPES, ATTRIBUTES, Kind, can_have

_NAMING = {label for type_, label in ALIAS_TYPES.items() if type_ != "code"}
_OF_KIND: dict[Kind, str] = {
    "disease": "白塞病",
    "drug": "布洛芬",
    "symptom": "头晕",
    "examination": "胃镜",
    "operation": "阑尾切除术",
    "department": "心血管内科",
}


def test_every_attribute_can_be_asked_for_and_nothing_else() -> None:
    assert {cues.attribute for cues in CUES} == ATTRIBUTES.keys() | _NAMING


def test_cues_of_a_kind_ask_for_what_the_kind_can_have() -> None:
    for cues in CUES:
        for kind in cues.kinds:
            assert cues.attribute in _NAMING or can_have(kind, cues.attribute), (cues.attribute, kind)


def test_patterns_are_well_formed() -> None:
    for cues in CUES:
        for pattern in f"{cues.everyday} {cues.clinical} {cues.weak}".split():
            assert set(re.findall(r"\{(.*?)\}", pattern)) <= SLOTS.keys(), pattern
            plain = re.sub(r"\{[^\[\]{}]+\}|\[[^\[\]{}]+\]", "", pattern)
            assert not set(plain) & set("[]{}|"), pattern
            assert all(pattern.split("..")), pattern


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [(kind, name) for kind in _OF_KIND for name in ATTRIBUTES if can_have(kind, name)],
)
def test_an_attribute_is_asked_for_by_its_name(linker: Linker, kind: Kind, attribute: str) -> None:
    linked = linker.link(f"{_OF_KIND[kind]}的{attribute}")
    assert (linked.entities[0].name, linked.attributes[0].name) == (_OF_KIND[kind], attribute)
