from __future__ import annotations

import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bentsao.core.charts import HEIGHT, WIDTH, Line, line_chart, ticks

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
