"""A text taken apart: for each place the clause, the attribute, the subjects and the conditions it speaks of.

Built once a text, over the names that were found in it. The words it goes by are in `cues`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, NamedTuple

from ahocorasick_rs import AhoCorasick, MatchKind

from bentsao.knowledge.schema import ATTRIBUTES
from bentsao.knowledge.verify.cues import BREAK, CONDITIONS, CUES, INTRO, VERBS
from bentsao.knowledge.verify.stance import NAME, Stance, stance

Span = tuple[int, int]

_MEANINGS = {name: frozenset({name}) for name in ATTRIBUTES} | {
    word: attributes for words, attributes in CUES for word in words.split()
}
_WORDS = list(_MEANINGS)
_NOUNS = AhoCorasick(_WORDS, matchkind=MatchKind.LeftmostLongest)
_VERBS = re.compile("|".join(f"(?P<v{number}>{words})" for number, (words, _) in enumerate(VERBS)))
_LISTED = re.compile(rf"[^,;。:、等!?\n]{{0,8}}?(?:{INTRO})+")
_SO_ON_BEFORE = re.compile(r"等[^,;。:、!?\n]{0,4}$")
_IS_BEFORE = re.compile(r"(?:并?不是|并非|不属于|是|为|属于|作为)[^,;。:!?\n无没]{0,16}$")
_CLOSED = re.compile(r"(?:之一)?(?:$|[,;。!?\n])")
_SENTENCE_END = re.compile(r"[。!?]|;(?!\d+[.、)])|\n(?!\s*(?:\d+[.、)]|[-*·]))")
_OF = re.compile("(?:患者|病人)?的(?:主要|常见|典型|常用)*")
_TELLS = re.compile(
    "(?:患者|病人)?(?:主要|常常?|一般|通常|多|可)*(?:表现为|表现有|并发(?!症)|(?:好发|多发|多见|常见|高发)于)"
)
_CLAUSE_END = re.compile(r"[,;。!?\n]")
_BREAK = re.compile(f",(?={BREAK})")
_GROUPS = [(axis, group, words) for axis, groups in CONDITIONS.items() for group, words in groups.items()]
_CONDITION = re.compile("|".join(f"(?P<c{number}>{words})" for number, (_, _, words) in enumerate(_GROUPS)))
_TOGETHER = re.compile(r"[、和与及跟同以]+")
_FORMER_LATTER = re.compile("前者|后者")
_SEEK_CARE = re.compile(
    r"(?:如果|如(?=出现|有|伴|遇|发现|病情|症状)|若|一旦|倘若|假如|要是)(?P<when>[^。;!?\n]{1,60}?)(?:[,时]|的话|应|请|需|要|立即|及时|尽快)"
    r"[^。;!?\n]{0,24}?(?:就医|就诊|急诊|急救|120|医生|医师|医院)"
)
_IF = re.compile("如果|若|假如|倘若|要是|一旦|如(?=无|没|不|$)")
_CRITERION = re.compile("(?:标准|指征|条件)[为是:有]")
_ADVICE = re.compile(
    r"祝[您你][^。!?\n]*|早日康复|仅供参考|(?:请|建议|需要?|应|要)?(?:及时|尽快|尽早|立即|定期)?(?:到|去|前往)?(?:正规)?(?:医院|医疗机构)?"
    r"(?:就医|看病|咨询(?:专科|专业)?(?:医生|医师))|请?[遵听]从?医嘱[^,。!?\n]*|在?(?:医生|医师)的?指导下"
)


class Cue(NamedTuple):
    """`text[start:end]` names the attributes of the list after it, or of the list before it (`back`)."""

    start: int
    end: int
    attributes: frozenset[str]
    back: bool = False
    verb: bool = False


Role = Literal["value", "subject", "condition"]


class Name(NamedTuple):
    """A known name in the text, in its role; `own` is its entity's own name (of a subject: as the facts call it)."""

    start: int
    end: int
    own: str
    role: Role = "value"


