from __future__ import annotations

import json
from collections import Counter
from io import StringIO

from bentsao.construction.filters import FILTERS
from bentsao.construction.sieve import Sieve
from bentsao.construction.subjects import Material
from bentsao.core.records import Conversation, Made
from tests.construction.rows import MIGRAINE, row


def pair(question: str, answer: str, *, name: str = "对") -> list[Conversation]:
    true, false = (Made(form=form, writer="composer") for form in ("premise_true", "premise_false"))
    right = row(
        "偏头痛的药物治疗里有布洛芬，对吗？",
        "对，偏头痛的药物治疗里有布洛芬。",
        facts=MIGRAINE,
        name=f"{name}#true",
        made=true,
    )
    return [right, row(question, answer, facts=MIGRAINE, name=f"{name}#false", made=false)]


def test_a_pair_is_refused_whole_and_every_row_of_it_is_told() -> None:
    refused = StringIO()
    sieve = Sieve(Material((), Counter()), tuple(FILTERS), refused)
    assert sieve.judge(pair("偏头痛的药物治疗里有阿托品，对吗？", "不对，可以自行停药。", name="一")) is None
    told = [json.loads(line) for line in refused.getvalue().splitlines()]
    assert [one["row"]["id"] for one in told] == ["一#true", "一#false"]
    assert told[0]["reasons"]["unsafe"].startswith("同组的另一行不合格：叫人自行改动用药")
    assert (sieve.tally.rows, sieve.tally.kept) == (2, 0)


def test_what_was_refused_with_its_pair_does_not_stand_against_the_next() -> None:
    sieve = Sieve(Material((), Counter()), tuple(FILTERS))
    assert sieve.judge(pair("偏头痛的药物治疗里有阿托品，对吗？", "不对，可以自行停药。", name="一")) is None
    right = "不对，偏头痛的药物治疗有布洛芬和佐米曲普坦。"
    kept = sieve.judge(pair("偏头痛的药物治疗里有阿托品，对吗？", right, name="二"))
    assert kept is not None
    assert [one.id for one in kept] == ["二#true", "二#false"]
    assert all(one.made is not None and one.made.filters == tuple(FILTERS) for one in kept)
    assert (sieve.tally.rows, sieve.tally.kept) == (4, 2)
