"""The application: its routes, and how errors leave it."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bentsao import __version__
from bentsao.apps.server.asking import GoneError, as_api_error
from bentsao.apps.server.chat import Chat
from bentsao.apps.server.completions import Completing
from bentsao.apps.server.errors import ApiError, ErrorBody, invalid, wrong
from bentsao.apps.server.gate import Gate
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.reading import check
from bentsao.apps.server.serving import GROUNDED, Served, Service
from bentsao.apps.server.shelf import Changes, Shelf
from bentsao.apps.server.wire import (
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    Drawing,
    Health,
    ModelCard,
    ModelList,
)
from bentsao.core.errors import BentsaoError, MissingError

log = logging.getLogger("bentsao.server")

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": words}
    for status, words in {
        400: "请求有误",
        401: "缺少密钥或密钥不对",
        404: "没有这个模型",
        408: "请求体没有及时到齐",
        413: "请求体太大",
        429: "排队已满，见 Retry-After",
        500: "服务器内部出错",
        503: "正在停止、内存不足或模型打不开",
        504: "超时",
    }.items()
}
_ANSWER = {
    "description": "回答；stream 为 true 时是 server-sent events（text/event-stream）",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


def create_app(service: Service, metrics: Metrics, *, keys: Sequence[str] = (), shelf: Shelf | None = None) -> FastAPI:
    """The application that serves these models.

    keys: what clients must send one of; none: no key is asked for. shelf: adapters that can be changed meanwhile.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        service.close()

    # Errors as they leave the routes are in OpenAI's form; FastAPI's pages would fetch scripts from elsewhere.
    app = FastAPI(title="本草", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    metrics.watch(lambda: list(service.served.values()))
    _handle_errors(app, metrics)
    _add_routes(app, service, metrics)
    if shelf is not None:
        _add_reload(app, service, shelf)
    app.add_middleware(Gate, keys=keys, limits=service.limits, metrics=metrics)
    app.openapi = lambda: _document(app)
    return app


def _add_routes(app: FastAPI, service: Service, metrics: Metrics) -> None:
    @app.post("/v1/chat/completions", response_model=ChatCompletion, responses={**_ERRORS, 200: _ANSWER})
    async def chat_completions(http: Request, request: ChatRequest) -> Response:
        """一段对话的下一个回答。"""

        async def ask(model: Served, name: str, grounded: bool) -> Response:
            chat = Chat(service, metrics, model, request, name)
            await chat.begin(grounded=grounded or bool(request.grounded))
            return chat.stream() if request.stream else JSONResponse(await chat.whole(http))

        return await _answered(service, metrics, request, ask, "chat")

    @app.post("/v1/completions", response_model=Completion, responses={**_ERRORS, 200: _ANSWER})
    async def completions(http: Request, request: CompletionRequest) -> Response:
        """续写一段文本，或给出它的概率。"""

        async def ask(model: Served, name: str, grounded: bool) -> Response:
            if grounded:
                raise wrong("依据知识库的回答只在 /v1/chat/completions。", "model")
            completing = Completing(service, metrics, model, request, name)
            await completing.begin()
            return completing.stream() if request.stream else JSONResponse(await completing.whole(http))

        return await _answered(service, metrics, request, ask, "completions")

    @app.get("/v1/models", response_model=ModelList, responses={401: _ERRORS[401]})
    async def models() -> ModelList:
        """可以用的模型。"""
        return ModelList(data=[card for model in service.served.values() for card in _cards(model)])

    @app.get(
        "/v1/models/{name:path}", response_model=ModelCard, responses={each: _ERRORS[each] for each in (400, 401, 404)}
    )
    async def model(name: str) -> ModelCard:
        """一个模型。"""
        try:
            found, grounded = service.find(name)
        except MissingError as error:
            raise ApiError(404, str(error), param="model", code="model_not_found") from None
        return _cards(found)[int(grounded)]

    @app.get("/health", response_model=Health, responses={503: {"model": Health, "description": "正在停止"}})
    async def health() -> JSONResponse:
        """是否在接受请求。"""
        batchers = [model.batcher for model in service.served.values()]
        found = Health(
            status="stopping" if service.stopping else "ok",
            waiting=sum(each.waiting for each in batchers),
            working=sum(each.working for each in batchers),
        )
        return JSONResponse(found.model_dump(), status_code=503 if service.stopping else 200)

    @app.get("/metrics", response_class=PlainTextResponse, responses={401: _ERRORS[401]})
    async def prometheus() -> PlainTextResponse:
        """Prometheus 指标。"""
        return PlainTextResponse(metrics.text())


def _add_reload(app: FastAPI, service: Service, shelf: Shelf) -> None:
    # Not async: what comes is opened, which may take a minute, and others are answered meanwhile.
    @app.post("/v1/adapters/reload", response_model=Changes, responses={each: _ERRORS[each] for each in (401, 503)})
    def reload() -> Changes:
        """重读适配器目录：新来的打开，拿走的关掉，换过的换上。"""
        try:
            return shelf.reload(service)
        except MissingError as error:
            raise ApiError(503, str(error), code="adapters_missing") from None


async def _answered(
    service: Service,
    metrics: Metrics,
    request: Drawing,
    ask: Callable[[Served, str, bool], Awaitable[Response]],
    route: str,
) -> Response:
    """The answer of the model that the request names, counted and timed up to where a stream begins."""
    began = time.perf_counter()
    model, status = "", 500
    try:
        check(request)
        try:
            served, grounded = service.find(request.model)
        except MissingError as error:
            raise ApiError(404, str(error), param="model", code="model_not_found") from None
        model = served.name
        if isinstance(request, ChatRequest) and request.grounded and not served.grounded:
            raise wrong(f"模型 {model} 没有知识库，不能依据知识库回答。", "grounded")
        response = await ask(served, request.model or model, grounded)
        status = response.status_code
        return response
    except ApiError as error:
        status = error.status
        raise
    except BentsaoError as error:
        status = 400
        raise as_api_error(error) from None
    except GoneError:
        status = 499
        metrics.called_off.labels("disconnect").inc()
        return Response(status_code=499)
    finally:
        metrics.requests.labels(route, model, str(status)).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - began)


def _cards(model: Served) -> list[ModelCard]:
    card = ModelCard(id=model.name, created=model.created, kind=model.kind, grounded=False)
    if not model.grounded:
        return [card]
    return [card, card.model_copy(update={"id": model.name + GROUNDED, "grounded": True})]


def _handle_errors(app: FastAPI, metrics: Metrics) -> None:
    @app.exception_handler(ApiError)
    async def told(_: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def malformed(http: Request, error: RequestValidationError) -> Response:
        metrics.requests.labels(http.url.path.rsplit("/v1/", 1)[-1][:20].split("/")[0], "", "400").inc()
        return invalid(cast(Sequence[dict[str, Any]], error.errors())).response()

    @app.exception_handler(HTTPException)
    async def unknown(http: Request, error: HTTPException) -> Response:
        words = {404: f"没有这个地址：{http.url.path}。", 405: f"这个地址不接受 {http.method}。"}
        message = words.get(error.status_code, str(error.detail))
        return ApiError(error.status_code, message, headers=error.headers).response()

    @app.exception_handler(Exception)
    async def broken(http: Request, error: Exception) -> Response:
        # Without the message, in which a person's words may stand.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s %s failed: %s\n%s", http.method, http.url.path, type(error).__name__, where)
        return ApiError(500, "服务器内部出错，请稍后重试；管理员可查看日志。", code="internal_error").response()


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, without the 422 that requests are never answered with."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(unused, None)
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = document
    return app.openapi_schema
