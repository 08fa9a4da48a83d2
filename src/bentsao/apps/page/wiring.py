"""The page in gradio: what stands where, and which function is called when. What the functions do is beside this."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentsao.apps.page import reports, views
from bentsao.apps.page.browsing import Shelf
from bentsao.apps.page.feedback import Feedback
from bentsao.apps.page.talk_tab import AT_ONCE, talk_tab
from bentsao.apps.server.serving import Service
from bentsao.knowledge.store import KnowledgeBase

PATH = "/ui"
"""Where the page is."""

_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""Content-Security-Policy of the page: nothing comes from, or goes to, another host."""

_FONTS = ("system-ui", "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", "sans-serif")
_THEME = gr.themes.Default(primary_hue="sky", font=_FONTS, font_mono=("ui-monospace", "monospace"))


def build_page(
    service: Service,
    *,
    kb: KnowledgeBase | None = None,
    report_folders: Sequence[Path] = (),
    feedback: Path | None = None,
) -> gr.Blocks:
    """The page for what is served. kb: what the second tab shows (None: no such tab). feedback: where ratings are
    kept; None: none are asked for. Raises MissingError for a report folder that is not there.
    """
    reports.check_folders(report_folders)
    shelf = None if kb is None else Shelf(kb)
    with gr.Blocks(title="本草", analytics_enabled=False) as page:
        gr.HTML("<h1>本草<small>带出处的中文医学问答</small></h1>")
        gr.HTML(views.notice_html(), elem_id="notice")
        with gr.Tab("问答"):
            talk_tab(page, service, shelf, None if feedback is None else Feedback(feedback))
        if shelf is not None:
            with gr.Tab("知识库"):
                _shelf_tab(page, shelf)
        with gr.Tab("报告"):
            _reports_tab(report_folders)
    return page


def mount_page(app: FastAPI, page: gr.Blocks, *, keys: Sequence[str] = ()) -> FastAPI:
    """The application with the page at /ui. keys: of the API; where there are any, the page asks for one too."""

    def known(_name: str, key: str) -> bool:
        found = [hmac.compare_digest(key.encode(), each.encode()) for each in keys]  # in the same time for each key
        return any(found)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(PATH)

    app.add_middleware(_Sealed)
    return gr.mount_gradio_app(
        app,
        page.queue(default_concurrency_limit=AT_ONCE, api_open=False),
        path=PATH,
        auth=known if keys else None,
        auth_message="用户名随意，密码填服务的 API 密钥。",
        theme=_THEME,
        css=(resources.files("bentsao.apps.page") / "page.css").read_text(encoding="utf-8"),
        footer_links=[],
        ssr_mode=False,
        show_error=True,
    )


_UPLOADS = f"{PATH}/gradio_api/upload"
"""Where gradio would take files of any size from anyone; nothing on the page sends one."""


class _Sealed:
    """Forbids the browser everything that is not on this server, and takes no files from it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        here = scope["type"] == "http" and scope["path"].startswith(PATH)
        if here and scope["path"].startswith(_UPLOADS):
            await Response(status_code=404, headers={"Connection": "close"})(scope, receive, send)
            return
        await self._app(scope, receive, sealed if here else send)


# ---- the knowledge base, reports -------------------------------------------------------------------------------------


def _shelf_tab(page: gr.Blocks, shelf: Shelf) -> None:
    kinds = shelf.kinds()
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            words = gr.Textbox(
                label="搜索", placeholder="疾病、药物、症状……按回车", max_lines=1, max_length=60, elem_id="search"
            )
            kind = gr.Dropdown(kinds, value=kinds[0][1] if kinds else None, label="按类别浏览")
            with gr.Row():
                back = gr.Button("上一页", size="sm", min_width=60)
                forth = gr.Button("下一页", size="sm", min_width=60)
            place = gr.HTML()
            number = gr.State(1)
            names = gr.Radio([], label="条目", elem_id="names")
        with gr.Column(scale=6, min_width=300):
            card = gr.HTML('<p class="export">选一个条目，看知识库里关于它的事实与出处。</p>', elem_id="card")
            others = gr.HTML()

    def turned(step: int) -> Any:
        def turn(chosen: Any, at: int) -> tuple[Any, ...]:
            if chosen is None:
                return at, "", gr.Radio(choices=[], value=None)
            choices, now, pages = shelf.page(chosen, at + step if step else 1)
            return now, f'<p class="export">第 {now} / {pages} 页</p>', gr.Radio(choices=choices, value=None)

        return turn

    def search(text: str) -> tuple[Any, ...]:
        choices, html = shelf.search(text)
        first = shelf.card(choices[0][1]) if choices else ""
        return gr.Radio(choices=choices, value=choices[0][1] if choices else None), first, html

    listed = [number, place, names]
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    kind.change(turned(0), [kind, number], listed, **quiet)
    back.click(turned(-1), [kind, number], listed, **quiet)
    forth.click(turned(1), [kind, number], listed, **quiet)
    words.submit(search, [words], [names, card, others], **quiet)
    names.input(lambda name: (shelf.card(name or ""), ""), [names], [card, others], **quiet)
    page.load(turned(0), [kind, number], listed, **quiet)


def _reports_tab(folders: Sequence[Path]) -> None:
    if not folders:
        gr.HTML('<p class="export">没有给出报告目录。用 --reports DIR 指定评测、实验或训练写下的目录。</p>')
        return
    which = gr.Dropdown(list(reports.listed(folders)), label="报告（新的在前）", elem_id="report", value=None)
    again = gr.Button("刷新列表", size="sm")
    shown = gr.HTML()
    which.change(lambda name: reports.report_html(folders, name), [which], [shown])
    again.click(lambda: gr.Dropdown(choices=list(reports.listed(folders))), None, [which])
