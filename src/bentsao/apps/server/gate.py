"""What stands before every request: the key, the size of the body, the time that it may take to come.

Plain ASGI, so that the application still hears when a client goes.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentsao.apps.server.errors import ApiError
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.serving import Limits


class Gate:
    """Lets requests through whose body is within limits, and to `/v1/` and `/metrics` only with one of the keys.

    keys: none: none is asked for. The page asks for a key itself.
    """

    def __init__(self, app: ASGIApp, *, keys: Sequence[str], limits: Limits, metrics: Metrics) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        try:
            if scope["path"].startswith(("/v1/", "/metrics")):
                self._check_key(headers.get(b"authorization", b""))
            body = await self._body(headers, receive)
        except ApiError as error:
            # Not the path: whoever has no key could make as many labels as they like.
            self._metrics.requests.labels("refused", "", str(error.status)).inc()
            # What has not been read of the body would be taken for the next request.
            error.headers["Connection"] = "close"
            await error.response()(scope, receive, send)
            return
        if body is None:  # the client has gone
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)

    def _check_key(self, given: bytes) -> None:
        """In the same time for every wrong key. Raises ApiError."""
        if not self._keys:
            return
        scheme, _, key = given.partition(b" ")
        found = [hmac.compare_digest(key.strip(), known) for known in self._keys]
        if scheme.lower() != b"bearer" or not any(found):
            message = "缺少 API 密钥或密钥不对。请在请求头里写 Authorization: Bearer 密钥。"
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None where the client went before it was there. Raises ApiError.

        A body that is too large is read on for a while, and thrown away: most clients hear nothing before they have
        sent all.
        """
        most = self._limits.body
        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said) > _PATIENCE * most:
            raise _too_large(most)
        chunks: list[bytes] = []
        length = 0
        deadline = asyncio.get_running_loop().time() + self._limits.upload
        while True:
            rest = deadline - asyncio.get_running_loop().time()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, rest))
            except asyncio.TimeoutError:
                raise ApiError(408, f"请求体在 {self._limits.upload:g} 秒内没有到齐。", code="upload_timeout") from None
            if message["type"] == "http.disconnect":
                return None
            length += len(message.get("body", b""))
            if length <= most:
                chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
            if length > most and (length > _PATIENCE * most or not more):
                raise _too_large(most)
            if not more:
                return b"".join(chunks)


_PATIENCE = 8
"""A body of so many times the most that it may have is not read on."""


def _too_large(most: int) -> ApiError:
    return ApiError(413, f"请求体超过 {most} 字节。请缩短内容。", code="request_too_large")
