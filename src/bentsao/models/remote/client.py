"""One call over HTTP with the `openai` client, and what its outcome means: a reply, or a CallError of one kind."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from bentsao.core.errors import ConfigError
from bentsao.core.records import Record
from bentsao.models.remote.exchange import Reply, Request, read_reply

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CallKind = Literal["refused", "lost", "rejected", "fatal"]


class CallError(Exception):
    """A call that brought no reply.

    kind: "refused": the server did not do the work, try again (429, 5xx, no connection); "lost": it may have done it,
    try again (timeout, connection broken, a gateway gave up); "rejected": this request will never do (400, 422 …);
    "fatal": none will (401, 403, 404, quota used up).
    `status`: of HTTP, None without an answer. `retry_after`: seconds the server asks to wait, None: it says nothing.
    `message` is for the reader and holds no key.
    """

    def __init__(
        self, kind: CallKind, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind, self.message, self.status, self.retry_after = kind, message, status, retry_after

    @property
    def reason(self) -> str:
        """What it is counted under."""
        return self.message.partition("：")[0]


class Endpoint(Record):
    """Where a remote model is. The key is read from the environment when a client is made, and kept nowhere else.

    base_url: up to and with `/v1`. key_env: name of the environment variable with the key. timeout: seconds for one
    call. connections: how many calls can be out at once.
    """

    base_url: str
    key_env: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    connections: int = 16


class Client:
    """An open connection to a remote model; use it in `async with`. Makes no retries of its own.

    Raises ConfigError for a key or an address that cannot be sent.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx2
        from openai import AsyncOpenAI, DefaultAsyncHttpx2Client

        if not re.match(r"https?://[^/\s]", endpoint.base_url):
            raise ConfigError(f"--api-base {_without_login(endpoint.base_url)!r} 应是 http:// 或 https:// 开头的地址。")
        self._key_env, self._key = endpoint.key_env, read_key(endpoint.key_env)
        self._timeout = endpoint.timeout
        # The client's own limit of kept connections (100) would open a new one for each call beyond it.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=endpoint.connections)
        self._response = httpx2.Response
        self.api: AsyncOpenAI = AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=self._key or "none",  # local servers ask for none, but the client wants one
            max_retries=0,
            timeout=endpoint.timeout,
            http_client=DefaultAsyncHttpx2Client(limits=limits, timeout=endpoint.timeout),
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.api.close()

    async def send(self, request: Request) -> Reply:
        """Make one call. Raises CallError; whatever comes with status 200 is a Reply."""
        # The plain response: what the client would make of it is read with more care in `read_reply`, and faster.
        body = await self.attempt(lambda: self.api.post("/chat/completions", cast_to=self._response, body=request.body))
        return read_reply(request.key, request.most, body.text, now())

    async def attempt(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """What an API call returns. Raises CallError for what can go wrong on the way."""
        import openai

        try:
            # The client's own timeout is for each piece received, and a server may send a byte now and then.
            return await asyncio.wait_for(call(), self._timeout)
        except (TimeoutError, asyncio.TimeoutError):  # two classes up to Python 3.10
            raise CallError("lost", f"超时：{self._timeout:g} 秒没有回答") from None
        except openai.APITimeoutError as error:
            kind = "refused" if _never_connected(error) else "lost"
            raise CallError(kind, f"超时：{self._timeout:g} 秒没有回答") from None
        except openai.APIConnectionError as error:
            said = self._redacted(str(error.__cause__ or error))
            kind = "refused" if _never_connected(error) else "lost"
            raise CallError(kind, f"连接失败：{said}") from None
        except openai.APIStatusError as error:
            raise self._status_error(error.status_code, error.message, error.code, error.response.headers) from None
        except openai.OpenAIError as error:
            raise CallError("lost", f"不能读的回答：{self._redacted(str(error))}") from None

    def _status_error(self, status: int, message: str, code: str | None, headers: Mapping[str, str]) -> CallError:
        said = f"HTTP {status}：{self._redacted(message)}"
        retry_after = read_retry_after(headers)
        if status in {401, 403} and not self._key:
            said += f"（没有发送密钥：环境变量 {self._key_env} 是空的，变量名可用 --key-env 指定）"
        if status in {401, 403, 404} or code in _NO_CREDIT:
            return CallError("fatal", said, status=status)
        if status in {408, 502, 504, 524}:  # a gateway gave up; what stands behind it may have gone on
            return CallError("lost", said, status=status, retry_after=retry_after)
        if status == 429 or status >= 500:
            return CallError("refused", said, status=status, retry_after=retry_after)
        return CallError("rejected", said, status=status)

    def _redacted(self, text: str) -> str:
        """A server's words, shortened, without the key and what looks like one."""
        if self._key:
            text = text.replace(self._key, "***")
        text = re.sub(r"(?i)\b(bearer\s+|sk-)[\w*.-]+", r"\1***", _without_login(text))
        return text if len(text) <= 300 else text[:300] + "……"


_NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "Arrearage"}
"""Codes that come with 429 or 400 and will not pass by waiting."""


def read_key(variable: str) -> str:
    """The key in an environment variable; '' where it is not set. Raises ConfigError if it cannot be sent."""
    key = os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise ConfigError(f"环境变量 {variable} 里的密钥含有空白或非 ASCII 字符，不能发送。请检查它的值。")
    return key


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date."""
    with contextlib.suppress(KeyError, ValueError):
        return _seconds(float(headers["retry-after-ms"]) / 1000)
    value = headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return _seconds(float(value))
    with contextlib.suppress(ValueError, TypeError):
        return _seconds((parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
    return None


def _seconds(value: float) -> float | None:
    return max(0.0, value) if math.isfinite(value) else None


def now() -> str:
    """The time, ISO 8601, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _never_connected(error: BaseException) -> bool:
    """Whether a failure came before anything was sent (told by the names that httpx and its kin share)."""
    return type(error.__cause__).__name__ in {"ConnectError", "ConnectTimeout", "PoolTimeout"}


def _without_login(text: str) -> str:
    """Addresses without the user and password that may stand in them."""
    return re.sub(r"(https?://)[^/\s@]+@", r"\1***@", text)
