"""Who a vignette is about: an age and a sex that the disease allows."""

from __future__ import annotations

import random
import re

from bentsao.construction.grammar import People, filled
from bentsao.construction.subjects import Subject

_FEMALE = re.compile(
    "妊娠|孕|产后|产褥|卵巢|子宫|宫颈|宫外|阴道|外阴|乳腺|痛经|月经|闭经|更年期|输卵管|盆腔|胎|妇|白带|流产"
)
_MALE = re.compile("前列腺|睾|阴茎|包皮|阳痿|早泄|遗精|精索|精囊|龟头|男性|附睾|阴囊")
_CHILD = re.compile("小儿|儿童|手足口|麻疹|水痘|佝偻|川崎|幼儿|腮腺炎|百日咳|猩红热|疱疹性咽峡炎")
_INFANT = re.compile("新生儿|婴儿|婴幼儿|先天性|尿布")
_OLD = re.compile("老年|阿尔茨海默|帕金森|骨质疏松|白内障")


def opening(subject: Subject, people: People, rng: random.Random) -> str:
    """Words that begin a vignette about this subject, as `患者，女，34岁，`; ends with a comma."""
    name = subject.name
    if _INFANT.search(name):
        return filled(rng.choice(people.infant), age=str(rng.randint(2, 11)))
    if _CHILD.search(name):
        return filled(rng.choice(people.child), age=str(rng.randint(3, 12)))
    if _FEMALE.search(name) and not _MALE.search(name):
        high = 40 if re.search("妊娠|孕|产|胎|流产", name) else 55
        return filled(rng.choice(people.adult_female), age=str(rng.randint(22, high)))
    if _MALE.search(name):
        return filled(rng.choice(people.adult_male), age=str(rng.randint(24, 70)))
    if _OLD.search(name):
        return filled(rng.choice(people.old), age=str(rng.randint(62, 83)))
    who = rng.choice((people.adult_male, people.adult_female, people.adult, people.old))
    low, high = (62, 83) if who is people.old else (21, 58)
    return filled(rng.choice(who), age=str(rng.randint(low, high)))
