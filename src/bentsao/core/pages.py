"""Pages for people: one HTML file each, that links to nothing and fetches nothing.

Whatever comes from data or models must be escaped by whoever writes the body; the policy in the head
is the second wall.
"""

from __future__ import annotations

from html import escape

STYLE = """
body{font:16px/1.7 system-ui,"PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif;color:#1f2937;
max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
td,th{border:1px solid #d1d5db;padding:.5rem;vertical-align:top;text-align:left}
th{background:#f3f4f6}.answers{table-layout:fixed}.answers td{overflow-wrap:anywhere;white-space:pre-wrap}
.notice{background:#fef3c7;border-left:4px solid #d97706;padding:.6rem 1rem}
.cut{color:#9ca3af}svg{max-width:100%;height:auto}
@media(max-width:640px){.answers,.answers tbody,.answers tr,.answers td{display:block}.answers thead{display:none}}
"""
"""The look of all reports."""


def html_page(title: str, body: str, *, style: str = STYLE, script: str = "") -> str:
    """The whole page. title: plain text; body: HTML; script: runs after the body, "" for a page without scripts."""
    policy = "default-src 'none'; style-src 'unsafe-inline'" + ("; script-src 'unsafe-inline'" if script else "")
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style>{body}{code}</html>"
    )
