"""ChatGLM-6B as a model of transformers 5, without the code of its repository, which was written for transformers 4.

A prefix-LM: what stands before the <sop> token attends in both directions, what follows it only backwards. Positions
have two parts, each turning one half of every head: the place in the prompt, where the answer stays at that of its
[gMASK]; and the place in the answer, from 1 at <sop> on. Both follow from the ids, so rows may be padded on any side.

Written after the published code of THUDM/chatglm-6b (Apache-2.0) as its description; in float32 it gives the same.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from bentsao.models.chatglm.configuration import ChatGLMConfig

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, [rows, 1, length, head] each."""


def positions_of(ids: Tensor, mask: Tensor | None, config: ChatGLMConfig) -> tuple[Tensor, Tensor]:
    """Where tokens stand, [rows, 2, length], and which are the prompt's, [rows, length] bool.

    ids: whole rows from their beginning, [rows, length]. mask: 0 at padding, which is not counted; None means there is
    none. A row without <sop> is all prompt.
    """
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    count = (real.cumsum(1) - 1).clamp(min=0)
    answer = ((ids == config.bos_token_id) & real).cumsum(1) > 0
    mark = _first((ids == config.gmask_token_id) & real & ~answer)
    other = _first((ids == config.mask_token_id) & real & ~answer)
    # Without either mark the answer stays at the prompt's last token, where the mark would be.
    last = (real & ~answer).sum(1).clamp(min=1) - 1
    width = ids.shape[1]
    place = torch.where(mark < width, mark, other)
    stays = torch.where(place < width, count.gather(1, place.clamp(max=width - 1)[:, None])[:, 0], last)
    in_prompt = torch.where(answer, stays[:, None], count)
    in_answer = (answer & real).cumsum(1)
    return torch.stack([in_prompt, in_answer], dim=1), ~answer & real


def _first(found: Tensor) -> Tensor:
    """The first column that is true, [rows]; the width where none is."""
    return torch.where(found.any(1), found.int().argmax(1), found.shape[1])


def may_attend(prompt: Tensor, mask: Tensor | None, queries: int) -> Tensor:
    """Which key each of the last `queries` tokens may look at, [rows, 1, queries, keys] bool.

    prompt: as of `positions_of`, [rows, keys]. Padding looks at itself, so that no row of the softmax is empty.
    """
    keys = prompt.shape[1]
    number = torch.arange(keys, device=prompt.device)
    backwards = number <= number[keys - queries :, None]
    allowed = backwards | (prompt[:, keys - queries :, None] & prompt[:, None, :])
    if mask is not None:
        allowed = allowed & mask.bool()[:, None, :]
    itself = number == number[keys - queries :, None]
    return (allowed | itself)[:, None]


def rotation(positions: Tensor, width: int, dtype: torch.dtype) -> Rotation:
    """For positions [rows, 2, length] and heads of `width`: the first half turns by the first positions."""
    half = width // 2
    steps = torch.arange(0, half, 2, device=positions.device, dtype=torch.float32) / half
    # The published weights were made with frequencies that had been rounded so.
    frequencies = (1.0 / 10_000**steps).half().float()
    angles = positions[..., None].float() * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    whole = torch.cat([angles[:, 0], angles[:, 1]], dim=-1)[:, None]
    return whole.cos().to(dtype), whole.sin().to(dtype)


def rotate(states: Tensor, turn: Rotation) -> Tensor:
    """[rows, heads, length, head]: each half of a head is turned within itself."""
    first, second, third, fourth = states.chunk(4, dim=-1)
    return states * turn[0] + torch.cat([-second, first, -fourth, third], dim=-1) * turn[1]


class Attention(nn.Module):
    """Self-attention; query, key and value of each head lie side by side in one matrix."""

    def __init__(self, config: ChatGLMConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads = config.num_attention_heads
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, allowed: Tensor, turn: Rotation, cache: Cache | None) -> Tensor:
        """hidden: [rows, length, d]; allowed: as of `may_attend`."""
        rows, length, width = hidden.shape
        mixed = self.query_key_value(hidden).view(rows, length, self.heads, -1).transpose(1, 2)
        query, key, value = mixed.chunk(3, dim=-1)
        query, key = rotate(query, turn), rotate(key, turn)
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        out = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return self.dense(out.transpose(1, 2).reshape(rows, length, width))


