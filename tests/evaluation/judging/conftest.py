"""Answers of made-up systems, and scripted judges that read the prompt they get."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentsao.core.files import write_jsonl
from bentsao.evaluation.answers import Answers, match, read_systems
from bentsao.evaluation.judging.judge import Plan, Prepared, Result, prepare, run
from bentsao.evaluation.judging.rubric import Rubric, load
from bentsao.evaluation.judging.scoring import Scoring
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.calling import Patience
from bentsao.models.remote.client import Endpoint
from tests.models.remote.server import Act, completion

Say = Callable[[str], dict[str, Any]]


def prompt_of(body: dict[str, Any]) -> str:
    """What the judge was asked at first, whatever came after."""
    return next(message["content"] for message in body["messages"] if message["role"] == "user")


def block(prompt: str, label: str) -> str:
    """What stands between the marks of this label."""
    found = re.search(rf"<{label}-\w+>\n(.*?)\n</{label}-", prompt, re.DOTALL)
    assert found, f"no {label} in the prompt"
    return found[1]


def honest(body: dict[str, Any]) -> str:
    """A judge that counts: as many 好 as an answer has, so good it is."""
    prompt = prompt_of(body)
    if '"better"' in prompt:
        first, second = block(prompt, "回答A").count("好"), block(prompt, "回答B").count("好")
        better = "A" if first > second else "B" if second > first else "tie"
        return json.dumps({"reason": "数过", "better": better}, ensure_ascii=False)
    good = block(prompt, "回答").count("好")
    if '"met"' in prompt:
        return json.dumps({"reason": "数过", "met": good >= 2})
    names = re.findall(r'"(\w+)": (\d)', prompt.rsplit("\n", 1)[-1])
    return json.dumps({"reason": "数过", **{name: max(0, min(int(high), good)) for name, high in names}})


def honestly(body: dict[str, Any], _: int) -> Act:
    return Act(body=completion(honest(body)))


@pytest.fixture
def answers(tmp_path: Path) -> Callable[..., Answers]:
    """answers(甲=["text", …], 乙=[…]): the answers to questions q0, q1 … in files, read back; None is an error."""

    def make(engines: dict[str, str] | None = None, classes: Path | None = None, **said: list[str | None]) -> Answers:
        for name, texts in said.items():
            rows = [
                {"id": f"q{n}", "question": f"问题{n}？", "text": text or "", "reference": "参考"}
                | ({} if text is not None else {"finish": "error", "error": "太长"})
                for n, text in enumerate(texts)
            ]
            write_jsonl(tmp_path / f"{name}.jsonl", rows)
            if engines and name in engines:
                manifest = {"settings": {"engine": engines[name]}}
                (tmp_path / f"{name}.jsonl.manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return match(read_systems([str(tmp_path / f"{name}.jsonl") for name in said]), None, classes)

    return make


@pytest.fixture
def judging(tmp_path: Path) -> Callable[..., Result]:
    """judging(found, url, rubric="sus", pairwise=False, **fields of Asking): a whole run into tmp_path / "out"."""

    def make(found: Answers, url: str, **more: Any) -> Result:
        return run(planned(found, url, **more), tmp_path / "out", tmp_path / "out" / "calls.jsonl")

    return make


def planned(
    found: Answers,
    url: str,
    *,
    rubric: str | Rubric = "sus",
    pairwise: bool = False,
    least: float = 0.9,
    timeout: float = 10.0,
    **fields: Any,
) -> Prepared:
    """A plan for a test server; quick to try again."""
    asking = Asking(
        endpoint=Endpoint(base_url=url, key_env="BENTSAO_TEST_KEY", timeout=timeout),
        model=fields.pop("model", "judge-1"),
        temperature=0.0,
        patience=Patience(attempts=3, base=0.01, longest=0.03),
        **fields,
    )
    chosen = load(rubric) if isinstance(rubric, str) else rubric
    return prepare(Plan(found, asking, Scoring(chosen, {}), pairwise, least))
