"""The OpenAPI document says what the server does: schemathesis asks by it, within it and beside it."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis import checks as every

from tests.apps.server.conftest import Start

CHECKS: list[Any] = [
    every.not_a_server_error,
    every.status_code_conformance,
    every.content_type_conformance,
    every.response_schema_conformance,
    every.negative_data_rejection,
    every.unsupported_method,
]


def test_the_document(start: Start) -> None:
    document = start().http.get("/openapi.json").json()
    assert set(document["paths"]) >= {"/v1/chat/completions", "/v1/completions", "/v1/models", "/health", "/metrics"}
    answers = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert {"200", "400", "401", "404", "408", "413", "429", "500", "503", "504"} == set(answers)
    assert set(answers["200"]["content"]) == {"application/json", "text/event-stream"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_server_keeps_to_its_document(start: Start, mode: GenerationMode) -> None:
    keep_to_it(start, mode, 3, by_chance=False)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_server_keeps_to_its_document_in_every_corner(start: Start, mode: GenerationMode) -> None:
    keep_to_it(start, mode, 100, by_chance=True)


def keep_to_it(start: Start, mode: GenerationMode, examples: int, *, by_chance: bool) -> None:
    """Every operation, asked by the document's own forms, or (negative) by what they forbid.

    by_chance: other examples each time; else the same ones, so that a commit passes twice or never.
    """
    schema: Any = schemathesis.openapi.from_url(f"{start(waiting=500).url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 6
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # there is nothing to be said wrongly

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=not by_chance,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )
        @given(case=operation.as_strategy(mode))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, timeout=20)

        ask()