class Reading:
    """What the places of a normalised text are about. `names`: the known names in it, in order, none within another."""

    def __init__(self, text: str, names: Sequence[Name]) -> None:
        self.text = text
        self.names = names
        self.masked = mask(text, names)
        self.cues = _cues(self.masked)
        self.topics = [name for name in names if name.role == "subject" or self._speaks_of(name)]
        self._conditions = list(_conditions(text, names))
        self._sentences = [match.end() for match in _SENTENCE_END.finditer(text)]
        self._clauses = [match.end() for match in _CLAUSE_END.finditer(text)]
        self._breaks = [match.start() for match in _BREAK.finditer(self.masked)]
        self._asked = [_around(self._sentences, match.start(), len(text)) for match in re.finditer(r"\?", text)]
        self._idle = [match.span("when") for match in _SEEK_CARE.finditer(self.masked)]
        self._idle += [match.span() for match in _ADVICE.finditer(self.masked)]

    def _speaks_of(self, name: Name) -> bool:
        """Whether a name of which no fact speaks is what the text tells of: 糖尿病的症状包括……, 口咽癌多发于……"""
        if match := _OF.match(self.masked, name.end):
            return any(cue.start == match.end() and not cue.back for cue in self.cues)
        return _TELLS.match(self.masked, name.end) is not None

    def within_name(self, start: int, end: int) -> bool:
        """Whether a span is a part of a longer known name."""
        return _within(start, end, self.names)

    def clause(self, start: int) -> Span:
        """The clause in which a place lies, up to and without its stop."""
        return _around(self._clauses, start, len(self.text))

    def sentence(self, start: int) -> Span:
        """The sentence in which a place lies."""
        return _around(self._sentences, start, len(self.text))

    def stance(self, start: int, end: int) -> Stance:
        """Whether the text affirms what stands at a span."""
        left, right = self.clause(start)
        return stance(self.masked[left:right], start - left, end - left)

    def idle(self, start: int, end: int) -> bool:
        """Whether a span lies in a question or in general advice (请及时就医, 如出现……请就诊), which claim nothing."""
        return any(left <= start and end <= right for left, right in (*self._asked, *self._idle))

    def supposed(self, start: int) -> bool:
        """Whether a place lies in an if-clause or a criterion (如果没有并发症; 出院标准为……), which assert nothing."""
        (left, _), (sentence, _) = self.clause(start), self.sentence(start)
        return bool(_IF.search(self.masked, left, start) or _CRITERION.search(self.masked, sentence, start))

    def attributes(self, start: int, end: int) -> frozenset[str] | None:
        """The attributes under which the text puts a span; None where it names none."""
        (_, clause_end), (sentence, _) = self.clause(start), self.sentence(start)
        before: Cue | None = None
        for cue in self.cues:
            if cue.end <= start:
                if not cue.back and cue.start >= sentence:
                    before = cue
            elif cue.start >= end:
                if cue.back and cue.end <= clause_end + 1:
                    return cue.attributes
                if not cue.back:
                    break
        if before is None or self._broken(before.end, start):
            return None
        return before.attributes

    def list_end(self, cue: Cue) -> int:
        """Where the list ends that a cue opens: at the next cue, a clause on something else, or the sentence's end."""
        _, end = self.sentence(cue.end)
        stops = [other.start for other in self.cues if other.start >= cue.end]
        if cue.verb:
            end = self.clause(cue.end)[1]
        stops += self._breaks[bisect_left(self._breaks, cue.end) :][:1]
        return min([end, *stops])

    def _broken(self, start: int, end: int) -> bool:
        at = bisect_left(self._breaks, start)
        return at < len(self._breaks) and self._breaks[at] < end

    def subjects(self, start: int) -> tuple[str, ...]:
        """Of whom the text speaks at a place: several where it joins them (A和B都…), () where it names nobody."""
        left, right = self.sentence(start)
        near = [topic for topic in self.topics if left <= topic.start < start]
        if near:
            return self._joined(near)
        later = [topic for topic in self.topics if start < topic.start < right]
        if later:
            return (later[0].own,)
        earlier = [topic for topic in self.topics if topic.start < left and topic.role == "subject"]
        return self._one_of(self._joined(earlier), left, start) if earlier else ()

    def _one_of(self, subjects: tuple[str, ...], left: int, start: int) -> tuple[str, ...]:
        """Of two that the sentence before joined, the one that is meant by 前者 or 后者."""
        words = _FORMER_LATTER.findall(self.text, left, start)
        if not words or len(subjects) != 2:
            return subjects
        last, first = subjects
        return (first,) if words[-1] == "前者" else (last,)

    def _joined(self, topics: Sequence[Name]) -> tuple[str, ...]:
        last = topics[-1]
        out = [last.own]
        for topic in reversed(topics[:-1]):
            if not _TOGETHER.fullmatch(self.text[topic.end : last.start]):
                break
            out.append(topic.own)
            last = topic
        return tuple(out)

    def filed_under(self, start: int, conditions: Collection[str]) -> str | None:
        """Which of these conditions stands as a heading (`预防发作：`) over a place of a sentence; None for none."""
        left, _ = self.sentence(start)
        places = {self.text.rfind(f"{each}:", left, start): each for each in sorted(conditions, key=len)}
        return places[max(places)] if places and max(places) >= 0 else None

    def conditions(self, start: int) -> dict[str, str]:
        """The conditions under which the text speaks at a place: axis → group, the last up to its clause's end."""
        if not self._conditions:
            return {}
        (left, _), (_, right) = self.sentence(start), self.clause(start)
        return {axis: group for at, axis, group in self._conditions if left <= at < right}


