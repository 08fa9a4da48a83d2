"""Two adapters side by side: what their configurations say, and how far their changes of each layer are apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bentsao.core.records import Record
from bentsao.models.adapter_files import Adapter, read_adapter_files
from bentsao.models.adapter_inspecting import norm


class LayerDifference(Record):
    """‖s·BA‖ of each side and of their difference; alike: cosine of the two changes, None where one is 0 or missing."""

    layer: str
    a: float
    b: float
    apart: float
    alike: float | None


class Difference(Record):
    """config: what differs of what matters, as (key, first, second). layers: every layer that either changes.

    only_a, only_b: layers that one alone changes. whole: weights saved whole that differ or that one alone has.
    total: over all layers.
    """

    config: tuple[tuple[str, str, str], ...]
    layers: tuple[LayerDifference, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    whole: tuple[str, ...]
    total: LayerDifference


def compare_adapters(first: Path, second: Path) -> Difference:
    """Compare two adapters of any age; of other bases, they differ in every layer. Errors as `read_adapter_files`."""
    a, b = read_adapter_files(first), read_adapter_files(second)
    layers = tuple(_layer(module, a, b) for module in sorted(a.changes.keys() | b.changes.keys()))
    differing = [key for key in _KEYS if _said(a, key) != _said(b, key)]
    return Difference(
        config=tuple((key, _said(a, key), _said(b, key)) for key in differing),
        layers=layers,
        only_a=tuple(sorted(a.changes.keys() - b.changes.keys())),
        only_b=tuple(sorted(b.changes.keys() - a.changes.keys())),
        whole=tuple(name for name in sorted(a.whole.keys() | b.whole.keys()) if not _same(a, b, name)),
        total=_combined("全部", *zip(*((layer.a, layer.b, layer.apart) for layer in layers), strict=True)),
    )


_KEYS = (
    "peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora",
    "bias", "fan_in_fan_out", "target_modules", "modules_to_save", "layers_to_transform", "rank_pattern",
    "alpha_pattern",
)  # fmt: skip
"""What of a configuration decides what an adapter is; what is false or empty is the same as what is not there."""


def _layer(module: str, first: Adapter, second: Adapter) -> LayerDifference:
    a, b = first.changes.get(module), second.changes.get(module)
    size_a, size_b = (0.0 if change is None else norm(change) for change in (a, b))
    if a is None or b is None:
        return LayerDifference(layer=module, a=size_a, b=size_b, apart=size_a + size_b, alike=None)
    if a.a.shape[1] != b.a.shape[1] or a.b.shape[0] != b.b.shape[0]:
        return LayerDifference(layer=module, a=size_a, b=size_b, apart=(size_a**2 + size_b**2) ** 0.5, alike=None)
    return _combined(module, [size_a], [size_b], [norm(a, b)])


def _combined(name: str, a: Sequence[float], b: Sequence[float], apart: Sequence[float]) -> LayerDifference:
    """Norms of layers together: as of one matrix that has all of them."""
    size_a, size_b, far = (sum(value**2 for value in values) ** 0.5 for values in (a, b, apart))
    alike = (size_a**2 + size_b**2 - far**2) / (2 * size_a * size_b) if size_a and size_b else None
    return LayerDifference(layer=name, a=size_a, b=size_b, apart=far, alike=alike)


def _said(adapter: Adapter, key: str) -> str:
    value = adapter.config.get(key)
    return str(sorted(value) if isinstance(value, list) else value) if value else "—"


def _same(first: Adapter, second: Adapter, name: str) -> bool:
    a, b = first.whole.get(name), second.whole.get(name)
    return a is not None and b is not None and a.shape == b.shape and bool((a == b).all())
