"""The composer: what is made of a knowledge base, how much of it, and that all of it stands in the facts."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from bentsao.construction.composer import GROUNDED_MIX, QA_MIX, Tally, compose, dialogues, is_sound
from bentsao.construction.exchanges import Exchange
from bentsao.construction.grammar import load_grammar
from bentsao.construction.rivals import rivals
from bentsao.construction.shares import quotas, split_of
from bentsao.construction.subjects import Material, values_of
from bentsao.core.grounding import cited_numbers
from bentsao.knowledge.normalise import normalise
from tests.construction.materials import fact, sample_material, small_material, subject

GRAMMAR = load_grammar()


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return small_material(tmp_path_factory.mktemp("kb"))


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    """Five hundred of every form, from the sample."""
    tally = Tally()
    return list(compose(sample_material(), GRAMMAR, GROUNDED_MIX, 500, split="train", seed=7, tally=tally))


def test_all_forms_are_made(exchanges: list[Exchange]) -> None:
    made = Counter(exchange.form for exchange in exchanges)
    assert set(made) == set(GROUNDED_MIX)
    assert made["lay"] > made["clinician"] > made["exam"] > 5
    assert abs(made["drug_true"] - made["drug_false"]) < 12


def test_values_in_an_answer_are_in_its_evidence(exchanges: list[Exchange]) -> None:
    """What stands before a mark is what the fact of that number says."""
    for exchange in exchanges:
        facts = {item.number: item.fact for item in exchange.evidence}
        assert set(cited_numbers(exchange.answer)) <= set(facts), exchange
        for sentence in re.split(r"(?<=[。；])", exchange.answer):
            for number in cited_numbers(sentence) if exchange.form in ("lay", "exam", "vignette", "follow_up") else ():
                told = facts[number]
                assert any(
                    normalise(value.rstrip("。；")).text in normalise(exchange.answer).text for value in told.values
                )
                if told.qualifier and f"{told.qualifier}：" in sentence:
                    assert any(value.rstrip("。；") in sentence for value in told.values)


def test_all_values_of_a_fact_are_said(exchanges: list[Exchange]) -> None:
    for exchange in exchanges:
        if exchange.form in ("lay", "clinician", "exam", "vignette", "several", "follow_up", "triage", "invented"):
            if exchange.form == "invented" and exchange.value:
                continue
            for value in values_of(exchange.facts):
                assert value.rstrip("。；") in exchange.answer, (value, exchange.answer)


def test_answers_pass_the_verifier(exchanges: list[Exchange]) -> None:
    tally = Tally()
    assert all(is_sound(exchange, sample_material(), tally) for exchange in exchanges)
    assert not tally.refused


def test_an_answer_beyond_the_facts_is_refused(exchanges: list[Exchange]) -> None:
    from dataclasses import replace

    tally = Tally()
    exchange = next(one for one in exchanges if one.form == "lay" and "药物治疗" in one.attributes)
    worse = replace(exchange, answer=f"{exchange.names[0]}的药物治疗有青霉素V钾片{exchange.answer[-4:]}")
    assert not is_sound(worse, sample_material(), tally)
    assert tally.refused.total() == 1
    assert worse.question in next(iter(tally.examples.values()))[0]


def test_a_question_names_what_it_is_about(exchanges: list[Exchange]) -> None:
    for exchange in exchanges:
        if exchange.form not in ("follow_up", "vague"):
            assert all(name in exchange.question for name in exchange.names), exchange
        if exchange.form in ("follow_up", "turn"):
            assert exchange.history


def test_unknown_names_are_in_no_base(exchanges: list[Exchange]) -> None:
    known = sample_material().named
    unknown = [exchange for exchange in exchanges if exchange.form in ("unknown", "invented")]
    assert unknown
    for exchange in unknown:
        assert exchange.subjects == ()
        assert not set(exchange.names) & set(known)
        assert not any(other in name for name in exchange.names for other in known if len(other) > 4)


def test_what_is_missing_is_missing(exchanges: list[Exchange]) -> None:
    for exchange in exchanges:
        for gap in exchange.gaps:
            owner = sample_material().named.get(gap.entity)
            assert owner is None or gap.attribute not in owner.facts


def test_what_is_there_in_its_sides_is_not_missing(material: Material) -> None:
    """怎么治 has an answer where the base has the medicines."""
    made = compose(material, GRAMMAR, {"missing": 1}, 200, split="train", seed=3, tally=Tally())
    missing = {gap.attribute for one in made for gap in one.gaps}
    assert all("药物治疗" in one.facts for one in material.subjects if one.entity.kind == "disease")
    assert len(missing) > 5
    assert "治疗方案" not in missing


def test_each_word_once(exchanges: list[Exchange]) -> None:
    """What filling slots can double: 检查检查, 有有传染性, 的的."""
    for exchange in exchanges:
        for text in (exchange.question, exchange.answer):
            assert not re.search(r"检查检查|治疗治疗|有有|是是(?!否)|的的|为为|，，|。。|患者患者", text), text
            assert "{" not in text


def test_the_same_each_time_and_another_for_another_seed(material: Material) -> None:
    def made(seed: int) -> list[tuple[str, str]]:
        rows = compose(material, GRAMMAR, QA_MIX, 60, split="train", seed=seed, tally=Tally())
        return [(one.question, one.answer) for one in rows]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_a_subject_does_not_depend_on_those_before(material: Material) -> None:
    """Leaving one subject out changes nothing of the others' rows but how many there are."""
    name = material.subjects[-1].name

    def made(whole: Material) -> list[str]:
        rows = compose(whole, GRAMMAR, {"lay": 1.0}, 3 * len(whole.subjects), split="train", seed=1, tally=Tally())
        return [one.question for one in rows if one.subjects == (name,)]

    assert set(made(material)[:2]) & set(made(material.part(lambda one: one is not material.subjects[0])))


