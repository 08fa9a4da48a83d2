from __future__ import annotations

import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.charts import HEIGHT, WIDTH, Line, Whisker, interval_chart, line_chart, ticks

numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers)
def test_ticks_enclose_the_range(low: float, high: float) -> None:
    found = ticks(min(low, high), max(low, high))
    assert 2 <= len(found) <= 12
    assert found == sorted(found)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert found[0] <= min(low, high) + slack
    assert found[-1] >= max(low, high) - slack


@given(
    st.lists(st.tuples(numbers, numbers | st.just(math.nan) | st.just(math.inf)), max_size=8),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5),
)
def test_any_line_is_a_picture_within_its_frame(points: list[tuple[float, float]], label: str) -> None:
    root = ElementTree.fromstring(line_chart("题", "步", "损失", [Line(label, points, dots=True)]))
    dots = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == sum(math.isfinite(y) for _, y in points)
    for dot in dots:
        assert 0 <= float(dot.attrib["cx"]) <= WIDTH
        assert 0 <= float(dot.attrib["cy"]) <= HEIGHT


@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=6), st.text(max_size=5))
def test_any_intervals_are_a_picture_in_order(values: list[tuple[float, float, float]], label: str) -> None:
    label = "".join(sign for sign in label if sign.isprintable())
    rows = [Whisker(label, value, low, high) for low, value, high in map(sorted, values)]
    text = interval_chart("题 <b>", "%", [(label, rows), ("又", rows)], mark=rows[0].value if rows else None)
    root = ElementTree.fromstring(text)
    dots = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 2 * len(rows)
    places = [float(dot.attrib["cx"]) for dot in dots[: len(rows)]]
    assert all(0 <= place <= WIDTH for place in places)
    order = sorted(range(len(rows)), key=lambda place: rows[place].value)
    assert [places[place] for place in order] == sorted(places)
