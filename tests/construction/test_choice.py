"""Multiple choice: the letters are right, the options are of one kind, and none is there twice."""

from __future__ import annotations

from bentsao.construction.choice import Choice, choices
from bentsao.construction.composer import Tally
from bentsao.construction.grammar import load_grammar
from bentsao.construction.subjects import values_of
from tests.construction.materials import sample_material


def made(rows: int = 150, seed: int = 1) -> list[Choice]:
    return list(
        choices(
            sample_material(), load_grammar(), rows, split="train", seed=seed, tally=Tally(), accept=lambda one: one
        )
    )


def test_the_letters_are_exactly_the_right_ones() -> None:
    for one in made():
        facts = sample_material().named[one.group].facts[one.evidence[0].fact.attribute]
        true = {letter for letter, option in one.options.items() if option in values_of(facts)}
        wanted = set(one.options) - true if one.made.form == "choice_not" else true
        assert set(one.answer) == wanted
        assert one.answer == "".join(sorted(one.answer))
        assert len(set(one.options.values())) == len(one.options) == (5 if one.made.form == "choice_many" else 4)
        assert len(one.answer) == 1 or one.made.form == "choice_many"
        assert all(f"{letter}. {option}" in one.messages[0].content for letter, option in one.options.items())
        assert one.messages[1].content.startswith(f"答案是{one.answer}。")


def test_every_place_is_right_now_and_then() -> None:
    rows = made()
    assert {one.answer for one in rows if one.made.form == "choice_one"} == set("ABCD")
    assert [one.question for one in rows] == [one.question for one in made()]
    assert [one.question for one in rows] != [one.question for one in made(seed=2)]
    assert len({(one.question, *sorted(one.options.values())) for one in rows}) == len(rows)
