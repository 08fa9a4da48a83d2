from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from bentsao.apps.page import views
from bentsao.apps.page.browsing import Shelf
from bentsao.apps.page.talk import Talk, Turn
from bentsao.core.records import Evidence, Fact, Source
from bentsao.inference.safety import look
from bentsao.knowledge.rows import Alias
from bentsao.knowledge.store import Entity, Hit, KnowledgeBase, Passage

EVIL = "<script>alert('x')</script>\"' onload=x &amp; {{value}} ${1+1}"
SOURCE = Source(name=EVIL, file=EVIL, row=1, licence=EVIL)
FACT = Fact(subject=EVIL, attribute="检查", values=(EVIL, "CT"), source=SOURCE, qualifier=EVIL)


class Tags(HTMLParser):
    """Which tags and attributes a page has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def evil_turn() -> Turn:
    evidence = (Evidence(number=1, fact=FACT),)
    return Turn(question=EVIL, model=EVIL, text=f"{EVIL}[1][7]", evidence=evidence, finish="end", cautions=(EVIL,))


def test_everything_is_escaped() -> None:
    talk = Talk.new().with_new(evil_turn()).with_new(Turn(question=EVIL, model=EVIL, finish="error", error=EVIL))
    entity = Entity(id=1, name=EVIL, kind="disease", aliases=(Alias(EVIL, "synonym"),))
    passage = Passage(id=1, title=EVIL, text=EVIL, journal=EVIL, source=SOURCE)
    hits = [Hit(score=1, fact=FACT), Hit(score=1, passage=passage)]
    html = views.talk_html(talk) + views.card_html(entity, [FACT], {"检查": [entity]}) + views.hits_html(hits)
    seen = Tags(html)
    assert "script" not in seen.tags
    assert not any(name.startswith("on") for name in seen.attributes)
    assert html.count("&lt;script&gt;") >= 15


@given(st.text(alphabet="<>&\"'[]0123ab\n", max_size=40))
def test_no_text_makes_a_tag(text: str) -> None:
    turn = Turn(question=text, model="m", text=text, finish="end", evidence=(Evidence(number=1, fact=FACT),))
    plain = Turn(question="", model="m", text="[1]", finish="end", evidence=(Evidence(number=1, fact=FACT),))
    both = [Tags(views.talk_html(Talk.new().with_new(each))) for each in (turn, plain)]
    assert both[0].tags <= both[1].tags | {"br"}


def test_a_mark_leads_to_its_fact_and_no_other() -> None:
    html = views.talk_html(Talk.new().with_new(evil_turn()))
    assert re.findall('href="#([^"]+)"', html) == ["t1f1"]
    assert 'id="t1f1"' in html
    assert "[7]" in html


def test_an_alarm_stands_above_the_answer_and_dials() -> None:
    turn = Turn(question="我不想活了", model="m", text="没事的", finish="end", alarm=look("我不想活了"))
    html = views.talk_html(Talk.new().with_new(turn))
    assert html.index('class="banner"') < html.index('role="alert"') < html.index("没事的")
    assert {"tel:120", "tel:110", "tel:12356"} <= set(re.findall('href="([^"]+)"', html))


def test_the_links_hold_the_conversation() -> None:
    talk = Talk.new().with_new(Turn(question="问", model="m", text="答", finish="end"))
    links = re.findall('download="([^"]+)" href="data:[^,]+,([^"]+)"', views.export_html(talk))
    assert [name for name, _ in links] == [f"bentsao-{talk.id}.jsonl", f"bentsao-{talk.id}.md"]
    assert base64.b64decode(links[0][1]).decode() == talk.as_jsonl()
    assert "href" not in views.export_html(Talk.new())


def test_the_shelf_searches_lists_and_shows(kb: KnowledgeBase) -> None:
    shelf = Shelf(kb)
    choices, others = shelf.search("偏头痛")
    assert choices[0] == ("偏头痛（疾病）", "偏头痛")
    assert "布洛芬" in others
    card = shelf.card("偏头疼")  # by another name
    assert "头颅CT" in card
    assert "预防发作" in card
    assert "← 适应症" in card
    assert shelf.card("没有的") == ""
    assert shelf.search("  ") == ([], "")
    labels = {kind: label for label, kind in shelf.kinds()}
    assert labels["drug"] == "药物（1）"
    names, number, pages = shelf.page("disease", 99)
    assert ("胃溃疡", "胃溃疡") in names
    assert number == pages == 1
