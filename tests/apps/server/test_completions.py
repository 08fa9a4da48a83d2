from __future__ import annotations

import math
from typing import Any

import openai
import pytest

from bentsao.apps.server.jobs import Weighing
from tests.apps.server.conftest import ANSWER, Start
from tests.apps.server.scribe import Scribe
from tests.apps.server.test_api import events
from tests.inference.stand_in import StandInEngine


def test_texts_are_written_on(start: Start) -> None:
    client = start().openai
    one = client.completions.create(model="tiny", prompt="感冒")
    assert one.choices[0].text == ANSWER[:16]
    assert one.choices[0].finish_reason == "length"
    many = client.completions.create(model="tiny", prompt=["甲", "乙乙"], n=2, max_tokens=50, stop="，注")
    assert [choice.text for choice in many.choices] == ["感冒多由病毒引起"] * 4
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
    assert many.usage is not None
    assert many.usage.prompt_tokens == 2 + 3, "with the start token of each"


def test_texts_come_in_pieces(start: Start) -> None:
    stream = start().openai.completions.create(model="tiny", prompt=["甲", "乙"], max_tokens=50, stream=True)
    texts = {0: "", 1: ""}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == {0: ANSWER, 1: ANSWER}


def test_ids_are_taken_as_they_are(start: Start) -> None:
    engine = Scribe("好。")
    server = start(engine)
    ids = engine.tokens.encode("<bos>甲", control=True)
    answer = server.http.post("/v1/completions", json={"prompt": [ids, [ids[1]]], "echo": True}).json()
    assert engine.prompts == [[ids[1]], ids] or engine.prompts == [ids, [ids[1]]]
    assert [choice["text"] for choice in answer["choices"]] == ["甲好。", "甲好。"]


@pytest.mark.parametrize("written", [0, 1])
def test_likelihoods_as_lm_evaluation_harness_asks_for_them(start: Start, written: int) -> None:
    """It adds the answer to the prompt and reads the answer's part of what comes back."""
    engine = Scribe("人")
    client = start(engine).openai
    prompts = [engine.tokens.encode(text) for text in ("甲乙丙", "甲甲")]
    body: Any = {"model": "tiny", "prompt": prompts, "max_tokens": written, "temperature": 0, "seed": 1234}
    answer = client.completions.create(**body, logprobs=1, echo=True)
    first, second = (choice.logprobs for choice in answer.choices)
    assert first is not None
    assert second is not None
    assert first.tokens == ["甲", "乙", "丙", "人"][: 3 + written]
    assert first.token_logprobs is not None
    assert first.token_logprobs[0] is None
    assert first.token_logprobs[1:3] == [math.log(0.001)] * 2
    assert first.top_logprobs is not None
    assert first.top_logprobs[1] == {"甲": math.log(0.5), "乙": math.log(0.001)}
    assert first.text_offset == [0, 1, 2, 3][: 3 + written]
    assert second.token_logprobs is not None
    assert second.top_logprobs is not None
    assert second.token_logprobs[1] == max(second.top_logprobs[1].values()), "which is how it sees what is greedy"


def test_likelihoods_of_what_was_written(start: Start) -> None:
    answer = start(Scribe("甲甲乙")).openai.completions.create(model="tiny", prompt="甲", logprobs=1)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["甲", "甲", "乙"]
    assert logprobs.token_logprobs == [math.log(0.5), math.log(0.5), math.log(0.001)]


def test_likelihoods_of_a_chats_answer(start: Start) -> None:
    answer = start(Scribe("甲甲乙")).ask("问", logprobs=True, top_logprobs=1).json()
    content = answer["choices"][0]["logprobs"]["content"]
    assert [token["token"] for token in content] == ["甲", "甲", "乙"]
    assert content[1]["logprob"] == math.log(0.5)
    assert content[2]["top_logprobs"][0]["token"] == "甲"


def test_one_text_that_cannot_be_weighed_disturbs_no_other(start: Start) -> None:
    """Two requests whose jobs meet in one batch: one is too long for the engine, though not for the server."""
    engine = Scribe("好", context=60)
    server = start(engine)
    told: list[Any] = []
    long, short = (Weighing([10], [11] * count, told.append) for count in (70, 3))
    server.service.submit(server.service.served["tiny"], [long, short])
    server.service.served["tiny"].batcher.close()
    assert sorted(type(each).__name__ for each in told) == ["ModelError", "Weight"]


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "prompt：缺少这个字段"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": []}, "prompt"),
    ({"prompt": [[]]}, "prompt"),
    ({"prompt": ["a", 3]}, "prompt"),
    ({"prompt": [-1]}, "prompt"),
    ({"prompt": [8_633_779]}, "不在词表中"),
    ({"prompt": [2**70]}, "不在词表中"),
    ({"prompt": "a", "max_tokens": 0}, "max_tokens 为 0"),
    ({"prompt": "a", "stream": True, "echo": True}, "不能用于流式"),
    ({"prompt": "a", "suffix": "b"}, "不支持 suffix"),
    ({"prompt": "a", "best_of": 3}, "不支持 best_of"),
    ({"prompt": "长" * 700}, "问题太长"),
    ({"prompt": "a", "model": "tiny-grounded"}, ""),
]


@pytest.mark.parametrize(("body", "words"), BAD)
def test_what_is_wrong_is_told(start: Start, body: dict[str, Any], words: str) -> None:
    answer = start().http.post("/v1/completions", json=body)
    assert answer.status_code in (400, 404)
    assert words in answer.json()["error"]["message"]


def test_an_engine_that_cannot_weigh_says_so(start: Start) -> None:
    client = start(StandInEngine()).openai
    with pytest.raises(openai.BadRequestError, match="不能给出 token 的概率"):
        client.completions.create(model="tiny", prompt="问", logprobs=1)


def test_streams_end(start: Start) -> None:
    text = start().http.post("/v1/completions", json={"prompt": "a", "stream": True}).text
    assert events(text)[-1]["choices"][0]["finish_reason"] == "length"