class FeedForward(nn.Module):
    """Two layers with GELU between."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.inner_hidden_size)
        self.dense_4h_to_h = nn.Linear(config.inner_hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden: [rows, length, d]."""
        return self.dense_4h_to_h(functional.gelu(self.dense_h_to_4h(hidden), approximate="tanh"))


class ChatGLMLayer(GradientCheckpointingLayer):
    """One layer. What goes past attention and feed-forward is their normalised input, made larger, and not the sum."""

    def __init__(self, config: ChatGLMConfig, layer: int) -> None:
        super().__init__()
        self.past = math.sqrt(2 * config.num_layers)
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.attention = Attention(config, layer)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.mlp = FeedForward(config)

    def forward(self, hidden_states: Tensor, allowed: Tensor, turn: Rotation, cache: Cache | None = None) -> Tensor:
        """hidden_states: [rows, length, d]."""
        normal = self.input_layernorm(hidden_states)
        hidden = normal * self.past + self.attention(normal, allowed, turn, cache)
        normal = self.post_attention_layernorm(hidden)
        return normal * self.past + self.mlp(normal)


class ChatGLMPreTrainedModel(PreTrainedModel):
    """What transformers wants to know of all models of this kind."""

    config_class = ChatGLMConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules = ["ChatGLMLayer"]  # noqa: RUF012
    _skip_keys_device_placement = ["cache"]  # noqa: RUF012
    _supports_sdpa = True
    # Published weights hold the frequencies of each layer, which are computed here.
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq"]  # noqa: RUF012


class ChatGLMModel(ChatGLMPreTrainedModel):
    """The layers, without the output head."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([ChatGLMLayer(config, layer) for layer in range(config.num_layers)])
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of words."""
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put another in its place."""
        self.word_embeddings = cast(nn.Embedding, value)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """The last hidden states, [rows, length, d].

        attention_mask: [rows, keys]. position_ids: [rows, 2, length], needed only with a filled cache, whose ids are
        not known here; then all of input_ids stands after <sop>. Raises ValueError where they are missing.
        """
        config = cast(ChatGLMConfig, self.config)
        cache = DynamicCache(config=config) if use_cache and past_key_values is None else past_key_values
        known = 0 if cache is None else cache.get_seq_length()
        if known and position_ids is None:
            raise ValueError("ChatGLM needs position_ids to go on from a cache: they depend on the prompt's ids")
        where, prompt = positions_of(input_ids, None if known else attention_mask, config)
        if known:
            prompt = prompt.new_zeros((len(prompt), known + input_ids.shape[1]))
        if position_ids is None:
            position_ids = where
        hidden = self.word_embeddings(input_ids)
        allowed = may_attend(prompt, attention_mask, input_ids.shape[1])
        turn = rotation(position_ids, config.hidden_size // config.num_attention_heads, hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, allowed, turn, cache)
        return BaseModelOutputWithPast(
            last_hidden_state=self.final_layernorm(hidden), past_key_values=cache if use_cache else None
        )


class ChatGLMForConditionalGeneration(ChatGLMPreTrainedModel, GenerationMixin):
    """The whole model, under the name that its published configuration calls it by."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_decoder(self) -> nn.Module:
        """The layers, without the output head."""
        return self.transformer

    def get_output_embeddings(self) -> nn.Module:
        """The output head."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Put another in its place."""
        self.lm_head = cast(nn.Linear, new_embeddings)

    def prepare_inputs_for_generation(  # noqa: PLR0917  (as transformers has it)
        self,
        input_ids: Any,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Any = None,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As transformers' own, with the positions, which only the whole rows tell."""
        kwargs["position_ids"], _ = positions_of(input_ids, attention_mask, cast(ChatGLMConfig, self.config))
        return cast(Any, super()).prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            **kwargs,
        )

    def forward(  # noqa: PLR0917  (as of all models of transformers)
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits, [rows, positions, words]. labels: as ids, -100 where not learnt. logits_to_keep: the last so many
        positions, 0 for all, or their numbers. The other arguments as for `ChatGLMModel.forward`.
        """
        out = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(out.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=out.past_key_values)
