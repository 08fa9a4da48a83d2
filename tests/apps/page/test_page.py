"""The page as it is served, without and (where there is one) with a browser."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bentsao.apps.commands.serve import NO_GROUND_CHOSEN, PageChoice
from bentsao.apps.server.app import create_app
from bentsao.apps.server.metrics import Metrics
from bentsao.apps.server.running import Server
from bentsao.apps.server.serving import Served, Service
from bentsao.core.errors import ConfigError
from bentsao.core.files import iterate_json
from bentsao.inference.notice import NOTICE
from bentsao.knowledge.store import KnowledgeBase
from tests.apps.server.scribe import Scribe

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # gradio's own


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """Loops that gradio leaves open are collected here, and not while another test watches for them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


@contextmanager
def served(service: Service, kb: KnowledgeBase, folder: Path, keys: tuple[str, ...] = ()) -> Generator[str]:
    """The address of a server with the page, reports in `folder` and ratings in `folder`/ratings.jsonl."""
    wiring = pytest.importorskip("bentsao.apps.page.wiring")
    (folder / "report.html").write_text("<h1>一份报告</h1>", encoding="utf-8")

    async def mounted() -> FastAPI:  # within a loop: gradio makes loops of its own where none runs, and leaves them
        page = wiring.build_page(service, kb=kb, report_folders=[folder], feedback=folder / "ratings.jsonl")
        return wiring.mount_page(create_app(service, Metrics(), keys=keys), page, keys=keys)

    app = asyncio.run(mounted())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(app, service, host="127.0.0.1", port=port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def test_the_page_is_whole_and_sealed(service: Service, kb: KnowledgeBase, tmp_path: Path) -> None:
    with served(service, kb, tmp_path) as url:
        page = httpx.get(url, follow_redirects=True, trust_env=False)
        assert page.url.path == "/ui/"
        assert NOTICE in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "http" not in policy
        assert "fonts.googleapis" not in page.text
        assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"


def test_where_keys_are_asked_for_the_page_asks_too(service: Service, kb: KnowledgeBase, tmp_path: Path) -> None:
    with served(service, kb, tmp_path, keys=("sk-密",)) as url, httpx.Client(base_url=url, trust_env=False) as http:
        assert NOTICE not in http.get("/ui/").text
        assert http.get("/ui/config").status_code == 401
        assert http.post("/ui/login", data={"username": "a", "password": "sk-x"}).status_code == 400
        assert http.post("/ui/login", data={"username": "a", "password": "sk-密"}).status_code == 200


def test_flags_of_the_page_without_it_are_an_error(tmp_path: Path) -> None:
    unused: Any = None
    with pytest.raises(ConfigError, match="--ui"):
        PageChoice(reports=(tmp_path,)).add_to(unused, unused, NO_GROUND_CHOSEN, (), unused)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser")
def test_in_a_browser(service: Service, kb: KnowledgeBase, tmp_path: Path) -> None:
    """First question, alarm, citation, rating, export, knowledge base, report; phone width; no other host."""
    playwright = pytest.importorskip("playwright.sync_api")
    hosts: set[str] = set()
    with served(service, kb, tmp_path) as url, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = browser.new_page(viewport={"width": 390, "height": 800}, accept_downloads=True)
        page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else ""))
        page.goto(url)
        box = page.locator("#question textarea")
        box.fill("我爸突然胸痛，偏头痛要做什么检查？<img src=x onerror=alert(1)>")
        box.press("Enter")
        page.wait_for_selector(".alarm")
        page.locator("a.cite").first.click()
        assert page.evaluate("document.querySelector(':target').innerText").startswith("[1] 偏头痛 · 检查：头颅CT")
        assert page.locator(".talk img").count() == 0
        assert page.locator("#notice").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.wait_for_selector("a.save")
        with page.expect_download() as download:
            page.locator("a.save").first.click()
        assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["evidence"]
        page.get_by_role("button", name="有用").click()
        page.wait_for_selector("text=您评价：有用")
        ratings: list[Any] = [row for _, row in iterate_json(tmp_path / "ratings.jsonl")]
        assert [row["rating"] for row in ratings] == [1]
        page.get_by_role("tab", name="知识库").click()
        page.locator("#search textarea, #search input").first.fill("胃溃疡")
        page.locator("#search textarea, #search input").first.press("Enter")
        page.wait_for_selector("#card >> text=胃镜")
        page.get_by_role("tab", name="报告").click()
        page.locator("#report input").click()
        page.get_by_role("option").first.click()
        assert page.frame_locator("iframe.report").locator("h1").inner_text() == "一份报告"
        other = browser.new_page()
        other.goto(url)
        other.wait_for_selector("#question textarea")
        assert other.locator(".turn").count() == 0
        service.put(Served("later", "adapter", lambda: Scribe("后来的回答。"), None, service.limits))
        other.get_by_label("模型").click()
        other.get_by_role("option", name="later").click()
        other.locator("#question textarea").fill("你好")
        other.locator("#question textarea").press("Enter")
        other.wait_for_selector("text=后来的回答。")
        browser.close()
    assert {host for host in hosts if host} == {url.removeprefix("http://")}
