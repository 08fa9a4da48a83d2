"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`, with Chinese messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bentsao.core.complaints import reason


class ErrorInfo(BaseModel):
    """What went wrong. param: the field of the request at fault; code: for programs."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorInfo


_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An error to be told to the client."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        self.status = status
        self.body: dict[str, Any] = ErrorBody(
            error=ErrorInfo(message=message, type=kind, param=param, code=code)
        ).model_dump()
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """As the whole answer."""
        return JSONResponse(self.body, status_code=self.status, headers=self.headers)


def wrong(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that cannot be answered as it is."""
    return ApiError(400, message, param=param, code=code)


def invalid(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """From what pydantic found: all faults in one message, without the values, which may be a person's words."""
    faults: list[str] = []
    for error in errors[:10]:
        place = ".".join(str(part) for part in error["loc"] if part != "body" and not _is_branch(part))
        faults.append(f"{place or '请求体'}：{reason(error)}")
    first = next((str(part) for part in errors[0]["loc"] if part != "body" and isinstance(part, str)), None)
    param = None if errors[0]["type"] == "json_invalid" else first
    return wrong(f"请求有误。{'；'.join(dict.fromkeys(faults))}。", param)


def _is_branch(part: object) -> bool:
    """Whether this is pydantic's name for one branch of a union, which no client knows."""
    return isinstance(part, str) and (part in ("str", "int") or "[" in part or part[:1].isupper())
