"""The language of the cues: words that stand for one another, and what an entry says.

Patterns are parted by blanks. `{什么}` stands for any word of that slot (SLOTS), `[吃|用|]` for any of these (the last:
nothing), `..` for up to six characters within one clause, names not counted. A word inside a longer one that is found
too does not count (吃什么 in 吃什么药).
"""

from __future__ import annotations

from dataclasses import dataclass

from bentsao.knowledge.schema import Kind

SIGNS: dict[Kind, str] = {"disease": "\ue001", "symptom": "\ue002", "drug": "\ue003", "examination": "\ue004"}
"""What names of these kinds are replaced by before they are compared with patterns that speak of names."""

SLOTS: dict[str, str] = {
    "什么": "什么|啥|哪些|哪种|何种|何|哪几种|哪个|哪一个|什么样的|哪类|哪一类|那些",
    "哪": "哪|哪里|哪儿|哪个|哪一个|什么|啥",
    "怎么": "怎么|怎样|如何|咋|咋个|咋么|怎么样|该怎么|要怎么|应怎样",
    "多久": "多久|多长时间|多少时间|多少天|几天|几个月|几周|多少个月|几年|多长",
    "能不能": "能不能|可不可以|可以不可以|能否|可否|是否可以|能|可以|是否能|可",
    "会不会": "会不会|会|是否会|能不能|能|是不是会|有没有可能|可能",
    "要不要": "要不要|用不用|需不需要|需要|要|得|必须|是否需要|是否要|非得|一定要",
    "吃": "吃|用|服|服用|喝|打|使用|口服|注射|涂|抹|擦|上|挂",
    "开刀": "开刀|手术|动手术|做手术|动刀|开个刀|做个手术|切|切掉|割|切除|挨刀|挨一刀",
    "孕妇": (
        "孕妇|怀孕|孕期|妊娠|妊娠期|哺乳期|哺乳|备孕|喂奶|大肚子|怀着孕|怀宝宝|怀着宝宝|有身孕|怀了|孕早期|"
        "孕晚期|胎儿|产妇|有喜"
    ),
    "儿童": (
        "儿童|小孩|小孩子|孩子|宝宝|婴儿|小儿|幼儿|小朋友|娃|婴幼儿|新生儿|小宝宝|娃娃|小娃|小孩儿|儿子|女儿|"
        "闺女|未成年"
    ),
    "老人": (
        "老人|老年人|老年|老年患者|老人家|老爷子|老太太|岁数大|年纪大|上年纪|上了年纪|爷爷|奶奶|姥姥|姥爷|"
        "外婆|外公|高龄|长者|长辈|老年病人|老头|老妈|老爸"
    ),
    # A name of the base: of an illness, a complaint, a drug, an examination.
    "病": SIGNS["disease"],
    "症": SIGNS["symptom"],
    "药": SIGNS["drug"],
    "检": SIGNS["examination"],
}
"""Words that stand for one another in the patterns."""


@dataclass(frozen=True)
class Cues:
    """How people ask for one attribute: in everyday words, in clinical words, and by weak hints, which count only where
    nothing plainer asks for anything.

    `kinds`: these words ask for it only of such entities; empty: of every kind that can have the attribute.
    """

    attribute: str
    everyday: str = ""
    clinical: str = ""
    weak: str = ""
    kinds: tuple[Kind, ...] = ()
