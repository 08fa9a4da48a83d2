"""Charts as SVG text, for loss curves and reports. No dependency; texts are left to the viewer's own fonts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 48
COLOURS = ("#0f766e", "#b45309", "#1d4ed8", "#be123c", "#6d28d9", "#4d7c0f")


@dataclass(frozen=True)
class Line:
    """One curve: its label and its points (x, y); points that are not finite are left out."""

    label: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


def line_chart(title: str, x_label: str, y_label: str, lines: Sequence[Line]) -> str:
    """An SVG picture of the lines; without any finite point, a picture that says so."""
    drawn = [Line(line.label, [p for p in line.points if all(map(math.isfinite, p))], line.dots) for line in lines]
    drawn = [line for line in drawn if line.points]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>'
    )
    if not drawn:
        return head + f'<text x="{LEFT}" y="{HEIGHT // 2}">没有数据</text></svg>'
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [head]
    for tick in y_ticks:
        _, y = place(x_ticks[0], tick)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#4b5563">{tick:g}</text>')
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#4b5563">{tick:g}</text>'
        )
    parts.append(f'<text x="{(WIDTH + LEFT) // 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text x="14" y="{HEIGHT // 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT // 2})">'
        f"{escape(y_label)}</text>"
    )
    for number, line in enumerate(drawn):
        parts += _draw(line, number, [place(x, y) for x, y in line.points])
    return "".join(parts) + "</svg>"


def _draw(line: Line, number: int, places: Sequence[tuple[float, float]]) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    parts = [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>']
    if line.dots or len(places) == 1:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
    y = TOP + 4 + 18 * number
    parts.append(f'<path d="M{WIDTH - 150} {y}h18" stroke="{colour}" stroke-width="3"/>')
    parts.append(f'<text x="{WIDTH - 126}" y="{y + 4}">{escape(line.label)}</text>')
    return parts


@dataclass(frozen=True)
class Whisker:
    """A value with its interval. colour: which of COLOURS; equal for what is of one kind."""

    label: str
    value: float
    low: float
    high: float
    colour: int = 0


ROW, HEAD, SIDE = 22, 24, 210
"""Pixels: a whisker's row, the row of a group's name, and what is left for labels."""


def interval_chart(
    title: str, x_label: str, groups: Sequence[tuple[str, Sequence[Whisker]]], mark: float | None = None
) -> str:
    """An SVG picture of values with their intervals, one below the other under the names of their groups.

    mark: where a dashed line stands for comparison. Values must be finite.
    """
    rows = [whisker for _, whiskers in groups for whisker in whiskers]
    bottom = TOP + HEAD * len(groups) + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + BOTTOM}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH}" height="{bottom + BOTTOM}" fill="#fff"/>'
        f'<text x="8" y="22" font-size="15" font-weight="bold">{escape(title)}</text>'
    ]
    if not rows:
        return parts[0] + f'<text x="8" y="{TOP + 14}">没有数据</text></svg>'
    ends = [end for row in rows for end in (row.low, row.value, row.high)]
    scale = ticks(min(0.0, *ends), max(ends))

    def across(value: float) -> float:
        return SIDE + (value - scale[0]) / (scale[-1] - scale[0]) * (WIDTH - SIDE - 64)

    for tick in scale:
        parts.append(f'<path d="M{across(tick):.1f} {TOP}V{bottom}" stroke="#e5e7eb"/>')
        parts.append(
            f'<text x="{across(tick):.1f}" y="{bottom + 18}" text-anchor="middle" fill="#4b5563">{tick:g}</text>'
        )
    if mark is not None:
        parts.append(f'<path d="M{across(mark):.1f} {TOP}V{bottom}" stroke="#9ca3af" stroke-dasharray="4 3"/>')
    parts.append(
        f'<text x="{(WIDTH + SIDE) // 2}" y="{bottom + BOTTOM - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    y = TOP
    for name, whiskers in groups:
        y += HEAD
        parts.append(f'<text x="8" y="{y - 8}" font-weight="bold">{escape(name)}</text>')
        for whisker in whiskers:
            parts += _whisker(whisker, y + ROW / 2, across)
            y += ROW
    return "".join(parts) + "</svg>"


def _whisker(one: Whisker, y: float, across: Callable[[float], float]) -> list[str]:
    colour = COLOURS[one.colour % len(COLOURS)]
    low, value, high = across(one.low), across(one.value), across(one.high)
    return [
        f'<text x="{SIDE - 12}" y="{y + 4}" text-anchor="end">{escape(one.label)}</text>',
        f'<path d="M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 4}v8M{high:.1f} {y - 4}v8" stroke="{colour}" '
        'stroke-width="1.6" fill="none"/>',
        f'<circle cx="{value:.1f}" cy="{y}" r="4" fill="{colour}"/>',
        f'<text x="{high + 6:.1f}" y="{y + 4}" fill="#4b5563">{one.value:.3g}</text>',
    ]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers whose first is ≤ low and last is ≥ high; at least two, also where low == high."""
    scale = max(abs(low), abs(high), 1e-6)
    if high - low < 1e-9 * scale:
        low, high = low - 0.5 * scale, high + 0.5 * scale
    raw = (high - low) / count
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]
