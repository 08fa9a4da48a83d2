"""The composer: facts → exchanges, without any model. Deterministic by seed; memory does not grow with the rows.

What is written is decided here: how many rows each subject gets, in which forms, about which of its attributes. How a
form words it is `forms/`' matter, which words there are the grammar's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bentsao.construction.exchanges import Exchange
from bentsao.construction.forms.care import drug_for, triage
from bentsao.construction.forms.compare import compare
from bentsao.construction.forms.direct import direct, several, vignette
from bentsao.construction.forms.follow import follow_up, turned
from bentsao.construction.forms.gaps import missing, unknown, vague
from bentsao.construction.forms.invented import about_nothing
from bentsao.construction.forms.pen import Pen
from bentsao.construction.forms.premises import premise
from bentsao.construction.grammar import Grammar, Part
from bentsao.construction.rivals import UNCOMPARED, rivals
from bentsao.construction.shares import Split, pens, quotas
from bentsao.construction.subjects import Material, Subject, values_of
from bentsao.core.files import sha256_text
from bentsao.core.grounding import without_marks
from bentsao.knowledge.schema import ATTRIBUTES, Kind, answered_by
from bentsao.knowledge.verify import verify

Mix = Mapping[str, float]

QA_MIX: Mix = {
    "lay": 24, "clinician": 12, "exam": 10, "vignette": 14, "premise_true": 7, "premise_false": 9,
    "several": 9, "compare": 7, "triage": 2, "drug_true": 3, "drug_false": 3,
}  # fmt: skip
"""Shares of the forms of instruction data."""

GROUNDED_MIX: Mix = {
    "lay": 26, "clinician": 9, "exam": 5, "vignette": 9, "premise_true": 7, "premise_false": 8, "several": 8,
    "compare": 6, "triage": 2, "drug_true": 3, "drug_false": 3, "follow_up": 8, "turn": 2, "missing": 5, "unknown": 6,
    "vague": 1, "invented": 12,
}  # fmt: skip
"""Shares of the forms of grounded data, its hard cases among them."""

_TRIES = 30
_MOST_BOOST = 6.0
_KIND_OF: Mapping[str, Kind] = {"triage": "disease", "drug_true": "drug", "drug_false": "drug"}
"""The forms that are about one kind of subject only."""
_ORDER = ("病因", "高危因素", "临床症状及体征", "检查", "实验室检查", "影像学检查", "治疗方案", "药物治疗", "手术治疗",
          "饮食建议", "预防措施", "预后状况", "适应症", "用法用量", "不良反应", "禁忌证", "注意事项")  # fmt: skip
"""The order in which people ask on."""


@dataclass
class Tally:
    """What was made and what was not: refused exchanges by reason with up to five examples each, and unfilled rows."""

    refused: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    unfilled: Counter[str] = field(default_factory=Counter[str])

    def refuse(self, reason: str, example: str) -> None:
        """Count an exchange that was made and thrown away."""
        self.refused[reason] += 1
        kept = self.examples.setdefault(reason, [])
        if len(kept) < 5:
            kept.append(example)


Accept = Callable[[Exchange], bool]
"""Whether an exchange is taken up; one that is not is counted elsewhere, and another is made in its place."""


def compose(
    material: Material,
    grammar: Grammar,
    mix: Mix,
    rows: int,
    *,
    split: Split,
    seed: int,
    tally: Tally,
    accept: Accept = lambda _: True,
) -> Iterator[Exchange]:
    """About `rows` exchanges over the material in the shares of `mix`, subject by subject.

    The attributes of a subject are asked for in turn, the least asked first. Each answer is checked by the
    verifier, and by `accept`. Fewer come where the material is exhausted (`tally.unfilled`). The test split asks in
    patterns of its own.
    """
    part: Part = "test" if split == "test" else "train"
    pen_of = pens(material, grammar.part(part), f"{seed}:{split}")
    loose = {form: share for form, share in mix.items() if form in _LOOSE}
    total = sum(mix.values())
    for form, share in loose.items():
        yield from _loose(form, round(rows * share / total), pen_of(form), tally, accept)
    own = {form: share for form, share in mix.items() if form not in _LOOSE}
    wanted = round(rows * sum(own.values()) / total)
    mixes = {kind: _mix_of(kind, own, material) for kind in material.by_kind}
    for subject, quota in quotas(material, wanted):
        yield from _about(subject, quota, mixes[subject.kind], pen_of(subject.name), tally=tally, accept=accept)


def dialogues(
    material: Material,
    grammar: Grammar,
    count: int,
    *,
    split: Split,
    seed: int,
    tally: Tally,
    accept: Callable[[tuple[Exchange, ...]], bool] = lambda _: True,
) -> Iterator[tuple[Exchange, ...]]:
    """About `count` dialogues of two to six exchanges that follow one another."""
    part: Part = "test" if split == "test" else "train"
    pen_of = pens(material, grammar.part(part), f"{seed}:dialogue:{split}")
    for subject, quota in quotas(material, count):
        pen = pen_of(subject.name)
        seen: set[str] = set()
        made = tries = 0
        while made < quota and tries < quota + _TRIES:
            tries += 1
            dialogue = _dialogue(subject, pen.rng.randint(2, 6), pen)
            question = dialogue[0].question if dialogue else ""
            if len(dialogue) < 2 or question in seen or not all(is_sound(turn, material, tally) for turn in dialogue):
                continue
            seen.add(question)
            if accept(dialogue):
                made += 1
                yield dialogue
        if made < quota:
            tally.unfilled[f"对话（{subject.kind}）"] += quota - made


def _mix_of(kind: Kind, mix: Mix, material: Material) -> Mix:
    """The mix for subjects of one kind: without forms that are not for it, and more of those that are for few kinds."""
    weights = {name: sum(len(one.facts) for one in group) for name, group in material.by_kind.items()}
    boost = min(_MOST_BOOST, sum(weights.values()) / weights[kind])
    return {
        form: share * (boost if form in _KIND_OF else 1)
        for form, share in mix.items()
        if _KIND_OF.get(form, kind) == kind
    }


# ---- one subject --------------------------------------------------------------------------------------------------


def _about(subject: Subject, quota: int, mix: Mix, pen: Pen, *, tally: Tally, accept: Accept) -> Iterator[Exchange]:
    asked: Counter[str] = Counter()
    seen: set[str] = set()
    forms, weights = list(mix), list(mix.values())
    made = tries = 0
    while made < quota and tries < 2 * quota + _TRIES:
        tries += 1
        attribute = min(pen.rng.sample(sorted(subject.facts), len(subject.facts)), key=lambda name: asked[name])
        form = pen.rng.choices(forms, weights)[0]
        exchange = _FORMS[form](subject, attribute, pen)
        if exchange is None or (exchange.question in seen and form != "follow_up"):
            continue
        asked.update(exchange.attributes)
        if is_sound(exchange, pen.material, tally):
            seen.add(exchange.question)
            if accept(exchange):
                made += 1
                yield exchange
    if made < quota:
        tally.unfilled[f"问答（{subject.kind}）"] += quota - made


def _several(subject: Subject, attribute: str, pen: Pen) -> Exchange | None:
    others = sorted(name for name in subject.facts if name != attribute)
    chosen = [attribute, *pen.rng.sample(others, min(len(others), pen.rng.randint(1, 2)))]
    if sum(len(values_of(subject.facts[name])) for name in chosen) > 24:
        return None
    return several(subject, tuple(sorted(chosen, key=_place)), pen)


def _compare(subject: Subject, attribute: str, pen: Pen) -> Exchange | None:
    """With one that people confuse it with; none where the base knows of none."""
    if attribute in UNCOMPARED or ATTRIBUTES[attribute].polarity == "answer":
        return None  # 有传染性 and 无传染性 are sentences of their own, not things that one has
    others = rivals(subject, pen.material)
    if not others:
        return None
    other = pen.rng.choice(others)
    # What is known of one only is worth a row now and then, not every other time.
    if attribute not in other.facts and pen.rng.random() < 0.8:
        return None
    return compare(subject, other, attribute, pen)


def _missing(subject: Subject, _: str, pen: Pen) -> Exchange | None:
    absent = sorted(
        name
        for kind, name in pen.grammar.attributes
        if kind == subject.kind and name not in subject.facts and answered_by(name, subject.facts) == (name,)
    )
    return missing(subject, pen.rng.choice(absent), pen) if absent else None


def _follow_up(subject: Subject, attribute: str, pen: Pen) -> Exchange | None:
    """The last turn of a dialogue of two or three."""
    dialogue = _dialogue(subject, pen.rng.randint(2, 3), pen, last=attribute)
    return dialogue[-1] if len(dialogue) > 1 and dialogue[-1].form == "follow_up" else None


def _turn(subject: Subject, attribute: str, pen: Pen) -> Exchange | None:
    other = pen.rng.choice(pen.material.subjects)
    if other is subject:
        return None
    before = direct(other, pen.rng.choice(sorted(other.facts)), pen, "lay")
    after = direct(subject, attribute, pen, "lay")
    return turned(before, after) if before and after else None


_FORMS: dict[str, Callable[[Subject, str, Pen], Exchange | None]] = {
    "lay": lambda subject, attribute, pen: direct(subject, attribute, pen, "lay"),
    "clinician": lambda subject, attribute, pen: direct(subject, attribute, pen, "clinician"),
    "exam": lambda subject, attribute, pen: direct(subject, attribute, pen, "exam"),
    "vignette": vignette,
    "premise_true": lambda subject, attribute, pen: premise(subject, attribute, pen, true=True),
    "premise_false": lambda subject, attribute, pen: premise(subject, attribute, pen, true=False),
    "several": _several,
    "compare": _compare,
    "triage": lambda subject, _, pen: triage(subject, pen),
    "drug_true": lambda subject, _, pen: drug_for(subject, pen, true=True),
    "drug_false": lambda subject, _, pen: drug_for(subject, pen, true=False),
    "follow_up": _follow_up,
    "turn": _turn,
    "missing": _missing,
}
"""The forms about one subject, by name; add one here."""


def _dialogue(subject: Subject, turns: int, pen: Pen, last: str | None = None) -> tuple[Exchange, ...]:
    """A plain question or vignette, then follow-ups; last: the attribute of the last one."""
    attributes = sorted(pen.rng.sample(sorted(subject.facts), min(turns, len(subject.facts))), key=_place)
    if last is not None:
        attributes = [*[name for name in attributes if name != last][: turns - 1], last]
    if len(attributes) < 2:
        return ()
    if pen.rng.random() < 0.3:
        first = vignette(subject, attributes[0], pen)
    else:
        first = direct(subject, attributes[0], pen, "lay")
    if first is None:
        return ()
    out = [first]
    for attribute in attributes[1:]:
        turn = follow_up(out[-1], subject, attribute, pen)
        if turn is not None:
            out.append(turn)
    return tuple(out)


def _place(attribute: str) -> tuple[int, str]:
    return (_ORDER.index(attribute) if attribute in _ORDER else len(_ORDER), attribute)


# ---- about no subject -----------------------------------------------------------------------------------------------


def _unknown(pen: Pen) -> Exchange | None:
    keys = sorted(pen.grammar.unknown)
    if not keys:
        return None
    if pen.rng.random() < 0.5:
        keys = sorted(key for key in pen.grammar.attributes if key[0] in ("disease", "drug"))
    kind, attribute = pen.rng.choice(keys)
    return unknown(kind, attribute, pen)


_LOOSE: dict[str, Callable[[Pen], Exchange | None]] = {"unknown": _unknown, "vague": vague, "invented": about_nothing}
"""The forms that are about no subject of the base."""


def _loose(form: str, rows: int, pen: Pen, tally: Tally, accept: Accept) -> Iterator[Exchange]:
    seen: set[int] = set()
    made = 0
    for _ in range(2 * rows + _TRIES):
        if made == rows:
            return
        exchange = _LOOSE[form](pen)
        # Of a million questions only their hashes are kept.
        key = int(sha256_text(exchange.question)[:16], 16) if exchange else 0
        if exchange is not None and key not in seen and is_sound(exchange, pen.material, tally):
            seen.add(key)
            if accept(exchange):
                made += 1
                yield exchange
    tally.unfilled[form] += rows - made


def is_sound(exchange: Exchange, material: Material, tally: Tally) -> bool:
    """Whether the verifier finds every claim of the answer in its facts; if not, it is counted with its reason."""
    if not exchange.facts:
        return True
    claims = verify(without_marks(exchange.answer), exchange.facts, aliases=material.aliases).claims
    wrong = [claim for claim in claims if claim.verdict != "supported"]
    for claim in wrong[:1]:
        what = f"{exchange.question} → {exchange.answer}（{claim.text}：{claim.reason}）"
        tally.refuse(f"核对不符：{claim.verdict}", what)
    return not wrong
