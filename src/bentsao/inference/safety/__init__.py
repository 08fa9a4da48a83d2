"""Safety: what is put before an answer, whatever the model says. Lists with context, no model."""

from bentsao.inference.safety.looking import alarm_text, caution, look, with_alarm

__all__ = ["alarm_text", "caution", "look", "with_alarm"]
