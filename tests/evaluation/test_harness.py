"""What lm-evaluation-harness does over HTTP to score multiple choice, and our own task: the same likelihoods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bentsao.core.formats import ChatFormat
from bentsao.evaluation.systems import Run, weigh_all
from bentsao.evaluation.tasks import choice
from bentsao.evaluation.tasks.choice import Posed
from bentsao.evaluation.tasks.task import Item, Source
from bentsao.inference.engines.transformers_engine import TransformersEngine
from tests.apps.server.conftest import Running, Start, start
from tests.inference.bases import tiny_base

__all__ = ["start"]

COMPLETION = ChatFormat(name="completion", prompt="{instruction}", follow_up="\n\n{instruction}")
"""docs/evaluation.md: a format that adds nothing."""


@pytest.fixture
def items(tmp_path: Path) -> list[Item[Posed]]:
    rows = [
        {"question": f"感冒{n}怎么办", "options": ["休息", "多喝水", "吃药", "不管"], "answer": "ABCD"[n % 4]}
        for n in range(6)
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return choice.load(Source(files=(path,), shuffles=0))


def harness(server: Running, tokenizer: Any, items: list[Item[Posed]], **told: bool) -> list[list[float]]:
    """The log-likelihood of each letter, as `local-completions` asks for it with `tokenized_requests=True`.

    told: `add_special_tokens`, which is its `add_bos_token`. The prompt is context and continuation together; of what
    comes back, the continuation's part is read: behind the context, and before the one token that was written.
    """
    found: list[list[float]] = []
    for item in items:
        context = item.messages[0].content
        whole = [tokenizer(context + letter, **told).input_ids for letter in item.weighed]
        before = len(tokenizer(context, **told).input_ids)
        body = {"model": "tiny", "prompt": whole, "max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0}
        choices = server.http.post("/v1/completions", json=body).raise_for_status().json()["choices"]
        choices = sorted(choices, key=lambda one: one["index"])
        found.append([sum(one["logprobs"]["token_logprobs"][before:-1]) for one in choices])
    return found


def test_the_same_likelihoods_as_our_own_task(start: Start, items: list[Item[Posed]], tmp_path: Path) -> None:
    base = tiny_base("gemma3")
    engine = TransformersEngine(base, COMPLETION)
    run = Run(tmp_path, 1, restart=False, tell=lambda what, done, count: None, report=print)
    weighed = weigh_all(engine, items, run)
    ours = [[weight.logprob for weight in weighed[item.id].weights] for item in items]
    assert len({round(value, 3) for row in ours for value in row}) == 24, "what is always the same proves nothing"
    server = start(engine)
    theirs = harness(server, base.tokens.tokenizer, items, add_special_tokens=True)
    assert [value for row in theirs for value in row] == pytest.approx(
        [value for row in ours for value in row], abs=1e-4
    )
    # Its default leaves the start token out, which is another prompt.
    bare = harness(server, base.tokens.tokenizer, items, add_special_tokens=False)
    assert [value for row in bare for value in row] != pytest.approx([value for row in ours for value in row], abs=1e-2)
