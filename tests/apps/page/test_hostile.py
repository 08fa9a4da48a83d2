"""Visitors who mean harm: files, addresses and questions that the page was not made for."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from bentsao.apps.page.asking import LONGEST_QUESTION, ask
from bentsao.apps.page.feedback import Feedback
from bentsao.apps.page.talk import Talk, Turn
from bentsao.apps.page.views import talk_html
from bentsao.apps.server.serving import Service
from bentsao.core.errors import ConfigError
from bentsao.inference.decoding import Decoding
from bentsao.knowledge.store import KnowledgeBase
from tests.apps.page.test_page import served, swept

__all__ = ["swept"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # gradio's own

OUTSIDE = (
    "gradio_api/file=/etc/passwd",
    "gradio_api/file=pyproject.toml",
    "gradio_api/file=../../pyproject.toml",
    "gradio_api/file/etc/passwd",
    "static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "assets/%2e%2e/%2e%2e/etc/passwd",
    "gradio_api/proxy=http://127.0.0.1:1/",
    "gradio_api/file=http://127.0.0.1:1/",
)


def test_nothing_is_read_and_nothing_is_left_on_the_servers_disk(
    service: Service, kb: KnowledgeBase, tmp_path: Path
) -> None:
    """gradio took files of any size from everybody who came to the page, and kept them."""
    with served(service, kb, tmp_path) as url, httpx.Client(base_url=url, trust_env=False) as http:
        for address in (*OUTSIDE, f"gradio_api/file={kb.path}"):
            answer = http.get(f"/ui/{address}")
            assert answer.status_code in (400, 403, 404), address
            assert "root:" not in answer.text
        for address in ("upload", "upload/", "upload?upload_id=a"):
            sent = http.post(f"/ui/gradio_api/{address}", files={"files": ("../../x.html", b"<script>1</script>")})
            assert sent.status_code == 404, sent.text
        body = {"data": ["x" * 2 * service.limits.body], "fn_index": 0, "session_hash": "a"}
        assert http.post("/ui/gradio_api/queue/join", json=body).status_code == 413
        assert http.get("/ui/").status_code == 200


def test_a_question_that_is_too_long_is_not_kept(service: Service) -> None:
    text = "我爸突然胸痛出冷汗，" + "问" * 10 * LONGEST_QUESTION
    (talk,) = ask(service, Talk.new(), text, "slow", Decoding(), grounded=False)
    assert "最多 4000 字" in talk.turns[0].error
    assert talk.turns[0].alarm is not None
    assert len(talk_html(talk)) < 3000


def test_ratings_do_not_fill_the_disk(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "ratings.jsonl", largest=2000)
    talk = Talk(id="a", turns=(Turn(question="问" * 100, model="m", text="答" * 100, rating=1),))
    with pytest.raises(ConfigError, match="已满"):
        for _ in range(100):
            feedback.keep(talk)
    assert (tmp_path / "ratings.jsonl").stat().st_size < 4000
