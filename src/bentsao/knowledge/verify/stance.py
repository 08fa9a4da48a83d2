"""Whether a text affirms a thing, denies it, advises against it or allows it: negation in Chinese, with its reach.

Reads text as `normalise` writes it, with NAME for each character of a known name, so that no word within a name
(无菌性脑膜炎, 不孕症) is taken for a negation. The word lists are the behaviour: a missing word is added there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, cast

NAME = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for each character of a known name."""

Sign = Literal["deny", "against", "allow", "ask", "skip"]

_NOT_NEGATION = (
    "不仅|不但|不只|不光|不单|不论|不管|不过|不断|不久|不少|不妨|不得不|不能不|不可不|不会不|不可避免|不可逆|不难|"
    "(?:不能|不可|无法|不)(?:完全)?(?:排除|除外)|"  # 不能排除X: X stays possible
    "不良|不孕|不育|不适|不全|不足|不稳|不齐|不安|不振|不畅|不调|不通|不明|不典型|不完全|不规[则律]|不对称|不同|不一|不等|"
    "不自主|不随意|不耐受?|不寐|不消化|不宁|不张|不洁|不当|不止|不退|不愈|不清|不净|不利|不佳|不均|不匀|不平衡|不协调|不慎|不动|不语|"
    "无论|无疑|无非|无菌|无痛|无力|无创|无水|无机|无脑|无精|无尿(?![急频痛路道潴])|无汗|无牙|无名|无核|无色|无糖|无烟|无氧|无症状|无排卵|无性细胞|无花果|"
    "未来|未成年|未婚|未孕|未生育|未分化|未破|未定|没劲|"
    "无关|与否|没食子|没药|淹没|出没|忌讳|"
    "(?:如?不|未|没有?)(?:能|予|经|及|得到|进行|接受|加以|采取|注意)*"  # neglect: what follows is its consequence
    "(?:及时|及早|治疗|处理|控制|重视|规范|彻底|坚持|规律|积极|有效|妥善|正确|按时|遵)"
)
_ASK = "是不是|是否|有没有|(?<![状征症式法案现要括因])有无|会不会|能不能|能否|可否|要不要|需不需要|可不可以|该不该"
_DENY = (
    "(?:没有|尚?无|缺乏)(?:确切|充分|明确|足够)?证据(?:表明|证明|显示)?|并非|并不是?|并没有|并无|而非|绝非|决不|绝不|没有|没|"
    "不会|不存在|不具有?|不具备|不伴有?|不属于?|不是|不含|不见|未见|未出现|未发生|未发现|未|否认|(?:可以?|已|基本)排除|无法|"
    "非(?=医保|传染|遗传)|毫无|均无|无|不"
)
_AGAINST = (
    "不推荐|不建议|不主张|不提倡|不宜|不应该?|不可以?|不能|不得|不要|不必|不用|不需要?|不须|无需|无须|毋需|毋须|没有?必要|不适[合宜用]于?|"
    "避免|禁止|禁用于?|禁忌于|禁[食服饮水酒]|忌用|忌[食服吃]|切忌|忌(?!证|症|用)|切勿|请勿|勿|别(?=吃|用|喝|做|去|让|给|再|乱|服|碰|熬)|停用|停服|少吃|少食|少喝|少饮|远离|戒除?"
)
_ALLOW = (
    "可以?(?:安全|放心|适量|继续|多)?(?:吃|喝|食用|服用|使用|应用|选用|用于?|做)|能(?:够)?(?:吃|喝|服用|使用|用)|"
    "推荐|宜|适合|适用|多吃|多食|多喝"
)

_LEFT = re.compile(
    f"(?P<skip>{_NOT_NEGATION})|(?P<ask>{_ASK})|(?P<against>{_AGAINST})|(?P<deny>{_DENY})|(?P<allow>{_ALLOW})"
)
"""What stands before the thing it speaks of."""

