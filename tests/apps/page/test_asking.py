from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from bentsao.apps.page.asking import LONGEST_QUESTION, Stops, ask
from bentsao.apps.page.talk import Talk
from bentsao.apps.server.serving import Service
from bentsao.inference.decoding import Decoding
from tests.apps.server.scribe import Scribe

SHORT = Decoding(max_new_tokens=100)


def test_an_answer_comes_in_pieces_and_then_whole(service: Service) -> None:
    seen = list(ask(service, Talk.new(), "感冒怎么办", "slow", SHORT, grounded=False))
    texts = [talk.turns[-1].text for talk in seen]
    assert texts[0] == ""
    assert len(texts) > 3
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert seen[-1].turns[-1].finish == "end"
    assert texts[-1].startswith("没有急症")


def test_the_alarm_is_there_before_any_model_is_asked_and_stays(service: Service) -> None:
    seen = list(ask(service, Talk.new(), "我爸突然胸痛", "slow", SHORT, grounded=False))
    assert all(talk.turns[-1].alarm is not None for talk in seen)
    assert seen[0].turns[-1].text == ""
    assert seen[-1].turns[-1].text.startswith("没有急症")


def test_an_alarm_survives_what_goes_wrong(service: Service) -> None:
    (*_, last) = ask(service, Talk.new(), "我爸突然胸痛" + "长" * LONGEST_QUESTION, "slow", SHORT, grounded=False)
    assert last.turns[-1].finish == "error"
    assert "请缩短" in last.turns[-1].error
    assert last.turns[-1].alarm is not None
    (*_, after) = ask(service, last, "他现在怎么办", "slow", SHORT, grounded=False)
    assert after.turns[-1].alarm is not None


def test_a_grounded_answer_brings_its_facts_and_goes_on_from_what_was_said(service: Service) -> None:
    (*_, first) = ask(service, Talk.new(), "偏头痛有什么症状", "tuned", SHORT, grounded=True)
    assert first.turns[-1].evidence[0].fact.subject == "偏头痛"
    assert first.turns[-1].entities == ("偏头痛",)
    (*_, second) = ask(service, first, "那要做什么检查？", "tuned", SHORT, grounded=True)
    assert second.turns[-1].text == "偏头痛的检查是头颅CT[1]。"


def test_errors_are_told_in_the_turn(service: Service) -> None:
    (*_, wrong) = ask(service, Talk.new(), "感冒", "slow", Decoding(max_new_tokens=999), grounded=False)
    assert "最多 200" in wrong.turns[-1].error
    (*_, no_facts) = ask(service, Talk.new(), "感冒", "slow", SHORT, grounded=True)
    assert "没有模型" in no_facts.turns[-1].error
    assert no_facts.messages() == []


def test_when_nobody_listens_the_model_stops(service: Service) -> None:
    engine = service.served["slow"].engine()
    assert isinstance(engine, Scribe)
    coming = ask(service, Talk.new(), "感冒怎么办", "slow", SHORT, grounded=False)
    while not next(coming).turns[-1].text:
        pass
    coming.close()
    time.sleep(0.1)
    written = engine.written
    time.sleep(0.2)
    assert engine.written == written < len(engine.said)


def test_a_visitor_stops_the_own_answer_only(service: Service) -> None:
    stops, mine, other = Stops(), Talk.new(), Talk.new()
    coming = ask(service, mine, "感冒怎么办", "slow", SHORT, grounded=False, stops=stops)
    while not next(coming).turns[-1].text:
        pass
    assert not stops.stop(other)
    assert stops.stop(mine)
    (*_, last) = coming
    assert last.turns[-1].finish == "stopped"
    assert 0 < len(last.turns[-1].text) < len("没有急症，不用去医院。<script>")
    assert not stops.stop(mine)


def test_visitors_at_once_do_not_mix(service: Service) -> None:
    def visit(question: str) -> Talk:
        (*_, talk) = ask(service, Talk.new(), question, "tuned", SHORT, grounded=True)
        (*_, talk) = ask(service, talk, "那要做什么检查？", "tuned", SHORT, grounded=True)
        return talk

    with ThreadPoolExecutor(4) as pool:
        talks = list(pool.map(visit, ["偏头痛有什么症状", "胃溃疡有什么症状"] * 4))
    assert [talk.turns[-1].entities for talk in talks] == [("偏头痛",), ("胃溃疡",)] * 4
    assert len({talk.id for talk in talks}) == 8
