"""Multiple choice: by the likelihood of the options' letters, and by the letter that the model writes.

Both are reported: a model may know and not say so in a form that can be read. Each question is also asked with its
options in another order, so that an answer that goes by the place is seen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bentsao.core.errors import ConfigError
from bentsao.core.records import Message
from bentsao.evaluation.letters import read_letters
from bentsao.evaluation.tasks.choice_files import Choice, read_choices
from bentsao.evaluation.tasks.task import Item, Measure, Response, Source, Task, Verdict, limited, needed_files, verdict

LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Posed:
    """A question as it was posed: `order[i]` is which of the question's options stands at place i.

    round: 0 in the question's own order, from 1 on in others.
    """

    choice: Choice
    order: tuple[int, ...]
    round: int

    @property
    def options(self) -> tuple[str, ...]:
        """The texts of the options, as they stand."""
        return tuple(self.choice.options[place] for place in self.order)


def load(source: Source) -> list[Item[Posed]]:
    """The questions of the files, with examples before them and in so many orders as is asked for."""
    everything = read_choices(needed_files(source, "choice", "选择题（CMMLU、C-Eval 的 CSV，CMExam，CMB，或 JSON 行）"))
    chosen = [choice for choice in everything if _is_wanted(choice, source.subjects)]
    if not chosen:
        known = "、".join(sorted({choice.subject for choice in everything}))
        raise ConfigError(f"没有科目 {'、'.join(source.subjects)}。文件里有：{known}；也可以写 医学 或 非医学。")
    examples, rest = _examples(chosen, source)
    if not rest:
        raise ConfigError(f"--shots {source.shots} 用掉了全部题目作例题。请减小它，或用 --shots-from 另给例题。")
    own = {choice.id: _item(choice, 0, examples.get(choice.subject, ())) for choice in rest}
    items: list[Item[Posed]] = []
    for item in limited(list(own.values()), source, "科目"):
        choice = item.key.choice
        rounds = min(source.shuffles, len(choice.options) - 1)
        items += [item, *(_item(choice, turn, examples.get(choice.subject, ())) for turn in range(1, rounds + 1))]
    return items


def _is_wanted(choice: Choice, subjects: Sequence[str]) -> bool:
    return not subjects or bool({choice.subject, choice.area, choice.file} & set(subjects))


def _examples(chosen: Sequence[Choice], source: Source) -> tuple[dict[str, list[Choice]], list[Choice]]:
    """The examples by subject, and the questions that are left to be asked: none is among the examples."""
    if not source.shots:
        return {}, list(chosen)
    pool = list(chosen)
    if source.shots_from:
        asked = {choice.stem for choice in chosen}
        pool = [choice for choice in read_choices([source.shots_from]) if choice.stem not in asked]
        if not pool:
            raise ConfigError(f"--shots-from {source.shots_from} 里的题都在要问的题里，会把答案说出来。请另给例题。")
    by_subject: dict[str, list[Choice]] = {}
    for choice in pool:
        by_subject.setdefault(choice.subject, []).append(choice)
    examples: dict[str, list[Choice]] = {}
    for subject in dict.fromkeys(choice.subject for choice in chosen):
        own = list(by_subject.get(subject, pool if source.shots_from else ()))
        random.Random(f"{source.seed}:{subject}").shuffle(own)
        examples[subject] = own[: source.shots]
    used = {choice.stem for own in examples.values() for choice in own}
    return examples, [choice for choice in chosen if choice.stem not in used]


def _item(choice: Choice, turn: int, examples: Sequence[Choice]) -> Item[Posed]:
    """turn: by how many places the options are moved on, so that in every round each stands at another place."""
    count = len(choice.options)
    # Not always by one: the right option would then always follow its own place.
    steps = list(range(1, count))
    random.Random(choice.id).shuffle(steps)
    by = steps[turn - 1] if turn else 0
    order = tuple((place + by) % count for place in range(count))
    posed = Posed(choice, order, turn)
    kind = "多项选择题，请直接给出所有正确答案的选项" if choice.several else "单项选择题，请直接给出正确答案的选项"
    shown = [_written(Posed(one, tuple(range(len(one.options))), 0)) + _letters(one.right) for one in examples]
    text = "\n\n".join([f"以下是关于{choice.subject}的{kind}。", *shown, _written(posed)])
    return Item(
        id=f"{choice.id}#{turn}" if turn else choice.id,
        group=choice.case or choice.id,
        messages=(Message(role="user", content=text),),
        key=posed,
        asked=choice.stem,
        tags={"领域": choice.area, "科目": choice.subject},
        weighed=() if choice.several else tuple(LETTERS[:count]),
    )


def _written(posed: Posed) -> str:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, posed.options, strict=False))
    return f"{posed.choice.stem}\n{options}\n答案："


def _letters(places: Sequence[int]) -> str:
    return "".join(LETTERS[place] for place in sorted(places))


# ---- verdicts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pick:
    """What a model took: places in the question's own order; None: it cannot be said. asked: whether it was asked."""

    places: tuple[int, ...] | None
    asked: bool = True


