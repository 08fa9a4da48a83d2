"""Dialogues about the literature, without a model: what a study did and found, in its own sentences, and its place.

Each assistant's turn is either the paper's own sentences or general words that say they are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from bentsao.construction.shares import Split
from bentsao.core.records import Conversation, Made, Message
from bentsao.knowledge.store import Passage

_OPEN = (
    "关于{topic}，有哪些研究可以参考？",
    "我想了解{topic}方面的研究证据。",
    "{topic}有没有临床研究的结论？",
    "请介绍一项关于{topic}的研究。",
    "最近在查{topic}的文献，有什么值得看的？",
    "家里人得的病和{keyword}有关，这方面有什么研究，讲的是什么？",
    "能讲讲《{title}》吗？",
    "《{title}》这篇讲的是什么？",
)
_OPEN_GUIDELINE = (
    "关于{topic}，有没有权威的建议可以参考？",
    "我想了解{topic}方面的规范。",
    "{topic}有哪些公认的标准或指南？",
    "能讲讲《{title}》吗？",
    "《{title}》里说了什么？",
    "请介绍一下《{title}》。",
)
_LEAD = ("可以看《{title}》。", "有一项《{title}》。", "《{title}》谈的就是这个。", "这方面有《{title}》。")
_RESULT = ("结果怎么样？", "主要结论是什么？", "那研究发现了什么？", "数据上有什么结果？", "最后得出了什么结论？")
_ADVISES = ("里面是怎么建议的？", "主要推荐了什么？", "核心内容是什么？", "具体怎么规定的？")
_GUIDELINE = re.compile("指南|共识|标准|指导|分期|策略")
_NO_TOPIC = re.compile("指南|共识|标准|研究|试验")
"""Keywords that say what kind of paper it is, not what it is about."""
_REST = ("还有别的发现吗？", "还提到了什么？", "还有其他要点吗？", "除此之外呢？")
_WHERE = ("这是哪里发表的？", "出处是哪里？", "能给我文献来源吗？", "发表在哪本杂志、哪一年？")
_USE = (
    "那我可以直接照着用吗？",
    "是不是说明我也该这样治？",
    "这个结论能直接用在我家人身上吗？",
    "所以照着做就行了吧？",
)
_CAREFUL = (
    "文献的结论只对它所说的那类患者成立，不能直接套用到个人。是否适合，要由主治医生结合病情来判断。",
    "还不能这样推断。文献里的患者和您的情况可能不同，请带着检查资料和主治医生讨论。",
    "不建议自行照搬。文献说的是一般情况，具体方案需要医生面诊后决定。",
)
_VARIANTS = 8


def literature_dialogues(passages: Sequence[Passage], count: int, split: Split, seed: int) -> Iterator[Conversation]:
    """At most `count` dialogues of two to five turns, in turn over the passages; fewer where the passages run out."""
    number = 0
    for variant in range(_VARIANTS):
        for passage in passages:
            if number == count:
                return
            rng = random.Random(f"{seed}:literature:{passage.id}:{variant}")
            number += 1
            yield _dialogue(passage, variant, f"literature-{split}-{number:06d}", split, rng)


def _dialogue(passage: Passage, variant: int, name: str, split: Split, rng: random.Random) -> Conversation:
    sentences = re.findall(r"[^。！？]+[。！？]", passage.text) or [passage.text]
    is_guideline = _GUIDELINE.search(passage.title) is not None
    keywords = [word for word in passage.keywords if not _NO_TOPIC.search(word)] or [passage.title]
    openings = _OPEN_GUIDELINE if is_guideline else _OPEN
    opening = openings[(variant + rng.randrange(2) * len(openings) // 2) % len(openings)]
    ask = opening.format(topic="、".join(keywords[:2]), keyword=keywords[0], title=passage.title)
    result = _ADVISES if is_guideline else _RESULT
    said = [(ask, rng.choice(_LEAD).format(title=passage.title) + sentences[0])]
    if len(sentences) > 2 and rng.random() < 0.6:
        said += [(rng.choice(result), sentences[1]), (rng.choice(_REST), "".join(sentences[2:]))]
    elif len(sentences) > 1:
        said.append((rng.choice(result), "".join(sentences[1:])))
    closing = [(rng.choice(_WHERE), _place(passage)), (rng.choice(_USE), rng.choice(_CAREFUL))]
    said += rng.sample(closing, rng.randint(1, 2))
    messages: list[Message] = []
    for question, answer in said:
        messages += [
            Message(role="user", content=question),
            Message(role="assistant", content=answer, part="instruction"),
        ]
    return Conversation(
        id=name,
        group=passage.identifier or passage.title,
        messages=tuple(messages),
        source=passage.source,
        made=Made(form="literature", writer="composer", difficulty=f"{len(said)} 轮", split=split),
    )


def _place(passage: Passage) -> str:
    year = f"{passage.year}年" if passage.year else ""
    where = f"《{passage.journal}》" if passage.journal else ""
    locator = f"，{passage.locator}" if passage.locator else ""
    identifier = f"（{passage.identifier}）" if passage.identifier else ""
    return (
        f"《{passage.title}》{year}发表于{where}{locator}{identifier}。"
        if where
        else f"《{passage.title}》{identifier}。"
    )
