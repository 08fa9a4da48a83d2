"""The words by which people ask for an attribute: data, to be read and added to."""

from bentsao.knowledge.linking.cues.course import COURSE
from bentsao.knowledge.linking.cues.departments import DEPARTMENTS
from bentsao.knowledge.linking.cues.examination import EXAMINATION
from bentsao.knowledge.linking.cues.medicines import MEDICINES
from bentsao.knowledge.linking.cues.occurrence import OCCURRENCE
from bentsao.knowledge.linking.cues.outlook import OUTLOOK
from bentsao.knowledge.linking.cues.patterns import SIGNS, SLOTS, Cues
from bentsao.knowledge.linking.cues.procedures import PROCEDURES
from bentsao.knowledge.linking.cues.treatment import TREATMENT

__all__ = ["CUES", "SIGNS", "SLOTS", "Cues"]

CUES: tuple[Cues, ...] = (
    *COURSE,
    *OCCURRENCE,
    *EXAMINATION,
    *TREATMENT,
    *OUTLOOK,
    *MEDICINES,
    *PROCEDURES,
    *DEPARTMENTS,
)
"""All cues. Several entries for one attribute where different kinds of entities are asked in different words."""
