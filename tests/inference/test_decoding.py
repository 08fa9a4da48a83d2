from __future__ import annotations

import math
from typing import Any

import pytest

from bentsao.core.errors import ConfigError
from bentsao.inference.decoding import Decoding

WRONG: list[tuple[str, Any]] = [
    ("max_new_tokens", 0),
    ("temperature", -1.0),
    ("temperature", 1e-9),
    ("temperature", math.inf),
    ("temperature", math.nan),
    ("top_p", 0.0),
    ("top_p", 1.5),
    ("top_k", -1),
    ("beams", 0),
    ("repetition_penalty", 0.0),
    ("repetition_penalty", math.nan),
    ("no_repeat_ngram", -1),
    ("seed", -1),
    ("seed", 1 << 63),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} = {value!r}".replace("+", r"\+")):
        Decoding.model_validate({"temperature": 1.0, name: value})


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Decoding(beams=0, max_new_tokens=-3, temperature=1.0, top_p=2.0)
    assert all(name in str(caught.value) for name in ("beams", "max_new_tokens", "top_p"))


@pytest.mark.parametrize("setting", [{"top_p": 0.9}, {"top_k": 40}])
def test_what_would_have_no_effect_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="不起作用"):
        Decoding.model_validate(setting)
    Decoding.model_validate({"temperature": 0.7, **setting})


def test_sampling_within_beams_is_allowed() -> None:
    assert Decoding(temperature=0.5, beams=4).beams == 4
