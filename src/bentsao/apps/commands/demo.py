"""`bentsao demo`: the main job on the embedded base, from instructions to a report, in some minutes on a laptop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from bentsao.core.conversations import read_conversations
from bentsao.core.errors import ConfigError
from bentsao.core.files import read_json, read_text, write_text
from bentsao.core.records import Conversation, Question

SEED = 42
BATCH_ROWS = 16


def demo(
    out: Annotated[Path, Parameter(help="报告、适配器与回答写到哪个目录")] = Path("demo"),
    *,
    data: Annotated[Path | None, Parameter(help="换成自己的指令数据；缺省用随项目发布的")] = None,
    names: Annotated[str | None, Parameter(help="实体名表，按名字留出验证（自己的数据没有 group 时用）")] = None,
    steps: Annotated[int, Parameter(help="优化步数；每步 16 行")] = 24,
    questions: Annotated[int, Parameter(help="问几个没有学过的问题")] = 8,
    answer_tokens: Annotated[int, Parameter(help="每个回答最多的 token 数")] = 96,
) -> None:
    """在医学指令上微调内置基座，再问它没有学过的疾病，微调前后并排写进报告。

    例：bentsao demo --out demo
    """
    if min(steps, questions, answer_tokens) < 1:
        raise ConfigError("--steps、--questions、--answer-tokens 都应不小于 1。")
    with as_file(files("bentsao.apps") / "demo" / "instructions.jsonl") as shipped:
        # The shipped rows are grouped by disease; in other data, only the names say what a row is about.
        by_disease = data is None or names is not None
        _demo(data or shipped, names, out, steps, Asking(questions, answer_tokens, by_disease))


@dataclass(frozen=True)
class Asking:
    """How many held-out questions are asked, the most tokens of an answer, and whether whole diseases are held out."""

    questions: int
    tokens: int
    by_disease: bool

    @property
    def held_out(self) -> str:
        """What can be said of the questions asked."""
        return "验证的疾病不在训练中" if self.by_disease else "验证的问题不在训练中，疾病可能相同（没有给 --names）"


def _demo(data: Path, names: str | None, out: Path, steps: int, asking: Asking) -> None:
    from bentsao.apps.commands.infer import show_answers
    from bentsao.apps.report import Column, demo_page, figures
    from bentsao.apps.training_view import TrainingView
    from bentsao.inference.batch import answer_all
    from bentsao.inference.decoding import Decoding
    from bentsao.inference.opening import open_engine
    from bentsao.models.adapters import MANIFEST_NAME
    from bentsao.tuning.recipe import load_recipe
    from bentsao.tuning.run import peak_memory, tune

    started = time.perf_counter()
    view = TrainingView(Console())
    adapter = out / "adapter"
    rows_wanted = steps * BATCH_ROWS
    recipe = load_recipe(
        None,
        {
            "data.files": [str(data)],
            "data.names": names,
            "data.validation": 0.07,
            # More rows than the steps read would only be tokenised in vain.
            "data.limit": round(rows_wanted / 0.85) if names else None,
            "training.batch_rows": BATCH_ROWS,
            "training.steps": steps,
            "training.evaluate_rows": 32,
            "training.evaluate_every": max(1, steps // 3),
            "training.seed": SEED,
            "output": str(adapter),
        },
    )
    with view:
        outcome = tune(recipe, view, restart=True)
    peak = peak_memory()
    held_out = set(read_json(adapter / MANIFEST_NAME)["valid_ids"])
    rows = [row for row in read_conversations(data).conversations if row.id in held_out]
    asked = _first_questions(rows, asking.questions)
    if not asked:
        raise ConfigError(f"{data} 只有一组数据，没有可以留出来问的问题。请给出 --names，或在数据里写上 group。")

    columns: list[Column] = []
    for name, where in (("基座（未微调）", None), ("微调后", adapter)):
        view.note(f"{name}：回答 {len(asked)} 个没有学过的问题……")
        engine = open_engine(adapter=where, base=recipe.base.name, chat_format=None, report=view.note)
        path = out / f"answers-{'tuned' if where else 'base'}.jsonl"
        answers = answer_all(
            engine, asked, path, Decoding(max_new_tokens=asking.tokens, repetition_penalty=1.2), restart=True
        )
        columns.append(Column(name, answers))
    for column in columns:
        view.console.rule(column.name)
        show_answers(view.console, column.answers[:4])

    seconds = sum(record.seconds for record in view.step_records)
    tokens = sum(record.tokens for record in view.step_records)
    losses = [record.loss for record in view.eval_records]
    facts = {
        "基座": "Gemma 3 270M（内置）",
        "数据": f"{data.name}，{outcome.steps} 步 × {BATCH_ROWS} 行；{asking.held_out}",
        "验证损失（每个所学 token）": f"{losses[0]:.3f} → {losses[-1]:.3f}",
        "训练速度": f"{tokens / seconds:.0f} token/s",
        "训练的内存峰值": f"{peak / 2**30:.2f} GiB",
        **figures(columns),
        "全程": f"{(time.perf_counter() - started) / 60:.1f} 分钟",
    }
    picture = read_text(adapter / "losses.svg")
    write_text(out / "report.html", demo_page(facts, picture, columns, [q.reference or "" for q in asked]))
    for label, value in facts.items():
        view.note(f"{label}：{value}")
    view.note(f"报告：{out / 'report.html'}")


def _first_questions(rows: list[Conversation], count: int) -> list[Question]:
    """One question a disease, with its answer as the reference."""
    chosen: dict[str, Conversation] = {}
    for place, row in enumerate(rows):
        # Not always a disease's first row: those ask for symptoms, and the report should show other questions too.
        if row.group not in chosen or place % 3 == 0:
            chosen[row.group] = row
    return [
        Question(id=row.id, group=row.group, messages=row.messages[:end], reference=row.messages[end].content)
        for row in list(chosen.values())[:count]
        for end in [next(place for place, message in enumerate(row.messages) if message.role == "assistant")]
    ]
