"""The filters: what makes a row unfit to be learnt from, each a function that names its reason.

A filter takes a conversation and the context of the run and returns why the row is unfit, in Chinese, with the
offending piece of text (`label：“piece”`), or None where nothing is wrong. What comes before the first `：` is the
label that rows are counted under. `FILTERS` is the list, cheapest first; `duplicates` is last, because it remembers
the rows that it lets through.
"""

from bentsao.construction.filters.context import Context, Filter, label_of
from bentsao.construction.filters.copies import near_duplicate
from bentsao.construction.filters.evidence import ungrounded
from bentsao.construction.filters.language import wrong_language
from bentsao.construction.filters.leaks import generator_talk
from bentsao.construction.filters.persons import personal_data
from bentsao.construction.filters.safety import unsafe_advice
from bentsao.construction.filters.shape import echo, repetition, too_short, unfinished

FILTERS: dict[str, Filter] = {
    "short": too_short,
    "leak": generator_talk,
    "unfinished": unfinished,
    "language": wrong_language,
    "repetition": repetition,
    "echo": echo,
    "personal": personal_data,
    "unsafe": unsafe_advice,
    "ungrounded": ungrounded,
    "duplicate": near_duplicate,
}
"""The filters by name, in the order in which they run."""

TITLES: dict[str, str] = {
    "short": "空的或过短",
    "leak": "生成者的口吻",
    "unfinished": "没有说完",
    "language": "语言不对",
    "repetition": "原地重复",
    "echo": "照抄问题",
    "personal": "个人信息",
    "unsafe": "不安全的建议",
    "ungrounded": "超出或违背依据",
    "duplicate": "近似重复",
}
"""What the filters are called for people."""

__all__ = ["FILTERS", "TITLES", "Context", "Filter", "label_of"]
