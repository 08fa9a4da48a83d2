from __future__ import annotations

from bentsao.core.pages import html_page


def test_a_page_fetches_nothing_and_its_title_is_text() -> None:
    page = html_page("<b>甲</b>", "<p>正文</p>")
    assert "<title>&lt;b&gt;甲&lt;/b&gt;</title>" in page
    assert "default-src 'none'" in page
    assert "script" not in page, "a page without scripts allows none"
    assert page.endswith("<p>正文</p></html>")


def test_scripts_are_allowed_where_there_is_one() -> None:
    page = html_page("甲", "<p>正文</p>", script="show()")
    assert "script-src 'unsafe-inline'" in page
    assert page.endswith("<p>正文</p><script>show()</script></html>")
