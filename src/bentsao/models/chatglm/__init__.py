"""ChatGLM-6B without remote code: its architecture and tokenizer for transformers 5."""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM

from bentsao.models.chatglm.configuration import ChatGLMConfig
from bentsao.models.chatglm.modeling import ChatGLMForConditionalGeneration


def register() -> None:
    """Let transformers' `Auto…` classes open ChatGLM-6B with ours. Call it before using them; again does no harm."""
    AutoConfig.register("chatglm", ChatGLMConfig, exist_ok=True)
    AutoModelForCausalLM.register(ChatGLMConfig, ChatGLMForConditionalGeneration, exist_ok=True)
