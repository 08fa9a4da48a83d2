"""The stack of decoder layers in any architecture, which freezing, sharding and kept activations all need to find."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from bentsao.core.errors import ConfigError, ModelError


@dataclass(frozen=True)
class Stack:
    """The layers in order, and the module whose child they are (the backbone)."""

    owner: nn.Module
    layers: nn.ModuleList


def layer_stack(model: nn.Module) -> Stack:
    """The model's decoder layers, below whatever wrappers. Raises ModelError for an architecture without."""
    configured = cast(Any, model).config.get_text_config().num_hidden_layers
    for owner in model.modules():
        for child in owner.children():
            if isinstance(child, nn.ModuleList) and len(child) == configured:
                return Stack(owner, child)
    raise ModelError(f"{type(model).__name__} 里找不到 {configured} 个解码层的列表，不能按层冻结或分片。")


def layers_below(model: nn.Module, lowest: int) -> list[nn.Module]:
    """The layers below the lowest one that is tuned. Raises ConfigError if there is no layer of that number."""
    layers = layer_stack(model).layers
    if lowest >= len(layers):
        raise ConfigError(
            f"training.lowest_layer={lowest}，但基座只有 {len(layers)} 层（0 到 {len(layers) - 1}）。请改小。"
        )
    return list(layers)[:lowest]


class Below:
    """The layers below the lowest one that is tuned, as a thing apart: computed alone, or left out of a forward."""

    def __init__(self, backbone: nn.Module, lowest: int) -> None:
        self._backbone = backbone
        self._layers = layers_below(backbone, lowest)
        self._next = layer_stack(backbone).layers[lowest]
        self._in_tuples = False

    @torch.no_grad()
    def compute(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What enters the lowest tuned layer, [rows, length, d]; nothing above is computed."""

        def look(_: nn.Module, __: Any, output: Any) -> None:
            self._in_tuples = isinstance(output, tuple)

        def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            raise _Reached(args[0] if args else kwargs["hidden_states"])

        hooks = [
            self._layers[-1].register_forward_hook(look),
            self._next.register_forward_pre_hook(stop, with_kwargs=True),
        ]
        try:
            self._backbone(input_ids=ids, attention_mask=mask, use_cache=False)
        except _Reached as reached:
            return reached.hidden
        finally:
            for hook in hooks:
                hook.remove()
        raise ModelError(f"{type(self._backbone).__name__} 没有按顺序经过它的各层，不能保留下面各层的结果。")

    @contextmanager
    def given(self, hidden: Tensor) -> Generator[None]:
        """Within the block a forward takes `hidden` for what these layers make of its ids."""

        def forward(*_: Any, **__: Any) -> Any:
            return (hidden,) if self._in_tuples else hidden

        # The modules stay: backbones look up more than the forward of their layers.
        for layer in self._layers:
            layer.forward = forward
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward


class _Reached(Exception):  # noqa: N818  (no error: the way out of a forward)
    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden
