"""Who a question is about: an age and a sex that the disease allows, and words that fit them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from bentsao.construction.grammar import Patterns, People, filled
from bentsao.construction.subjects import Subject, values_of

_FEMALE = re.compile(
    "妊娠|孕|产后|产褥|卵巢|子宫|宫颈|宫外|阴道|外阴|女阴|乳腺|乳头|痛经|月经|闭经|经前|经期|更年期|绝经|输卵管|盆腔|胎|妇|白带|带下"
    "|流产|女性"
)
_MALE = re.compile("前列腺|睾|阴茎|包皮|阳痿|早泄|遗精|精索|精囊|精子|无精|龟头|男性|附睾|阴囊")
_INFANT = re.compile("新生儿|早产儿|婴儿|婴幼儿|先天性|尿布|胎粪")
_CHILD = re.compile(
    "小儿|儿童|手足口|麻疹|水痘|佝偻|川崎|幼儿|腮腺炎|百日咳|猩红热|疱疹性咽峡炎|幼年|青少年|孤独症|注意缺陷|青春期"
)
_OLD = re.compile("老年|阿尔茨海默|帕金森|骨质疏松|白内障|前列腺增生|黄斑变性")

_GROUP_ALL = re.compile("无特定|任何年龄|各年龄|所有|均可|不限")
_GROUP_AGES = {
    "infant": re.compile("新生儿|早产儿|婴"),
    "child": re.compile("儿童|小儿|幼儿|学龄|男孩|女孩|患儿"),
    "young": re.compile("青少年|青年|年轻|少年|学生|中青年|青壮年|青春期"),
    "adult": re.compile("成年|成人|青壮年|中年|中青年|育龄|生育|孕|产|妇女|从业|工人|职业|劳动"),
    "old": re.compile("老年|老人|绝经|高龄|[5-9]0岁以上"),
}
_AGES = {"infant": (2, 11), "child": (3, 12), "young": (16, 29), "adult": (21, 58), "old": (62, 83)}
_BEARING = re.compile("妊娠|孕|产|胎|流产")
_BEFORE_MENOPAUSE = re.compile("月经|痛经|闭经|经前|经期")

_IS_CLINICAL = re.compile("^(?:患者|患儿|一名|一位|男，|女，|门诊|老年患者|婴儿)")
_WANTS_CLINICAL = re.compile(
    "主诉|拟诊|病例分析|请为这位病人|分诊|患者|请说明|请写出|请指出|会诊|护理人员|入院|试述|简述|该病|本病|该药|该手术"
)
_WANTS_LAY = re.compile("我|咱|家里|家人|家属|自己|心里|想问|想知道|想弄清|想了解|怕|药店|网上|邻居|不清楚")

_SPEAKS_OF_MAN = re.compile("爸|爷爷|老公|丈夫")
_SPEAKS_OF_WOMAN = re.compile("妈(?!认为)|奶奶|老婆|妻子|媳妇|怀孕|孕妇")
_SPEAKS_OF_CHILD = re.compile("给孩子|孩子(?:班上|出现|年年|得)|宝宝|患儿|小朋友")
_SPEAKS_OF_OLD = re.compile("老人(?!常讲|讲)|爸|妈(?!认为)")
_SPEAKS_OF_ONESELF = re.compile(
    "我(?:得|有|刚查出|怀疑|自己|是|患|符合|爸|妈|一个朋友|同学)|自己得|本人|室友|同事|爱人"
)


@dataclass(frozen=True)
class Group:
    """Whom a disease concerns. sex: "male", "female" or None for both. ages: keys of `_AGES`; empty means grown-ups."""

    sex: str | None
    ages: tuple[str, ...]


def group_of(subject: Subject, signs: tuple[str, ...] = ()) -> Group:
    """By the subject's name, the signs that are told, and the groups that its facts name."""
    told = subject.name + "".join(signs)
    woman, man = bool(_FEMALE.search(told)), bool(_MALE.search(told))
    groups = values_of(subject.facts.get("多发群体", ()))
    said = "；".join(groups)
    if woman == man and groups and not _GROUP_ALL.search(said):
        woman = all(re.search("女|孕|产", group) for group in groups) and "男" not in said
        man = all("男" in group for group in groups) and "女" not in said
    sex = "female" if woman and not man else "male" if man and not woman else None
    if _INFANT.search(subject.name):
        return Group(sex, ("infant",))
    if _CHILD.search(subject.name):
        return Group(sex, ("child",))
    if _OLD.search(subject.name):
        return Group(sex, ("old",))
    if _GROUP_ALL.search(said):
        return Group(sex, ())
    return Group(sex, tuple(age for age, words in _GROUP_AGES.items() if words.search(said)))


def opening(
    subject: Subject,
    people: People,
    rng: random.Random,
    *,
    pattern: str = "",
    signs: tuple[str, ...] = (),
    grown_up: bool = False,
) -> str:
    """Words that begin a vignette about this subject, as `患者，女，34岁，`; ends with a comma.

    pattern: the question that follows; a doctor's gets a doctor's words. grown_up: whoever asks, not who is ill.
    """
    group = Group(None, ("adult",)) if grown_up else group_of(subject, signs)
    age = rng.choice(group.ages or ("adult", "adult", "adult", "old"))
    if age in {"infant", "child"}:
        words = people.infant if age == "infant" else people.child
    elif age == "old" and group.sex is None:
        words = people.old
    elif group.sex is not None:
        words = people.adult_female if group.sex == "female" else people.adult_male
    else:
        words = rng.choice((people.adult_male, people.adult_female, people.adult))
    low, high = _AGES[age]
    if group.sex == "female" and age not in ("infant", "child"):
        told = subject.name + "".join(signs)
        if _BEARING.search(told):
            low, high = 22, 40
        elif _BEFORE_MENOPAUSE.search(told):
            low, high = min(low, 22), 46
    return filled(rng.choice(_voiced(words, pattern)), age=str(rng.randint(low, high)))


def is_small_child(subject: Subject) -> bool:
    """Whether it is an infant's disease, which cannot have begun last winter."""
    return group_of(subject).ages == ("infant",)


def fits(pattern: str, subject: Subject) -> bool:
    """Whether the persons that a pattern itself speaks of (我爸, 给孩子) may have what it asks about."""
    if subject.kind not in ("disease", "symptom", "operation"):
        return True
    group = group_of(subject)
    if (group.sex == "female" and _SPEAKS_OF_MAN.search(pattern)) or (
        group.sex == "male" and _SPEAKS_OF_WOMAN.search(pattern)
    ):
        return False
    young = bool(group.ages) and set(group.ages) <= {"infant", "child"}
    if young:
        return not (_SPEAKS_OF_ONESELF.search(pattern) or _SPEAKS_OF_OLD.search(pattern))
    if _SPEAKS_OF_CHILD.search(pattern):
        return not group.ages or not set(group.ages).isdisjoint({"infant", "child", "young"})
    return not _SPEAKS_OF_OLD.search(pattern) or not (group.ages and "old" not in group.ages)


def _voiced(words: Patterns, pattern: str) -> Patterns:
    clinical, lay = bool(_WANTS_CLINICAL.search(pattern)), bool(_WANTS_LAY.search(pattern))
    if clinical == lay:
        return words
    return tuple(opener for opener in words if bool(_IS_CLINICAL.match(opener)) == clinical) or words
