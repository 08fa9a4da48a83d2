"""Statements that are a yes or a no: 没有传染性, 不属于医保, 无需手术, 非处方药, 孕妇禁用, 没有不良反应.

A text and a fact's value are read by the same words, so that what one says can be held against the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from bentsao.core.records import Fact
from bentsao.knowledge.verify.evidence import written
from bentsao.knowledge.verify.reading import Reading
from bentsao.knowledge.verify.stance import NAME, stance, use


class Statement(NamedTuple):
    """`text[start:end]` answers the question `about` with `answer`: yes or no, or how something may be used."""

    start: int
    end: int
    about: str
    answer: str


class Known(NamedTuple):
    """A fact's answer to the same question."""

    fact: Fact
    value: str
    answer: str


class Question(NamedTuple):
    """A question that texts answer by the words `asked`, of whose groups the one that matches is affirmed or denied.

    `values`: the attributes whose values answer, by the same words or by those of `told`; `having`: the attributes of
    which any value is a yes.
    """

    asked: re.Pattern[str]
    values: frozenset[str]
    having: frozenset[str] = frozenset()
    told: re.Pattern[str] | None = None


_SAID_OF = "(?:有|具备|具|无|存在|非|是|为|属于?|种|成|没|带)[^,;。、]{0,4}?"
_DOING = "(?:立即|尽早|尽快|及时|急诊|进行|接受|采取|采用|选择|通过|行|做|外科)*"

_TOPIC = "方?面?上|方面|情况|问题|来看|来说|来讲|而言|归类|分类|类型|类别|属性|与否|的?(?:归类|情况|问题)"
"""After one of these words, a word only says what is spoken of: 就医保来说, 传染问题."""

QUESTIONS: dict[str, Question] = {
    "传染性": Question(
        re.compile(
            rf"{_SAID_OF}(传染[性病])(?=$|(?!{NAME})[\W_]|的|疾病|很|较|强|且|但|和|及|与|吗|也)|(传染性)(?=很?较?强|的疾?病|疾病)|"
            f"(?<!预防)(?<!避免)(?<!防止)(?<!关心)(?<!、)(传染)(?![性病科源]|途径|方式|疾病|因素|{_TOPIC})"
        ),
        frozenset({"传染性"}),
        told=re.compile("传染"),
    ),
    "医保": Question(
        re.compile(f"(?<!走)(医保(?!卡|局|部门|{_TOPIC})(?:疾病|范围|目录|药品|报销)?)|(?<!医保)(报销)(?!{_TOPIC})"),
        frozenset({"是否医保"}),
    ),
    "手术": Question(
        re.compile(
            f"(?:需要?|必须|必需|要|应该?|建议|推荐|考虑|不必|无需|无须|不用|不|可以?){_DOING}"
            "((?:手术|开刀)(?:治疗)?)(?!后|前|室|史|中|风险|方式|方法|名称|切口|指征|期|对|带|所|引|造|像|那)"
        ),
        frozenset({"治疗方案"}),
        having=frozenset({"手术治疗"}),
        told=re.compile("(?<!非)手术|开刀"),
    ),
    "遗传": Question(
        re.compile("(遗传(?!因素|学|咨询|代谢|病史|易感|背景|性疾病|病[^,。]|检测|倾向|风险|方式|家族|史|基因)性?)"),
        frozenset({"病因", "高危因素"}),
    ),
    "治愈": Question(
        re.compile("(治愈(?!率|概率|标准|后|的?可能)|根治(?!术|性)|治好)"), frozenset({"治愈率", "预后状况"})
    ),
}
"""The questions with yes or no, by name."""

_OTC = re.compile("非处方药?|otc(?!类型)|处方药")

NONE_AT_ALL: dict[str, tuple[re.Pattern[str], frozenset[str]]] = {
    "并发症": (re.compile("并发症|合并症"), frozenset({"并发症"})),
    "不良反应": (re.compile("不良反应|副作用"), frozenset({"不良反应"})),
    "禁忌": (re.compile("禁忌[证症]?"), frozenset({"禁忌证"})),
}
"""Attributes of which a text may say that there is nothing: only the no is a statement."""

_NOTHING = re.compile("^(?:无|没有|暂无|尚不明确|不明确|未见|本药无|未发现)")
_NONE = re.compile("(?:没有|无|不存在|不会(?:有|出现|引起)|未见)(?:任何|什么)?$")
_NONE_OF = re.compile("(?!的|[一-鿿])|(?:报道|发生)")