_HOLDERS = (
    "(?:等|的|类|患者|病人|者|人群|妇女|女性|人|期间?|药物?|制剂|情况|时)*"
    "(?:一般|通常|也|亦|均|都|应|应当|需|须|则|暂|多)*"
)
_JUDGED = (
    "(?:(?P<twice>并非|不是|不必|无需|不属于)(?:绝对)?)?(?:"
    "(?P<against>禁止?用|禁服|禁食|禁忌(?!证|症)|忌用|忌服|忌食|禁止|慎用|慎服|"
    "不宜(?:使用|服用|用)?|不能(?:使用|服用|用|吃|做|接受)|不可(?:使用|服用|用|吃)|不得(?:使用|服用)?|不应(?:使用|服用|用)|不推荐(?:使用)?|"
    "不建议(?:使用)?|避免(?:使用|服用|应用)|不适用|不适合|不需要|没有必要|不必)|"
    "(?P<deny>不存在|未见|未出现|未发生|不会(?:出现|发生)|不出现|阴性|可以?排除(?![^\\W\\d_])|可以?除外(?![^\\W\\d_])|不是|不属于|并非|无效)|"
    "(?P<allow>可以?(?:安全|放心|适量|继续)?(?:使用|服用|吃|应用|食用|选用|接受|用)|能(?:够)?(?:使用|服用|用|吃)|适用|适合))"
)
_AFTER = re.compile(f"(?:[、和及与或以]+{NAME}+)*{_HOLDERS}{_JUDGED}")
"""What stands after it, or after the list that it is part of: 孕妇、哺乳期妇女禁用; 头痛未见."""

_END = re.compile(
    "但|而是|而且|反而|却|只是|仅|才|以免|以防|从而|以便|即可|也可|就(?!诊|医)|(?<![规原])则|(?<!社)会(?![诊阴厌])|可能?|"
    "容易|(?<!不)易(?!感)|因为|由于|需要?(?!的)|(?<![反效适供响])应(?![激用急])|建议|的?(?:时候|情况下)"
)
"""What ends a negation's reach between it and the thing."""

_OF_ANOTHER = re.compile(f"{NAME}的(?!、)")
"""没有传染性的疾病: the negation ends with its 的."""

_LISTED = re.compile("[、和与及或]")
_BUT = re.compile("但是?|却|而")

_FILLERS = re.compile(
    f"{NAME}|"
    "明显|任何|其他|其它|显著|特殊|严重|常见|主要|相关|特异性?|典型|伴有?|出现|发生|具有|存在|引起|引发|导致|产生|造成|诱发|"
    "常规|长期|大量|过度|过多|过量|单独|立即|盲目|自行|再次?|继续|同时|进行|接受|采取|给予|使用|服用|应用|采用|用于|适用|食用|饮用|摄入|食|吃|喝|饮|用|做|行|"
    "需要?|身体|传播|有|为|是|要|能|对|于|在|的|患|被|受|太|或者?|和|及|与|以及|、|这种|这类|这个|其|该|此|类|等|一切|各种|药物?|治疗|患者|者|明确|急性|/|"
    "通过|空气|血液|食物|飞沫|接触|途径|日常|生活|母婴|消化道|呼吸道|方式|直接|间接|他人|家人|别人|人群|人与人之间|给"
)
"""What may stand between a negation and the thing without parting them."""


class Mark(NamedTuple):
    """A word that says how to take what follows: `clause[start:end]` and its sign, a group of `_LEFT`."""

    start: int
    end: int
    sign: Sign


@dataclass(frozen=True)
class Stance:
    """`negative`: denied or advised against (an even number of negations is none); `against`: it is advice, not denial.

    `allowed`: the text says that it may be used or done; `asked`: only asked about, nothing is asserted.
    """

    negative: bool = False
    against: bool = False
    allowed: bool = False
    asked: bool = False


@lru_cache(maxsize=4096)
def marks(clause: str) -> tuple[Mark, ...]:
    """The words of a clause that negate, forbid, allow or ask."""
    found = (Mark(*match.span(), cast("Sign", match.lastgroup)) for match in _LEFT.finditer(clause))
    return tuple(mark for mark in found if mark.sign != "skip")


