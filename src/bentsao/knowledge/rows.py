"""What an importer reads out of a file, before it is stored. Every row knows its number in the file.

Plain dataclasses, not records: a million of them are made in an import, by our own readers.
"""

from __future__ import annotations

from dataclasses import dataclass

from bentsao.core.records import Record
from bentsao.knowledge.schema import AliasType, Kind


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of an entity."""

    text: str
    type: AliasType = "synonym"


@dataclass(frozen=True, slots=True)
class FactRow:
    """One value of one attribute of schema.ATTRIBUTES; `qualifier` is None where it always holds."""

    attribute: str
    value: str
    qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class EntityRow:
    """An entity and what one row says of it. An entity may come in many rows; name and kind make it the same.

    `row`: number in the file, from 1.
    """

    name: str
    kind: Kind
    aliases: tuple[Alias, ...] = ()
    facts: tuple[FactRow, ...] = ()
    row: int = 1


@dataclass(frozen=True, slots=True)
class PassageRow:
    """A piece of literature: its conclusion in `text`, and what is needed to find it again.

    `year` None and empty texts where unknown; `locator`: volume and pages; `identifier`: doi:…, PMID … .
    """

    title: str
    text: str
    keywords: tuple[str, ...] = ()
    journal: str = ""
    year: int | None = None
    locator: str = ""
    identifier: str = ""
    row: int = 1


@dataclass(frozen=True, slots=True)
class Skipped:
    """What an importer left out, and why. `reason` is shown to the user and counted: few, fixed, Chinese wordings."""

    reason: str
    value: str
    row: int = 1


Row = EntityRow | PassageRow | Skipped


class SourceInfo(Record):
    """The file that rows come from. `name` is what facts are cited and removed by; `sha256` of the file's bytes."""

    name: str
    file: str
    licence: str = ""
    sha256: str
