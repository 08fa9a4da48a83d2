"""Open answers against references, of any file of questions with answers."""

from __future__ import annotations

from bentsao.core.conversations import read_questions
from bentsao.evaluation.tasks.task import (
    Item,
    Response,
    Source,
    Task,
    Verdict,
    each,
    failed,
    limited,
    needed_files,
    prefix,
    verdict,
)
from bentsao.evaluation.tasks.text import (
    FORM,
    NEARNESS,
    REFERENCE,
    form_scores,
    nearness_scores,
    reference_scores,
)


def load(source: Source) -> list[Item[None]]:
    """Questions of the files, in any form that `bentsao infer` reads."""
    files = needed_files(source, "open", "问答文件（JSON 或 JSON 行，有参考回答）")
    items: list[Item[None]] = [
        Item(
            id=prefix(file, files) + question.id,
            group=question.group,
            messages=question.messages,
            key=None,
            reference=question.reference,
            tags={"文件": file.name},
            weighed=(question.reference,) if question.reference else (),
        )
        for file in files
        for question in read_questions(file)
    ]
    return limited(items, source, "文件")


def _one(item: Item[None], response: Response) -> Verdict:
    scores = reference_scores(item, response)
    if broken := failed(item, response):
        return broken.model_copy(update={"scores": scores})
    scores |= {**form_scores(item, response), **nearness_scores(item, response.answer.text)}
    said = f"chrF {scores['chrf']:.2f}" if scores.get("chrf") is not None else ""
    return verdict(item, response).model_copy(update={"scores": scores, "said": said})


TASK: Task[None] = Task(
    name="open",
    title="开放问答",
    about="回答与参考回答有多接近，说得完不完，重复不重复；参考回答在模型看来有多可能。",
    load=load,
    judge=each(_one),
    measures={**NEARNESS, **FORM, **REFERENCE},
    headline=("chrf", "bits", "repeats"),
    splits=("文件",),
)