PEOPLE: dict[str, tuple[re.Pattern[str], str]] = {
    "孕妇": (re.compile("孕妇|妊娠(?:期|早期|中期|晚期)?(?:妇女|女性)?|怀孕(?:期间)?|孕期|孕早期"), "孕妇用药"),
    "哺乳期妇女": (re.compile("哺乳期?(?:妇女|女性|妈妈)?"), "孕妇用药"),
    "儿童": (re.compile("儿童|小儿|婴幼儿|婴儿|新生儿|幼儿|早产儿|小孩|孩子"), "儿童用药"),
    "老年人": (re.compile("老年人|老年患者|老年(?=用药)|老人|高龄患者"), "老年用药"),
}
"""The people for whom a drug may be forbidden: their words, and the attribute that is about them."""

OF_DRUGS = frozenset({"禁忌证", "注意事项", "用法用量", "适应症", "孕妇用药", "儿童用药", "老年用药"})


def statements(reading: Reading, facts: Sequence[Fact]) -> Iterator[Statement]:
    """The yes-or-no statements of a text."""
    for about, question in QUESTIONS.items():
        for match in question.asked.finditer(reading.masked):
            span = match.span(match.lastindex or 0)
            taken = reading.stance(*span)
            if not taken.asked and not reading.supposed(span[0]) and not reading.idle(*span):
                yield Statement(*span, about, "no" if taken.negative else "yes")
    for match in _OTC.finditer(reading.masked):
        free = match.group() != "处方药"
        taken = reading.stance(*match.span())
        if not taken.asked and not reading.idle(*match.span()):
            yield Statement(*match.span(), "处方药", "no" if free != taken.negative else "yes")
    for about, (words, _) in NONE_AT_ALL.items():
        for match in words.finditer(reading.masked):
            before = _NONE.search(reading.masked[: match.start()])
            if before and not reading.supposed(before.start()) and _NONE_OF.match(reading.masked, match.end()):
                yield Statement(before.start(), match.end(), about, "no")
    if any(fact.attribute in OF_DRUGS for fact in facts):
        yield from _uses(reading)


def _uses(reading: Reading) -> Iterator[Statement]:
    """孕妇禁用, 儿童慎用: people, and how the words after them, or else before them, let them use it."""
    for about, (words, _) in PEOPLE.items():
        for match in words.finditer(reading.text):
            if reading.within_name(*match.span()) or reading.idle(*match.span()):
                continue
            left, right = reading.clause(match.start())
            if reading.masked.startswith("用药", match.end()):
                right = reading.sentence(match.start())[1]
            answer = use(reading.masked[match.end() : right]) or use(reading.masked[left : match.start()])
            if answer:
                yield Statement(*match.span(), about, answer)


def known_answers(about: str, facts: Sequence[Fact]) -> list[Known]:
    """What the facts answer to a question."""
    given = ((fact, value, _answer(about, fact.attribute, value)) for fact in facts for value in fact.values)
    return [Known(fact, value, answer) for fact, value, answer in given if answer]


@lru_cache(maxsize=65536)
def _answer(about: str, attribute: str, value: str) -> str | None:
    said = written(value)
    if about in QUESTIONS:
        question = QUESTIONS[about]
        if attribute in question.having:
            return "no" if _NOTHING.match(said) or said.startswith(("不", "非")) else "yes"
        return _yes_or_no(question, said) if attribute in question.values else None
    if about == "处方药":
        match = _OTC.search(said) if attribute == "OTC类型" else None
        return None if match is None else "yes" if match.group() == "处方药" else "no"
    if about in NONE_AT_ALL:
        return ("no" if _NOTHING.match(said) else "yes") if attribute in NONE_AT_ALL[about][1] else None
    return _allowed(about, attribute, said)


def _yes_or_no(question: Question, said: str) -> str | None:
    if said in {"是", "有", "会", "能"}:
        return "yes"
    if said in {"否", "无", "不会", "没有", "不能", "不是"}:
        return "no"
    match = (question.told or question.asked).search(said)
    return None if match is None else "no" if stance(said, *match.span(match.lastindex or 0)).negative else "yes"


def _allowed(about: str, attribute: str, said: str) -> str | None:
    words, own = PEOPLE[about]
    named = words.search(said)
    if attribute == own:
        others = [
            name for name, (pattern, of) in PEOPLE.items() if of == own and name != about and pattern.search(said)
        ]
        return use(said) if named or not others else None
    if named is None:
        return None
    if attribute == "禁忌证":
        return "forbidden"
    return use(said[named.end() :] or said) if attribute == "注意事项" else None
