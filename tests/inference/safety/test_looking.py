from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.records import Message
from bentsao.inference.safety import alarm_text, caution, look, with_alarm
from tests.inference.safety.cases import DIALOGUES, EMERGENCIES, MORE_EMERGENCIES, MORE_QUIET, QUIET


def turns(said: tuple[str, ...]) -> list[Message]:
    return [Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(said)]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in EMERGENCIES.items() for text in texts])
def test_emergencies_raise_an_alarm_of_their_kind(kind: str, text: str) -> None:
    alarm = look(text)
    assert alarm is not None
    assert kind in alarm.kinds


@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in QUIET.items() for text in texts])
def test_what_is_no_emergency_raises_none(why: str, text: str) -> None:
    assert look(text) is None


@pytest.mark.parametrize(("said", "kind"), DIALOGUES)
def test_the_last_turns_are_read_together(said: tuple[str, ...], kind: str | None) -> None:
    alarm = look(turns(said))
    assert (alarm is None) if kind is None else (alarm is not None and kind in alarm.kinds)


def test_recall_and_false_alarms() -> None:
    missed = [text for text in MORE_EMERGENCIES if look(text) is None]
    false = [text for text in MORE_QUIET if look(text) is not None]
    assert not missed, f"recall {1 - len(missed) / len(MORE_EMERGENCIES):.1%}"
    assert not false, f"false alarms {len(false) / len(MORE_QUIET):.1%}"


def test_only_the_last_three_turns_count() -> None:
    said = ["我爸突然胸痛", "好。", "一", "好。", "二", "好。", "三"]
    assert look(turns(tuple(said[:5]))) is not None
    assert look(turns(tuple(said))) is None


def test_a_model_cannot_raise_or_stop_an_alarm() -> None:
    assert look(turns(("你好", "您没有急症，不用去医院。我爸突然胸痛。", "谢谢"))) is None
    assert look(turns(("我爸突然胸痛", "没事了，已经好了，不用打 120。", "那我再等等"))) is not None


def test_an_alarm_says_what_told_of_it_and_what_to_do() -> None:
    alarm = look("孩子誤服了農藥，現在抽搐")
    assert alarm is not None
    assert alarm.kinds == ("中毒", "抽搐")
    assert "誤服" in alarm.words
    text = alarm_text(alarm)
    assert "120" in text
    assert "催吐" in text
    assert "往嘴里塞" in text
    assert with_alarm(alarm, "多喝水。").startswith("【急症提示】")
    assert with_alarm(None, "多喝水。") == "多喝水。"


@pytest.mark.parametrize("first", EMERGENCIES)
def test_no_alarm_contradicts_itself(first: str) -> None:
    """Of any two emergencies at once: nobody is told to lie down and to sit up."""
    for second in EMERGENCIES:
        alarm = look(f"{EMERGENCIES[first][0]}。{EMERGENCIES[second][0]}")
        assert alarm is not None
        told = alarm_text(alarm)
        assert not ("不要让他平躺" in told and ("让他平躺" in told.replace("不要让他平躺", "") or "躺下" in told)), told


def test_anaphylaxis_comes_before_the_breath_that_it_takes() -> None:
    alarm = look("刚打完青霉素喉咙肿了喘不上气")
    assert alarm is not None
    assert alarm.kinds == ("严重过敏", "呼吸困难")
    assert "过敏" in alarm.title


def test_self_harm_is_met_with_company() -> None:
    alarm = look("我吃了一整瓶安眠药，不想活了")
    assert alarm is not None
    assert alarm.kinds[0] == "自杀自伤"
    assert "12356" in alarm.call
    assert "120" in alarm.call
    assert any("陪" in line for line in alarm.until)
    assert any("催吐" in line for line in alarm.never)


def test_cautions_for_pregnancy_small_children_and_alcohol() -> None:
    assert len(caution("怀孕了能吃布洛芬吗")) == 1
    assert "产科" in caution("怀孕了能吃布洛芬吗")[0]
    assert "婴幼儿" in caution("宝宝六个月能吃蜂蜜吗")[0]
    assert caution("高血压能吃西瓜吗") == ()
    for text in ("吃了头孢能喝酒吗", "昨天喝酒了，今天能打头孢吗", "甲硝唑和啤酒"):
        assert "双硫仑" in caution(text)[0], text
    assert caution("高血压能喝酒吗") == caution("头孢克肟怎么吃") == ()
    assert caution("我在写小说，主角怀孕了") == ()


def test_looking_takes_no_time() -> None:
    texts = [text for texts in (*EMERGENCIES.values(), *QUIET.values()) for text in texts]
    for text in texts:
        look(text)  # patterns are compiled when they are met first
    best = 1.0
    for _ in range(5):
        started = time.process_time()
        for text in texts:
            look(text)
        best = min(best, (time.process_time() - started) / len(texts))
    assert best < 0.0006  # 0.13 ms on an idle core; other work there may slow it


def test_a_long_text_is_read_at_its_ends() -> None:
    assert look("你好。" * 100_000 + "我爸现在昏迷了") is not None
    assert look("我爸现在昏迷了。" + "你好。" * 100_000) is not None


@given(st.one_of(st.text(), st.text("我爸胸痛没有突然昏迷了，。？十年前吃片药孩子发烧 \n\u3000", max_size=60)))
def test_any_text_is_looked_at(text: str) -> None:
    alarm = look(text)
    assert alarm is None or all(word in text for word in alarm.words)
    caution(text)
