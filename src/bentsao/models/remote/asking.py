"""How a remote model is asked: where it is, which model, with which parameters, how fast, and for how much."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from bentsao.core.records import Record
from bentsao.models.remote.budget import Prices
from bentsao.models.remote.calling import Patience
from bentsao.models.remote.client import Endpoint
from bentsao.models.remote.exchange import OUTPUT_LIMITS, Request, Turn

ResponseFormat = Literal["none", "object", "schema"]


class Asking(Record):
    """The settings of a remote model.

    output_limit: tokens of a reply at the most, given to the server as `limit_name`. response_format: ask the server
    for JSON by the API's own means, "object" or "schema", where it has them. extra: further parameters of the API.
    requests_per_minute, tokens_per_minute, max_tokens, max_money: None is no limit. max_tokens and max_money are for
    all that the journal holds.
    """

    endpoint: Endpoint
    model: str
    temperature: float | None = 0.7
    output_limit: int = Field(default=2048, ge=1)
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    response_format: ResponseFormat = "none"
    extra: dict[str, Any] = Field(default_factory=dict)
    concurrency: int = Field(default=16, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, ge=0)
    max_money: float | None = Field(default=None, ge=0)
    prices: Prices = Prices()
    patience: Patience = Patience()

    @field_validator("extra")
    @classmethod
    def _leaves_ours_alone(cls, extra: dict[str, Any]) -> dict[str, Any]:
        """What decides the cost and the form of a reply is set above: the budget counts on it."""
        if ours := sorted(extra.keys() & {"model", "messages", "stream", "n", *OUTPUT_LIMITS}):
            raise ValueError(f"不能另设 {'、'.join(ours)}")
        return extra

    def plain_request(self, messages: tuple[Turn, ...]) -> Request:
        """A request with these messages, to be answered in plain words."""
        return Request(self.model, messages, {**self._limits(), **self.extra})

    def request(self, messages: tuple[Turn, ...], shape: type[Record]) -> Request:
        """A request with these messages; `shape` is what its reply must be."""
        parameters = self._limits()
        if self.response_format == "object":
            parameters["response_format"] = {"type": "json_object"}
        elif self.response_format == "schema":
            schema = {"name": shape.__name__.lower(), "schema": shape.model_json_schema()}
            parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        return Request(self.model, messages, {**parameters, **self.extra})

    def _limits(self) -> dict[str, Any]:
        sent = {} if self.temperature is None else {"temperature": self.temperature}
        return {self.limit_name: self.output_limit, **sent}
