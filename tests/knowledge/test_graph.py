"""The picture of an entity's neighbourhood: well-formed whatever the names are, nothing on top of anything else."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.records import Fact, Source
from bentsao.knowledge.graph import LINE, Branch, Leaf, Neighbourhood, as_html, as_svg, neighbourhood
from bentsao.knowledge.store import Entity, KnowledgeBase
from tests.knowledge.bases import APPENDICITIS, COLD, FEVER, entity, put


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    many = entity("肺炎", *[("临床症状及体征", f"症状{n}") for n in range(30)], ("临床症状及体征", "发烧"))
    put(tmp_path / "kb.sqlite", "甲", COLD, APPENDICITIS, FEVER, many)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        yield kb


def around(kb: KnowledgeBase, name: str, limit: int = 12) -> Neighbourhood:
    found = kb.entity(name)
    assert found is not None
    return neighbourhood(kb, found, limit)


def test_what_an_entity_has_and_who_has_it(kb: KnowledgeBase) -> None:
    found = around(kb, "发热")
    shown = [(one.attribute, one.incoming, [leaf.text for leaf in one.leaves]) for one in found.branches]
    assert shown == [
        ("相关疾病", False, ["感冒"]),
        ("临床症状及体征", True, ["感冒", "急性阑尾炎", "肺炎"]),  # 肺炎 calls it 发烧
    ]


def test_a_leaf_says_when_it_holds_and_who_says_so(kb: KnowledgeBase) -> None:
    drugs = around(kb, "感冒").branches[1]
    assert {leaf.text: leaf.note for leaf in drugs.leaves} == {
        "对乙酰氨基酚": "来源：甲 甲.jsonl:3",
        "氯苯那敏": "来源：甲 甲.jsonl:3",
        "布洛芬混悬液": "儿童；来源：甲 甲.jsonl:3",
    }


def test_what_is_not_drawn_is_counted(kb: KnowledgeBase) -> None:
    (branch,) = around(kb, "肺炎", 10).branches
    assert (len(branch.leaves), branch.left_out) == (10, 21)
    assert "…… 另有 21 个" in as_svg(around(kb, "肺炎", 10))
    (whole,) = around(kb, "肺炎", 0).branches
    assert (len(whole.leaves), whole.left_out) == (31, 0)


def test_the_page_holds_the_picture_and_every_fact(kb: KnowledgeBase) -> None:
    page = as_html(around(kb, "感冒", 1))
    assert "<svg" in page
    for text in ("转移", "<script", "http://", "https://"):
        assert text not in page.replace("http://www.w3.org/2000/svg", "")
    for text in ("对乙酰氨基酚；氯苯那敏", "布洛芬混悬液", "儿童", "甲 甲.jsonl:3", "测试用", "上呼吸道感染、伤风"):
        assert text in page


def test_texts_do_not_overlap() -> None:
    """Along the circle, neighbouring texts of one ring are a line apart."""
    branches = tuple(
        Branch(f"属性{n}", tuple(Leaf(f"值{n}之{m}", "") for m in range(n % 3 + 1)), incoming=n % 2 == 0)
        for n in range(40)
    )
    svg = as_svg(Neighbourhood(Entity(id=1, name="甲", kind="disease"), (), branches))
    rings: dict[float, list[float]] = {}
    for x, y in re.findall(r'transform="translate\((\S+) (\S+)\)', svg):
        rings.setdefault(round(math.hypot(float(x), float(y)), -1), []).append(math.atan2(float(y), float(x)))
    assert len(rings) == 2
    for radius, angles in rings.items():
        turns = sorted(angles)
        gaps = [b - a for a, b in zip(turns, [*turns[1:], turns[0] + math.tau], strict=True)]
        assert min(gaps) * radius > LINE * 0.99
    assert max(rings) - min(rings) > 12 * len("← 属性39")  # an attribute ends before the values begin


@given(
    name=st.text(min_size=1, max_size=40),
    values=st.lists(st.text(min_size=1, max_size=60), max_size=8),
    attribute=st.text(min_size=1, max_size=8),
)
def test_any_text_makes_a_well_formed_picture(name: str, values: list[str], attribute: str) -> None:
    fact = Fact(subject=name, attribute=attribute, values=tuple(values), source=Source(name=name, file=name))
    leaves = tuple(Leaf(value, name) for value in values)
    found = Neighbourhood(
        Entity(id=1, name=name, kind="disease"), (fact,), (Branch(attribute, leaves),) if leaves else ()
    )
    ET.fromstring(as_svg(found).encode())
    page = as_html(found)
    body = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    ET.fromstring(body.encode())
    ET.fromstring(page[page.index("<table>") : page.index("</table>") + len("</table>")].encode())


def test_names_cannot_write_markup() -> None:
    found = Neighbourhood(
        Entity(id=1, name="<script>alert(1)</script>", kind="drug"), (), (Branch("a<b", (Leaf('"&<x>', "'>"),)),)
    )
    for drawn in (as_svg(found), as_html(found)):
        assert "<script>" not in drawn
        assert "<x>" not in drawn
