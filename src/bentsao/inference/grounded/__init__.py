"""Grounded answers: question → entity and attribute → facts → an answer that cites them, or says there are none."""

from bentsao.inference.grounded.answering import Answerer
from bentsao.inference.grounded.records import Aim, GroundedAnswer, GroundedQuestion, Path, Policy

__all__ = ["Aim", "Answerer", "GroundedAnswer", "GroundedQuestion", "Path", "Policy"]