def stance(clause: str, start: int, end: int) -> Stance:
    """How `clause[start:end]` is taken."""
    flips, against, allowed, asked = 0, False, False, False
    for mark in marks(clause):
        if mark.end > start:
            break
        gap = clause[mark.end : start]
        if _LISTED.search(gap) and "、" in _BUT.split(clause[: mark.start])[-1]:
            continue  # 黄疸、无压痛、腹水: an item that denies denies no other
        if not _reaches(clause[mark.start : mark.end], gap):
            continue
        if mark.sign == "ask":
            asked = True
        elif mark.sign == "allow":
            allowed = True
        else:
            flips += 1
            against = mark.sign == "against"
    if after := _AFTER.match(clause, end):
        flips += (not after["allow"]) + bool(after["twice"])
        against = against or bool(after["against"])
        allowed = allowed or bool(after["allow"])
    negative = flips % 2 == 1
    if flips and not negative and against:
        allowed = True  # 并非禁用, 不是不能用
    return Stance(negative, negative and against, allowed and not negative, asked)


def _reaches(words: str, gap: str) -> bool:
    if not gap or "证据" in words:
        return True
    if _END.search(gap) or _OF_ANOTHER.search(gap):
        return False
    return len(_FILLERS.sub("", gap)) <= (2 if len(words) == 1 else 6)


# --- how a drug or operation may be used ----------------------------------------------------------

Use = Literal["allowed", "careful", "forbidden"]

_CAREFUL = re.compile("慎[用服重]?|谨慎|权衡|指导下|遵医嘱|有指征|必要时|减量|监护下|小剂量|按体重|按年龄|严密|密切")
_FORBIDDEN = re.compile(
    "禁[用服止忌食]|禁忌(?!证|症)|忌[用服]|不宜|不能(?!排除)|不可(?!避免)|不得(?!不)|不要|不应|避免|不推荐|不建议|不适[合宜用]|切勿|(?<!特)别[用吃]"
)
_PERMITTED = re.compile(
    "可以?(?:安全|放心|正常|继续|选择)?(?:使用|服用|应用|选用|用|吃|接受)|能(?:够)?(?:使用|服用|用|吃)|允许|适用|安全|继续使用|无需(?:停药|调整)"
)
_REVERSED = re.compile("(?:并非|不是|不属于|不必|无需|没有?)(?:绝对|完全|任何)?$")


def use(words: str) -> Use | None:
    """What the words say on use: forbidden, careful, allowed; None where they say nothing or only ask."""
    if re.search(_ASK, words):
        return None
    forbidden = _FORBIDDEN.search(words)
    if forbidden and not _REVERSED.search(words[: forbidden.start()]):
        return "forbidden"
    if _CAREFUL.search(words):
        return "careful"
    if forbidden or _PERMITTED.search(words):
        return "allowed"
    return None


# --- a value that is itself a yes or no -----------------------------------------------------------

_DOING = re.compile("^(?:使用|服用|应用|食用|饮用|摄入|进食|接触|进行|做|行|吃|喝|用)")


def core(value: str) -> tuple[str, bool]:
    """What a value speaks of, and whether it denies or advises against it: 避免饮酒 → 饮酒, True; 头痛 → 头痛, False.

    青霉素过敏者禁用 → 青霉素过敏, True.
    """
    first = next(iter(marks(value)), None)
    if first and first.start == 0 and first.sign in {"deny", "against"}:
        rest = value[first.end :]
        rest = _DOING.sub("", rest) or rest
        if len(rest) > 1 and not any(mark.start == 0 for mark in marks(rest)):  # 禁食禁饮 is one thing
            return rest, True
    after = next((match for match in _VALUE_AFTER.finditer(value) if match.start() > 1), None)
    if after and not after["twice"]:
        return value[: after.start()], not after["allow"]
    return value, False


_VALUE_AFTER = re.compile(f"{_HOLDERS}{_JUDGED}$")
