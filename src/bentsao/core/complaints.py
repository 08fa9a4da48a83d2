"""What pydantic finds wrong, in the words of those who have to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

REASONS = {
    "missing": "缺少这个字段",
    "extra_forbidden": "没有这个字段，请检查拼写或去掉它",
    "json_invalid": "不是合法的 JSON",
    "string_type": "应是字符串",
    "string_unicode": "不是合法的 Unicode 文本",
    "string_pattern_mismatch": "不合格式 {pattern}",
    "int_type": "应是整数",
    "int_parsing": "应是整数",
    "int_from_float": "应是整数",
    "float_type": "应是数字",
    "float_parsing": "应是数字",
    "finite_number": "应是有限的数",
    "bool_type": "应是 true 或 false",
    "bool_parsing": "应是 true 或 false",
    "list_type": "应是数组",
    "tuple_type": "应是数组",
    "dict_type": "应是对象",
    "model_type": "应是对象",
    "model_attributes_type": "应是对象",
    "too_short": "应至少有 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "string_too_short": "应至少有 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "literal_error": "应是 {expected} 之一",
    "greater_than_equal": "应不小于 {ge}",
    "greater_than": "应大于 {gt}",
    "less_than_equal": "应不大于 {le}",
    "less_than": "应小于 {lt}",
}
"""By pydantic's type of error; what is not here keeps pydantic's message. Without a full stop."""


def reason(error: Mapping[str, Any]) -> str:
    """One of `ValidationError.errors()` in words; those of our own validators as they are."""
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ").removesuffix("。")
    context = error.get("ctx") or {}
    if "expected" in context:
        context = {"expected": context["expected"].replace(" or ", "、").replace(", ", "、")}
    return REASONS.get(error["type"], "值不符合要求（{msg}）").format(msg=error["msg"], **context)


def complaints(error: ValidationError) -> Iterator[tuple[str, object, str]]:
    """One by one: the field ("整体" for all of them together), its value, what is wrong."""
    for one in error.errors(include_url=False):
        yield ".".join(map(str, one["loc"])) or "整体", one["input"], f"{reason(one)}。"


def in_one_line(error: ValidationError) -> str:
    """All of them as `field：what is wrong；…`, without the values."""
    return "；".join(f"{field}：{what.removesuffix('。')}" for field, _, what in complaints(error))
