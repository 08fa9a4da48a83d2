"""Linking: which entities of the knowledge base a question is about, and which of their attributes it asks for."""

from bentsao.knowledge.linking.linker import Linker
from bentsao.knowledge.linking.records import Linked, LinkedAttribute, LinkedEntity, Match

__all__ = ["Linked", "LinkedAttribute", "LinkedEntity", "Linker", "Match"]