def mask(text: str, names: Sequence[Name]) -> str:
    """The text with NAME for each character of a name."""
    out, at = "", 0
    for start, end, *_ in names:
        out += text[at:start] + NAME * (end - start)
        at = end
    return out + text[at:]


def speaks_of_list(text: str, start: int, end: int) -> bool:
    """Whether the name of an attribute at a span stands before a list (症状包括……) or after one (……等症状)."""
    return _list_before(text, start, end) is not None or _LISTED.match(text, end) is not None


def cue_words(text: str) -> list[Span]:
    """Where the names of attributes stand in a text."""
    return [(start, end) for _, start, end in _NOUNS.find_matches_as_indexes(text)]


def is_cue(words: str) -> bool:
    """Whether the words are the name of an attribute (症状, 治疗方案) rather than one of its values."""
    return words in _MEANINGS


def conditions_of(text: str) -> dict[str, str]:
    """The conditions that a short text (a qualifier, a part of a value) names: axis → group."""
    return {axis: group for _, axis, group in _conditions(text, ())}


def _around(stops: Sequence[int], at: int, length: int) -> Span:
    place = bisect_right(stops, at)
    return (stops[place - 1] if place else 0), (stops[place] - 1 if place < len(stops) else length)


def _conditions(text: str, names: Sequence[Name]) -> Iterator[tuple[int, str, str]]:
    for match in _CONDITION.finditer(text):
        if match.lastgroup and not _within(*match.span(), names):
            axis, group, _ = _GROUPS[int(match.lastgroup[1:])]
            yield match.start(), axis, group


def _within(start: int, end: int, names: Sequence[Name]) -> bool:
    return any(name.start <= start and end <= name.end and name.end - name.start > end - start for name in names)


def _list_before(text: str, start: int, end: int) -> int | None:
    """Where the list ends of which an attribute's name at a span speaks (……等症状, ……是其症状); None without one."""
    at = max(0, start - 20)
    before = text[at:start]
    found = _SO_ON_BEFORE.search(before) or (_IS_BEFORE.search(before) if _CLOSED.match(text, end) else None)
    return at + found.start() if found else None


def _cues(masked: str) -> list[Cue]:
    out: list[Cue] = []
    for number, start, end in _NOUNS.find_matches_as_indexes(masked):
        attributes = _MEANINGS[_WORDS[number]]
        if (list_end := _list_before(masked, start, end)) is not None:
            out.append(Cue(list_end, end, attributes, back=True))
        elif listed := _LISTED.match(masked, end):
            if out and not out[-1].back and out[-1].end == listed.end():  # 症状和体征包括
                attributes |= out.pop().attributes
            out.append(Cue(start, listed.end(), attributes))
    verbs = ((match.span(), VERBS[int((match.lastgroup or "v0")[1:])][1]) for match in _VERBS.finditer(masked))
    out += [Cue(start, end, attributes, verb=True) for (start, end), attributes in verbs]
    return sorted(out, key=lambda cue: cue.start)
