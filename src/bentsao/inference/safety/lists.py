"""The lists of signs, contexts and cautions, read from the TOML files beside this one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from bentsao.core.toml import parse_toml
from bentsao.inference.safety.denials import Denials
from bentsao.inference.safety.patterns import Finder, alternatives, named_groups

CONTEXTS = (
    *(
        "past",
        "past_after",
        "now",
        "sudden",
        "resolved",
        "cleared",
        "hard",
        "soft",
        "conditions",
        "supposed",
        "supposed_after",
    ),
    *("after_illness", "suspected", "person", "own", "not_person", "fiction", "pets"),
)
"""The lists of context.toml that are looked for in the whole text."""


@dataclass(frozen=True)
class Kind:
    """A kind of emergency with what is said to whoever is in it. posture: sitting or lying; empty: either."""

    name: str
    title: str
    call: str
    until: tuple[str, ...]
    never: tuple[str, ...]
    posture: str = ""


@dataclass(frozen=True)
class Owner:
    """Whose pattern was found: a kind's signs, its illnesses, or a group of those that count only together.

    kind: its number; together: the number of the conjunction, and group the number in it; -1 for plain lists.
    """

    kind: int
    illness: bool = False
    together: int = -1
    group: int = -1


@dataclass(frozen=True)
class Lists:
    """All that the lists say, ready to be looked for."""

    kinds: tuple[Kind, ...]
    owners: tuple[Owner, ...]
    signs: Finder
    groups: Mapping[tuple[int, int], int]
    contexts: Finder
    harmless: Finder
    cautions: tuple[tuple[str, str], ...]
    caution_words: Finder
    misspelt: Mapping[str, str]
    misspelt_words: re.Pattern[str]
    denials: Denials
    not_denied: re.Pattern[str]
    gone: re.Pattern[str]


@cache
def lists() -> Lists:
    """The lists that ship with the package; read when they are needed first."""
    signs, context, cautions = (_read(name) for name in ("signs", "context", "cautions"))
    words = named_groups(signs["words"])
    owners: list[Owner] = []
    groups: dict[tuple[int, int], int] = {}
    finder = Finder(words)

    def add(source: str, owner: Owner) -> None:
        finder.add(source, len(owners))
        owners.append(owner)

    for number, each in enumerate(signs["class"]):
        add(each.get("signs", ""), Owner(number))
        add(each.get("illnesses", ""), Owner(number, illness=True))
        for place, together in enumerate(each.get("together", [])):
            groups[number, place] = len(together)
            for group, source in enumerate(together):
                add(source, Owner(number, together=place, group=group))
    contexts, harmless, caution_words = Finder(words), Finder(words), Finder(words)
    for number, name in enumerate(CONTEXTS):
        contexts.add(context[name], number)
    harmless.add(context["harmless"], 0)
    for number, each in enumerate(cautions["caution"]):
        caution_words.add(each["about"], number)
    misspelt = {wrong: right for right, wrongs in context["misspelt"].items() for wrong in wrongs.split()}
    return Lists(
        kinds=tuple(
            Kind(
                name=each["name"],
                title=each["title"],
                call=each["call"],
                until=tuple(each["until"]),
                never=tuple(each["never"]),
                posture=each.get("posture", ""),
            )
            for each in signs["class"]
        ),
        owners=tuple(owners),
        signs=finder,
        groups=groups,
        contexts=contexts,
        harmless=harmless,
        cautions=tuple((each["name"], each["text"]) for each in cautions["caution"]),
        caution_words=caution_words,
        misspelt=misspelt,
        misspelt_words=re.compile("|".join(map(re.escape, misspelt))),
        denials=Denials(context["denials"].split(), context["between"].split()),
        not_denied=re.compile(alternatives(context["not_denials"], words)),
        gone=re.compile(alternatives(context["gone_after"], words)),
    )


def _read(name: str) -> dict[str, Any]:
    file = f"{name}.toml"
    return parse_toml((resources.files("bentsao.inference.safety") / file).read_text(encoding="utf-8"), file)
