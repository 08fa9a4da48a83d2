"""Generator talk: words that speak of the prompt the writer was given, or of the writer itself.

The reader of such a row has neither. In the original's data it is mostly its own prompt: 根据知识, 根据中心词,
两个知识中.
"""

from __future__ import annotations

import re

from bentsao.construction.filters.context import Context, first_match
from bentsao.construction.texts import texts
from bentsao.core.records import Conversation

_GIVEN = r"(?:所|被|上面|前面|你|您|题目|用户)*(?:提供|给出|给定|已知|已有|现有|所述|上述|前述|以上|下列|以下)"

LEAKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("说到给它的知识", re.compile(r"(?<![于了])根据[^，。；：？\n]{0,14}知识")),
    ("说到给它的知识", re.compile(r"(?:[两这几该此]|第[一二三四五12345])[个条项段]知识|该知识点")),
    ("说到给它的知识", re.compile(r"(?:给出|提供|前述|上述|以上|参考)的?[^，。；]{0,3}知识(?:[点库]|中|里|，|。|$)")),
    (
        "说到给它的知识",
        re.compile(r"知识(?:点|库)?(?:中|里|内)?(?:并)?(?:没有|未)(?:明确)?(?:提及|提到|提供|给出|说明|涉及)"),
    ),
    ("说到给它的知识", re.compile(r"知识点?中(?:的|所)")),
    ("说到给它的字段", re.compile(r"中心词")),
    ("说到题目", re.compile(r"(?:题目|题干|题中|原文|上文|材料中?)(?:并)?(?:没有|未|所给|给出|描述|提到|提供)")),
    ("说到读者没有的文章", re.compile(r"(?<![中英论原散作课])(?<!一篇)(?:本文|文章[中里])|(?<![论全原中英])文中")),
    ("说到给它的材料", re.compile(rf"根据{_GIVEN}的?(?:文本|文字|资料|材料|信息|内容|数据|段落|上下文)")),
    (
        "自称模型",
        re.compile(
            r"(?:作为|我是|我只是|身为|本人是)(?:一[个名款种位])?[^，。；]{0,6}"
            r"(?:AI|人工智能|语言模型|大模型|聊天机器人|虚拟助[手理]|智能助[手理])",
            re.IGNORECASE,
        ),
    ),
    (
        "自称模型",
        re.compile(r"ChatGPT|GPT-?[345]|OpenAI|文心一言|通义千问|(?:截至|截止)我的?(?:知识|训练)", re.IGNORECASE),
    ),
    ("写出了提示的格式", re.compile(r"</?(?:user|bot|assistant|system|human)>|<\|[a-z_]+\|>|```|\\n|\[/?INST\]")),
    (
        "写出了提示的格式",
        re.compile(
            r"^\s*(?:#+\s*)?(?:问题?|答案?|回答|提问|用户|助手|医生回答|instruction|output|input|question|answer|Q|A)"
            r"\s*\d*\s*[:：]|\"(?:instruction|output|input|question|answer)\"\s*:",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    (
        "生成时的开场白",
        re.compile(
            r"(?:以下|下面)(?:是|为)(?:我|为您|为你|根据|生成|一[个些组段]|\d+[个组条])[^，。；]{0,12}(?:问答|对话|回答|问题|答案)"
        ),
    ),
)
"""What gives a generator away: the label, and its pattern. A grounded answer may say `知识库没有收录……`."""

OPENINGS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("带着生成时的编号", re.compile(r"^\s*\d{1,2}\s*[.、．)）]\s*(?=[^\d\s])(?![\s\S]*[\s。；]\d{1,2}\s*[.、．)）])")),
    (
        "问题没有说是什么病",
        re.compile(
            r"^(?:请问|那么)?[，,\s]*(?:(?:以上|上述|这|该|此)?两[个种者]?(?:疾病|病|症|者)"
            r"|(?:以上|上述|该|此|这)[种个些]?(?:疾病|病|药物?)(?![人例房友史程]|是[^什不否]))"
        ),
    ),
)
"""What gives away, in the question that opens a row, that it was one of a list about something given."""


def generator_talk(conversation: Conversation, _: Context) -> str | None:
    """Words of the generator in what is asked or answered."""
    said = texts(conversation)
    if said.questions and (why := first_match(OPENINGS, said.questions[0])):
        return why
    for text in (*said.answers, *said.questions):
        if why := first_match(LEAKS, text):
            return why
    return None
