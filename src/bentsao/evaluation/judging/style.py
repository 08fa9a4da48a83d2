"""Answers in one style before they are judged, so that what is judged is what is said and not how it looks.

Judges prefer lists, bold type and length; citation marks and standing notices give away which system spoke.
"""

from __future__ import annotations

import re

from bentsao.core.grounding import without_marks
from bentsao.core.records import Record


class Style(Record):
    """What is made alike. Each can be kept as it is by setting it to False."""

    markdown: bool = True
    blank_lines: bool = True
    disclaimers: bool = True
    marks: bool = True


ALIKE = Style()


def alike(text: str, style: Style = ALIKE) -> str:
    """The text in the common style; what it says is left as it is."""
    if style.marks:
        text = without_marks(text)
    if style.markdown:
        text = _plain(text)
    if style.disclaimers:
        text = without_disclaimers(text)
    if style.blank_lines:
        lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
        text = "\n".join(line for line in lines if line)
    return text.strip()


def _plain(text: str) -> str:
    """Without Markdown's signs; items of a list stay on their lines, numbers included."""
    text = re.sub(r"^[ \t]*```[\w+-]*[ \t]*$", "", text, flags=re.MULTILINE | re.ASCII)
    text = re.sub(r"^[ \t]*(?:[-*_][ \t]*){3,}$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*\|?[ \t]*:?-{2,}[-:| \t]*\|[-:| \t]*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*#{1,6}[ \t]+(.*?)[ \t]*#*$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*(?:>[ \t]?)+", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*[-*+•·][ \t]+", "", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^\]\n]*)\]\([!-'*-~]*\)", r"\1", text)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1", text)
    return re.sub(r"`([^`\n]+)`", r"\1", text)


_STANDING = re.compile(
    "仅供参考|不构成.{0,12}(?:建议|依据|意见)|不能(?:替代|代替|取代).{0,12}(?:医生|医师|诊断|就医|面诊|医疗)"
    "|(?:由|是)(?:AI|人工智能|模型|大模型).{0,6}(?:生成|提供)"
)
_ADVICE = re.compile(
    "如|若|一旦|出现|立即|马上|尽快|及时|120|急诊|拨打|就诊|去医院|到医院|停|忌|禁|避免|不要|不可|不宜|过量|剂量|因此|所以|但"
)


def without_disclaimers(text: str) -> str:
    """Without sentences that are a standing notice and nothing else; advice to see a doctor is no such sentence."""
    sentences = re.split(r"(?<=[。！？!?\n；;])", text)
    return "".join(one for one in sentences if not (_STANDING.search(one) and not _ADVICE.search(one)))