def judge(items: Sequence[Item[Posed]], responses: Sequence[Response]) -> list[Verdict]:
    """One verdict a question, over all the orders that it was asked in."""
    rounds: dict[str, list[tuple[Item[Posed], Response]]] = {}
    for item, response in zip(items, responses, strict=True):
        rounds.setdefault(item.key.choice.id, []).append((item, response))
    return [_one(asked) for asked in rounds.values()]


def _one(asked: Sequence[tuple[Item[Posed], Response]]) -> Verdict:
    item, response = asked[0]
    choice = item.key.choice
    letters = [_by_letter(*pair) for pair in asked]
    weights = [_by_weight(*pair) for pair in asked]
    scores: dict[str, float | None] = {} if choice.several else {"chance": 1 / len(choice.options)}
    scores |= _scores("letter", letters, choice) | _scores("likelihood", weights, choice)
    if response.answer.finish != "error":
        scores["readable"] = float(letters[0].places is not None)
    deciding = letters[0] if letters[0].places is not None else weights[0]
    return verdict(item, response).model_copy(
        update={
            "question": "\n".join([choice.stem, *map(". ".join, zip(LETTERS, choice.options, strict=False))]),
            "expected": _letters(choice.right),
            "said": _said(letters[0], weights[0]),
            "right": None if deciding.places is None else set(deciding.places) == set(choice.right),
            "scores": scores,
        }
    )


def _by_letter(item: Item[Posed], response: Response) -> _Pick:
    if response.answer.finish == "error":
        return _Pick(None)
    cut = response.answer.finish == "length"
    found = read_letters(response.answer.text, item.key.options, several=item.key.choice.several, cut=cut)
    return _Pick(None if found is None else tuple(sorted(item.key.order[place] for place in found)))


def _by_weight(item: Item[Posed], response: Response) -> _Pick:
    if response.weights is None or not item.weighed:
        return _Pick(None, asked=bool(response.unweighed and item.weighed))
    best = max(range(len(response.weights)), key=lambda place: response.weights[place].logprob)  # type: ignore[index]
    return _Pick((item.key.order[best],))


def _scores(name: str, picks: Sequence[_Pick], choice: Choice) -> dict[str, float | None]:
    """Right in the question's own order; the same option in all orders; right in all orders."""
    if not picks[0].asked:
        return {}
    right = [None if pick.places is None else set(pick.places) == set(choice.right) for pick in picks]
    kind = f"{name}_several" if choice.several else name
    scores: dict[str, float | None] = {kind: None if right[0] is None else float(right[0])}
    if len(picks) > 1:
        known = all(pick.places is not None for pick in picks)
        scores[f"{name}_consistent"] = float(len({pick.places for pick in picks}) == 1) if known else None
        scores[f"{name}_robust"] = float(all(right)) if known else None
    return scores


def _said(letter: _Pick, weight: _Pick) -> str:
    parts = [f"写出 {_letters(letter.places)}" if letter.places is not None else "写出的读不出选项"]
    if weight.places is not None:
        parts.append(f"概率最大 {_letters(weight.places)}")
    return "；".join(parts)


def _pair(name: str, title: str, how: str) -> dict[str, Measure]:
    return {
        name: Measure(f"正确率（{title}）", name, about=f"{how}；只计单项选择题，选项按原来的次序"),
        f"{name}_consistent": Measure(
            f"换序一致（{title}）",
            f"{name}_consistent",
            about="选项换了次序之后选的仍是同一个选项的比例；只看位置的模型为 0",
        ),
        f"{name}_robust": Measure(f"各种次序都对（{title}）", f"{name}_robust", about="每种次序都选对的比例"),
    }


TASK: Task[Posed] = Task(
    name="choice",
    title="选择题",
    about="CMMLU、CMExam、CMB、C-Eval 与通用 JSON 行；按选项字母的概率，也按模型写出的字母。",
    load=load,
    judge=judge,
    measures={
        **_pair("likelihood", "概率", "各选项字母中对数似然最大的一个是正确选项的比例"),
        **_pair("letter", "写出的字母", "模型写出的字母是正确选项的比例；读不出的不计分，也不算错"),
        "letter_several": Measure(
            "多选全对（写出的字母）", "letter_several", about="多项选择题，选项一个不多一个不少才算对"
        ),
        "readable": Measure("读得出选项", "readable", about="从回答里读得出选了哪一项的比例"),
        "chance": Measure("随机猜", "chance", better="", about="每题选项数的倒数的平均"),
    },
    headline=("likelihood", "letter"),
    splits=("领域", "科目"),
    tokens=16,
)  # fmt: skip
