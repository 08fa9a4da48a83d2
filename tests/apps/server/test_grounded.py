from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bentsao.apps.server.serving import Ground
from bentsao.inference.grounded import Answerer, Policy
from bentsao.inference.grounded.wording import asking_back, names_asked
from bentsao.knowledge.linking import Linker
from bentsao.knowledge.store import KnowledgeBase
from tests.apps.server.conftest import Start, wait_until
from tests.apps.server.scribe import Scribe
from tests.apps.server.test_api import events
from tests.inference.grounded.bases import grounded_base
from tests.inference.grounded.reader import Reader

Grounding = Callable[[Policy], Ground]


@pytest.fixture(scope="module")
def grounding(tmp_path_factory: pytest.TempPathFactory) -> Grounding:
    """By a policy, from one knowledge base."""
    kb = KnowledgeBase.open(grounded_base(tmp_path_factory.mktemp("kb") / "small.kb"))
    linker = Linker.build(kb.names())
    return lambda policy: lambda engine: Answerer(engine, kb, policy, linker=linker, bundle="b" * 64)


@pytest.fixture(scope="module")
def ground(grounding: Grounding) -> Ground:
    return grounding(Policy())


@pytest.mark.parametrize("asked", [{"model": "tiny-grounded"}, {"model": "tiny", "grounded": True}])
def test_answers_come_with_what_they_stand_on(start: Start, ground: Ground, asked: dict[str, Any]) -> None:
    answer = start(Reader(), ground=ground).ask("偏头痛有什么症状？", **asked).json()
    assert "搏动性头痛" in answer["choices"][0]["message"]["content"]
    grounded = answer["grounded"]
    assert grounded["entities"] == ["偏头痛"]
    assert grounded["attributes"] == ["临床症状及体征"]
    assert grounded["evidence"][0]["fact"]["values"][:2] == ["搏动性头痛", "恶心"]
    assert grounded["evidence"][0]["fact"]["source"]["name"] == "甲"
    assert (grounded["abstained"], grounded["path"], grounded["bundle"]) == (False, "both", "b" * 64)


def test_they_are_streamed_when_they_have_been_checked(start: Start, ground: Ground) -> None:
    server = start(Reader(), ground=ground)
    whole = server.ask("偏头痛有什么症状？", model="tiny-grounded").json()
    pieces = events(server.ask("偏头痛有什么症状？", model="tiny-grounded", stream=True).text)
    said = "".join(e["choices"][0]["delta"].get("content", "") for e in pieces)
    assert said == whole["choices"][0]["message"]["content"]
    assert pieces[-1]["grounded"] == whole["grounded"]
    assert pieces[-1]["choices"][0]["finish_reason"] == "stop"


def test_what_is_not_there_is_not_answered(start: Start, ground: Ground) -> None:
    engine = Reader()
    answer = start(engine, ground=ground).ask("蓝血病有什么症状？", model="tiny-grounded").json()
    assert answer["grounded"]["abstained"]
    assert answer["grounded"]["evidence"] == []
    assert "没有收录“蓝血病”" in answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize("path", ["both", "model"])
def test_a_question_back_is_settled_by_the_conversation_alone(start: Start, grounding: Grounding, path: Any) -> None:
    server = start(Reader(), ground=grounding(Policy(path=path)))
    back = server.ask("AD吃什么药？", model="tiny-grounded").json()
    text = back["choices"][0]["message"]["content"]
    assert back["grounded"]["ask_back"] == ["阿尔茨海默病", "特应性皮炎"]
    settled = server.ask("AD吃什么药？", text, "第二个", model="tiny-grounded").json()
    assert settled["grounded"]["entities"] == ["特应性皮炎"]
    assert settled["grounded"]["attributes"] == ["药物治疗"]
    assert "氢化可的松乳膏" in settled["choices"][0]["message"]["content"]
    more = server.ask("AD吃什么药？", text, "第二个", "好", "那有什么症状？", model="tiny-grounded").json()
    assert more["grounded"]["entities"] == ["特应性皮炎"]


def test_models_without_a_knowledge_base_say_so(start: Start, ground: Ground) -> None:
    server = start(Reader(), ground=ground)
    cards = {card["id"]: card["grounded"] for card in server.http.get("/v1/models").json()["data"]}
    assert cards == {"tiny": False, "tiny-grounded": True, "base": False}
    assert server.ask("问", model="base-grounded").status_code == 404
    assert server.ask("问", model="base", grounded=True).status_code == 400
    assert server.http.post("/v1/completions", json={"model": "tiny-grounded", "prompt": "a"}).status_code == 400
    assert server.ask("问", model="tiny-grounded", stop="a").status_code == 400


def test_a_question_that_does_not_fit_is_told(start: Start, ground: Ground) -> None:
    answer = start(Reader(context=300), ground=ground).ask("偏头痛" * 90, model="tiny-grounded")
    assert answer.status_code == 400
    assert "太长" in answer.json()["error"]["message"]


def test_who_goes_stops_grounded_work_too(start: Start, ground: Ground) -> None:
    engine = Scribe("偏头痛" * 200, pause=0.02)
    server = start(engine, ground=ground, seconds=0.4)
    assert server.ask("偏头痛有什么症状？", model="tiny-grounded").status_code == 504
    wait_until(lambda: server.service.served["tiny"].batcher.working == 0)
    assert engine.written < 60


def test_names_asked_reads_what_asking_back_writes() -> None:
    for names in (["偏头痛"], ["阿尔茨海默病", "特应性皮炎"], ["甲", "乙", "丙"]):
        assert names_asked("请拨打 120。\n\n" + asking_back(names, ["AD"]) + "\n\n孕期请先问医生。") == tuple(names)
    assert names_asked("偏头痛的症状是“搏动性头痛”[1]。") == ()