def test_rows_are_shared_out_by_facts(material: Material) -> None:
    given = {one.name: quota for one, quota in quotas(material, 100)}
    assert sum(given.values()) == 100
    assert given["感冒"] > given["奥司他韦"] > 0


def test_exhausted_material_is_told() -> None:
    only = Material((subject("某某病", fact("某某病", "病因", "受凉")),), Counter())
    tally = Tally()
    rows = list(compose(only, GRAMMAR, {"exam": 1.0}, 500, split="train", seed=1, tally=tally))
    assert 0 < len(rows) < 500
    assert tally.unfilled["问答（disease）"] == 500 - len(rows)
    assert len({one.question for one in rows}) == len(rows)


def test_what_is_not_accepted_is_replaced(material: Material) -> None:
    seen: list[Exchange] = []

    def every_other(exchange: Exchange) -> bool:
        seen.append(exchange)
        return len(seen) % 2 == 0

    rows = list(compose(material, GRAMMAR, QA_MIX, 40, split="train", seed=1, tally=Tally(), accept=every_other))
    assert len(rows) == 40
    assert len(seen) >= 80


def test_dialogues_go_on_about_one_thing(material: Material) -> None:
    made = list(dialogues(material, GRAMMAR, 20, split="train", seed=3, tally=Tally()))
    assert len(made) == 20
    for turns in made:
        assert 2 <= len(turns) <= 6
        assert len({turn.subjects for turn in turns}) == 1
        asked = [attribute for turn in turns for attribute in turn.attributes]
        assert len(asked) == len(set(asked))
        assert turns[-1].history == tuple(turn.question for turn in turns[:-1])


def test_rivals_are_those_that_are_told_apart(material: Material) -> None:
    named = {one.name: one for one in material.subjects}
    assert [one.name for one in rivals(named["流行性感冒"], material)] == ["感冒"]
    # 鼻炎 names 感冒 in its differential diagnosis; nobody confuses it with 湿疹.
    assert {one.name for one in rivals(named["感冒"], material)} == {"流行性感冒", "过敏性鼻炎"}
    assert rivals(named["胃溃疡"], material) == []


def test_a_name_is_in_one_split_for_all_data_sets() -> None:
    shares = {"train": 0.9, "valid": 0.05, "test": 0.05}
    drawn = Counter(split_of(f"病{number}", 42, shares) for number in range(4000))  # type: ignore[arg-type]
    assert 0.87 < drawn["train"] / 4000 < 0.93
    assert split_of("感冒", 42, {"test": 1.0}) == "test"
