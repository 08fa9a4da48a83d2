"""Holds the sample knowledge base against disease.csv, drug.json and the CMeIE triples, and prints every disagreement.

    python benchmarks/check_sample.py [--data ../shared/data]

A disagreement is for a person to read: either side may be wrong. A value that no source has is not a disagreement and
is only counted. The sources are matched by name and alias of either side.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from bentsao.knowledge.importers import READERS
from bentsao.knowledge.rows import EntityRow
from bentsao.knowledge.sample import PARTS

SOURCES = {"disease.csv": "disease_csv", "drug.json": "drug_text", "cmeie_dev.jsonl": "cmeie"}


@dataclass
class Said:
    """What one side says of an entity: its other names, its values by attribute, and the conditions of values."""

    name: str
    kind: str
    aliases: set[str] = field(default_factory=set[str])
    values: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    conditions: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    @property
    def names(self) -> set[str]:
        """Its own name and the others."""
        return {self.name, *self.aliases}

    def shown(self, attribute: str) -> str:
        """The values of an attribute with their conditions, for a person to read."""
        return "、".join(self.one(attribute, value) for value in sorted(self.values[attribute]))

    def one(self, attribute: str, value: str) -> str:
        """One value with its condition."""
        condition = self.conditions.get((attribute, value))
        return f"{value}［{condition}］" if condition else value


@dataclass(frozen=True)
class Disagreement:
    """`check` names the comparison."""

    check: str
    entity: str
    ours: str
    theirs: str
    source: str


def read(paths: Iterable[tuple[Path, str]]) -> dict[str, Said]:
    """Entities by kind and name."""
    found: dict[str, Said] = {}
    for path, reader in paths:
        for row in READERS[reader].read(path):
            if isinstance(row, EntityRow):
                said = found.setdefault(f"{row.kind}/{row.name}", Said(row.name, row.kind))
                said.aliases.update(alias.text for alias in row.aliases)
                for fact in row.facts:
                    said.values[fact.attribute].add(fact.value)
                    if fact.qualifier:
                        said.conditions[fact.attribute, fact.value] = fact.qualifier
    return found


def by_name(entities: Iterable[Said]) -> dict[str, list[Said]]:
    """Entities by each of their names, those whose own name it is first."""
    found: dict[str, list[Said]] = defaultdict(list)
    for entity in entities:
        found[entity.name].insert(0, entity)
        for alias in entity.aliases - {entity.name}:
            found[alias].append(entity)
    return found


# --- comparisons -----------------------------------------------------------------------------------------------------

_SEXES = {"男": re.compile("男|睾丸|前列腺"), "女": re.compile("女|孕|产妇|妊娠")}
_AGES = {"幼": re.compile("儿|婴|幼|少年|学龄"), "老": re.compile("老年|老人|60岁|50岁|绝经")}
_DIRECTIONS = (
    ("升高", "降低"),
    ("增高", "减低"),
    ("增多", "减少"),
    ("过速", "过缓"),
    ("亢进", "减退"),
    ("高", "低"),
    ("便秘", "腹泻"),
)
_NOT_ALLOWED = "禁|忌|不宜|不能|避免"
_LONG = "长期|终身|终生|年"
_FAMILIES = (
    ("心血管内科", "心内科", "心胸外科", "心脏外科", "胸外科"),
    ("神经内科", "神经外科", "脑外科"),
    ("消化内科", "胃肠外科", "普外科", "普通外科", "肝胆外科", "肛肠科", "肛肠外科", "肝病科"),
    ("呼吸内科", "结核病科", "胸外科", "心胸外科"),
    ("肾内科", "泌尿外科", "泌尿内科", "男科"),
    ("内分泌科", "甲状腺外科"),
    ("血液内科", "血液科"),
    ("风湿免疫科", "风湿科"),
    ("感染科", "传染科", "肝病科", "发热门诊", "肠道门诊", "性病科"),
    ("皮肤科", "皮肤性病科", "性病科"),
    ("骨科", "骨外科", "脊柱外科", "关节外科", "手外科", "创伤骨科", "外伤科"),
    ("妇科", "产科", "妇产科"),
    ("儿科", "小儿内科", "小儿外科", "新生儿科", "儿童保健科"),
    ("耳鼻咽喉科", "耳鼻喉科", "五官科"),
    ("眼科", "五官科"),
    ("口腔科", "五官科"),
    ("精神科", "精神病科", "精神心理科", "心理科"),
    ("肿瘤科", "肿瘤内科", "肿瘤外科"),
    ("急诊科", "重症医学科", "烧伤科"),
    ("乳腺外科", "普外科", "普通外科"),
)


def departments(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """No department of ours is one of theirs, or of the same family."""
    mine, yours = ours.values["所属科室"], theirs.values["所属科室"]
    families = [set(family) for family in _FAMILIES]
    related = mine & yours or any(family & mine and family & yours for family in families)
    specific = yours - {"内科", "外科", "中医科", "中西医结合科", "老年科"}
    if mine and specific and not related:
        yield ours.shown("所属科室"), theirs.shown("所属科室")


def infectious(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """One says that it is infectious, the other that it is not."""
    mine, yours = ours.values["传染性"], set(theirs.values["传染性"])
    if theirs.values["传播途径"]:
        yours.add("有传染性")
    if mine and yours and mine != yours:
        yield ours.shown("传染性"), "、".join(sorted(yours | theirs.values["传播途径"]))


def negated(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """A sign that the other side denies: 发热 and 无发热."""
    mine = ours.values["临床症状及体征"] | ours.values["相关症状"]
    yours = theirs.values["临床症状及体征"] | theirs.values["相关症状"]
    for denied in yours:
        bare = re.sub("^(?:无明显|无|不伴|没有|并非|非)", "", denied)
        if bare != denied and bare in mine:
            yield bare, denied
    for said in mine:
        bare = re.sub("^(?:无明显|无|不伴|没有)", "", said)
        if bare != said and bare in yours:
            yield said, bare


def sexes(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """The one names men only, the other women only."""
    yield from _told_apart(ours, theirs, _SEXES)


def ages(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """The one names children only, the other the old only."""
    yield from _told_apart(ours, theirs, _AGES)


def _told_apart(ours: Said, theirs: Said, groups: dict[str, re.Pattern[str]]) -> Iterator[tuple[str, str]]:
    told = ["".join(side.values["多发群体"]) for side in (ours, theirs)]
    mine, yours = ({group for group, words in groups.items() if words.search(text)} for text in told)
    if len(mine) == 1 and len(yours) == 1 and mine != yours:
        yield ours.shown("多发群体"), theirs.shown("多发群体")


def opposite(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """What goes up on one side goes down on the other: 血钾升高 and 血钾降低."""
    for attribute in ("临床症状及体征", "不良反应", "实验室检查", "病理生理", "并发症"):
        for said in ours.values[attribute]:
            for up, down in _DIRECTIONS:
                for here, there in ((up, down), (down, up)):
                    turned = said.replace(here, there)
                    if turned != said and turned in theirs.values[attribute] - ours.values[attribute]:
                        yield said, turned


def against(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """What a drug is for on one side is a contraindication on the other."""
    for one, other in ((ours, theirs), (theirs, ours), (ours, ours)):
        sides = ["我方" if side is ours else "对方" for side in (one, other)]
        for said in one.values["适应症"]:
            for ruled_out in other.values["禁忌证"]:
                if _alike(said, ruled_out) and not ruled_out.startswith("非"):
                    yield (
                        f"{sides[0]}适应症 {one.one('适应症', said)}",
                        f"{sides[1]}禁忌证 {other.one('禁忌证', ruled_out)}",
                    )


def pregnancy(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """One forbids a drug in pregnancy, the other does not."""
    mine, yours = ("、".join(sorted(side.values["孕妇用药"] | _pregnant(side))) for side in (ours, theirs))
    if mine and yours and bool(re.search(_NOT_ALLOWED, mine)) != bool(re.search(_NOT_ALLOWED, yours)):
        yield mine, yours


def _pregnant(side: Said) -> set[str]:
    return {f"{value}禁用" for value in side.values["禁忌证"] if re.search("孕妇|妊娠", value)}


def doses(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """An amount of ours that the other side does not have among its own."""
    yours = [amount for text in theirs.values["用法用量"] for amount in _amounts(text)]
    for text in sorted(ours.values["用法用量"]):
        if yours and (strange := [amount for amount in _amounts(text) if amount not in yours]):
            yield f"{ours.one('用法用量', text)}（{strange} mg）", theirs.shown("用法用量")[:300]


def _amounts(text: str) -> list[float]:
    """The amounts of a dose in milligrams, both ends of a range."""
    found: list[float] = []
    for low, high, unit in re.findall(r"([0-9.]+)(?:[~～-]([0-9.]+))?(mg|g|μg|毫克|克)(?!/)", text):
        factor = {"mg": 1.0, "毫克": 1.0, "g": 1000.0, "克": 1000.0, "μg": 0.001}[unit]
        found += [round(float(end.strip(".")) * factor, 6) for end in (low, high) if end.strip(".")]
    return found


def periods(ours: Said, theirs: Said) -> Iterator[tuple[str, str]]:
    """One treats for long or for life, the other for days or weeks."""
    mine, yours = ours.shown("治疗周期"), theirs.shown("治疗周期")
    if mine and yours and bool(re.search(_LONG, mine)) != bool(re.search(_LONG, yours)):
        yield mine, yours


CHECKS = {
    "科室不同": (departments, "所属科室"),
    "传染性不同": (infectious, "传染性"),
    "症状被否定": (negated, "临床症状及体征"),
    "性别不同": (sexes, "多发群体"),
    "年龄不同": (ages, "多发群体"),
    "方向相反": (opposite, "临床症状及体征"),
    "疗程不同": (periods, "治疗周期"),
    "适应症与禁忌证冲突": (against, "适应症"),
    "孕妇用药不同": (pregnancy, "孕妇用药"),
    "剂量不同": (doses, "用法用量"),
}
"""Comparisons of an entity of ours with the same of a source, and the attribute whose values they look at."""


def foreign_names(ours: Said, theirs: dict[str, list[Said]]) -> Iterator[tuple[str, str]]:
    """An alias of ours under which the source has an entity of its own, besides the one that is ours."""
    known = [entity for entity in theirs.get(ours.name, []) if entity.kind == ours.kind]
    for alias in sorted(ours.aliases):
        for entity in theirs.get(alias, []):
            same = any(entity is other or entity.names & other.names for other in known)
            if entity.name == alias and known and not same:
                yield f"别名 {alias}", f"{alias} 另有条目，别名 {'、'.join(sorted(entity.aliases)) or '无'}"
            elif entity.name not in {alias, ours.name} and known and not same:
                yield f"别名 {alias}", f"{alias} 是 {entity.name} 的别名"


def treats_what_it_forbids(drugs: dict[str, Said], diseases: Iterable[Said]) -> Iterator[tuple[str, str, str]]:
    """A disease treated with a drug whose entry rules the disease out: (disease, contraindication, treatment)."""
    named = by_name(drugs.values())
    for disease in diseases:
        for drug in disease.values["药物治疗"]:
            for entry in named.get(drug, []):
                for ruled_out in entry.values["禁忌证"] if entry.kind == "drug" else ():
                    if not ruled_out.startswith("非") and any(_alike(name, ruled_out) for name in disease.names):
                        yield disease.name, entry.one("禁忌证", ruled_out), disease.one("药物治疗", drug)


# --- the whole -------------------------------------------------------------------------------------------------------


def compare(ours: dict[str, Said], source: str, theirs: dict[str, Said]) -> tuple[list[Disagreement], Counter[str]]:
    """The disagreements with one source, and how many of our values it was asked about (and has) by attribute."""
    named = by_name(theirs.values())
    found: list[Disagreement] = []
    counts: Counter[str] = Counter()
    for entity in ours.values():
        matches = {
            id(other): other for name in entity.names for other in named.get(name, []) if other.kind == entity.kind
        }
        counts["实体"] += bool(matches)
        for other in matches.values():
            for check, (run, _) in CHECKS.items():
                found += [
                    Disagreement(check, entity.name, *pair, f"{source} {other.name}") for pair in run(entity, other)
                ]
        for attribute, said in entity.values.items():
            pool = {value for other in matches.values() for value in other.values[attribute]}
            if pool:
                counts["核对的值"] += len(said)
                counts["对方也有的值"] += sum(any(_alike(value, other) for other in pool) for value in said)
        found += [Disagreement("别名另有所指", entity.name, *pair, source) for pair in foreign_names(entity, named)]
    for drugs, diseases in ((ours, theirs), (theirs, ours)):
        forbidden = treats_what_it_forbids(drugs, diseases.values())
        found += [
            Disagreement("用了禁忌的药", name, mine, f"药物治疗 {drug}", source) for name, mine, drug in forbidden
        ]
    return found, counts


def _alike(value: str, other: str) -> bool:
    """Whether two values say the same as far as their letters tell: one holds the other."""
    return value == other or (min(len(value), len(other)) >= 2 and (value in other or other in value))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BENTSAO_SHARED_DATA", "../shared/data")))
    data: Path = parser.parse_args().data
    folder = Path(str(files("bentsao.knowledge.sample")))
    ours = read((folder / name, reader) for name, (_, reader) in PARTS.items())
    total: Counter[str] = Counter()
    for file, reader in SOURCES.items():
        found, counts = compare(ours, file, read([(data / file, reader)]))
        total += counts
        print(f"\n# {file}：{dict(counts)}，分歧 {len(found)} 处")
        for item in sorted(found, key=lambda item: (item.check, item.entity)):
            print(f"{item.check}\t{item.entity}\t我方：{item.ours}\t对方：{item.theirs}\t{item.source}")
    within = list(treats_what_it_forbids(ours, ours.values()))
    print(f"\n# 示例库自身：用了禁忌的药 {len(within)} 处")
    for name, mine, drug in within:
        print(f"{name}\t{mine}\t药物治疗 {drug}")
    print(f"\n合计：{dict(total)}；对方没有的值 {total['核对的值'] - total['对方也有的值']}（不算分歧）")


if __name__ == "__main__":
    main()
