"""ChatGLM-6B's configuration, under the names of its published config.json."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from bentsao.models.chatglm.releases import is_later


class ChatGLMConfig(PreTrainedConfig):
    """The shape of a ChatGLM-6B and the ids that structure its text.

    bos_token_id: begins the answer (<sop>); before it attention goes both ways. gmask_token_id, mask_token_id: mark the
    place that is filled in; None means where the releases have them, 3 and 4 before <sop>.
    quantization_bit: above 0 the stored weights are packed integers, which are not read here.
    Raises ValueError for a configuration of ChatGLM2/3, for quantised weights, and for one-dimensional positions.
    """

    model_type = "chatglm"
    attribute_map = {  # noqa: RUF012  (as transformers has it)
        "num_hidden_layers": "num_layers",
        "intermediate_size": "inner_hidden_size",
        "max_position_embeddings": "max_sequence_length",
    }
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012

    def __init__(  # noqa: PLR0917  (transformers gives them by name)
        self,
        vocab_size: int = 130_528,
        hidden_size: int = 4096,
        num_layers: int = 28,
        num_attention_heads: int = 32,
        inner_hidden_size: int = 16_384,
        layernorm_epsilon: float = 1e-5,
        max_sequence_length: int = 2048,
        position_encoding_2d: bool = True,
        use_cache: bool = True,
        bos_token_id: int = 130_004,
        eos_token_id: int = 130_005,
        pad_token_id: int | None = 3,
        gmask_token_id: int | None = None,
        mask_token_id: int | None = None,
        quantization_bit: int = 0,
        initializer_range: float = 0.02,
        **more: Any,
    ) -> None:
        if is_later(more):
            raise ValueError("ChatGLM2/3 与 ChatGLM-6B 不是同一种模型。请换用 transformers 自带类的 GLM：glm-4-9b")
        if quantization_bit:
            raise ValueError(f"这是 {quantization_bit} bit 量化的版本，这里不读。请换未量化的")
        if not position_encoding_2d:
            raise ValueError("position_encoding_2d 为 false 的 ChatGLM 没有发布过，这里不认识")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.num_attention_heads = num_attention_heads
        self.inner_hidden_size = inner_hidden_size
        self.layernorm_epsilon = layernorm_epsilon
        self.max_sequence_length = max_sequence_length
        self.position_encoding_2d = position_encoding_2d
        self.use_cache = use_cache
        self.gmask_token_id = bos_token_id - 3 if gmask_token_id is None else gmask_token_id
        self.mask_token_id = bos_token_id - 4 if mask_token_id is None else mask_token_id
        self.quantization_bit = quantization_bit
        self.initializer_range = initializer_range
        more |= {"pad_token_id": pad_token_id, "bos_token_id": bos_token_id, "eos_token_id": eos_token_id}
        more["tie_word_embeddings"] = False
        super().__init__(**more)
