"""`bentsao infer`: answer a file of questions, or one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bentsao.apps.commands.api import NO_REMOTE, Remote
from bentsao.apps.commands.grounded import GROUNDING, Grounding, evidence_line, is_grounded, opened_answerer
from bentsao.apps.commands.model_flags import (
    GREEDY,
    MODEL,
    Drawing,
    Model,
    caution_lines,
    report,
    warn_before,
)
from bentsao.apps.commands.spreading import HERE, Spreading
from bentsao.apps.terminal import printable
from bentsao.core.conversations import read_questions
from bentsao.core.errors import ConfigError
from bentsao.core.files import check_writable, write_text
from bentsao.core.records import Answer, Question
from bentsao.inference.batch import answer_all
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Spread
from bentsao.inference.grounded.batch import answer_all_grounded
from bentsao.inference.notice import NOTICE
from bentsao.inference.remote import answer_remotely
from bentsao.inference.safety import alarm_text, with_alarm
from bentsao.inference.session import Session
from bentsao.inference.summary import Summary, summarize

SIDE_BY_SIDE = 100
"""The terminal width, in characters, from which question, reference and answer stand in columns."""


def infer(
    source: Annotated[
        Path | None,
        Parameter(
            name=["--input", "--instruct_dir"],
            help="问题文件：JSON、JSON 行（各种常见格式）或每行一个问题的文本；缺省用自带的示例问题",
        ),
    ] = None,
    *,
    out: Annotated[Path | None, Parameter(help="回答写到哪个 JSONL 文件；缺省在 runs/infer/ 下")] = None,
    question: Annotated[str | None, Parameter(help="只问这一个问题，回答随生成随显示，不写文件")] = None,
    model: Model = MODEL,
    decoding: Drawing = GREEDY,
    grounded: Annotated[
        bool, Parameter(help="依据知识库回答，每个回答带着它的依据（见 bentsao answer）", negative=())
    ] = False,
    grounding: Grounding = GROUNDING,
    remote: Remote = NO_REMOTE,
    spreading: Spreading = HERE,
    batch_rows: Annotated[int, Parameter(help="每批最多几个问题；内存不足时会自动减半")] = 16,
    text: Annotated[Path | None, Parameter(help="另写一份给人读的纯文本：问题、回答，急症提示在回答之前")] = None,
    show: Annotated[int, Parameter(help="在终端显示前几个回答；-1 为全部")] = 10,
    with_base: Annotated[bool, Parameter(help="未微调的基座也答一遍，并排显示", negative=())] = False,
    restart: Annotated[bool, Parameter(help="舍弃 --out 里已有的回答，全部重问", negative=())] = False,
) -> None:
    """让微调后的模型（或未微调的基座）回答问题。

    中断后再次运行同一命令即可继续，已有的回答不会重问。

    例：

        bentsao infer questions.json --adapter runs/llama-med --out answers.jsonl

        bentsao infer --adapter runs/llama-med --question 小孩发烧怎么办
    """
    on_facts = is_grounded(grounding, flag=grounded)
    api = remote.chosen(decoding.max_new_tokens)
    _check_together(
        {
            "--question": question is not None,
            "问题文件": source is not None,
            "--out": out is not None,
            "--text": text is not None,
            "--grounded": on_facts,
            "--with-base": with_base,
            "--api-base": api is not None,
            "模型的选项": model != MODEL,
            "--ray": spreading != HERE,
        }
    )
    chosen = model.with_default()
    if with_base and (chosen.adapter is None or not model.use_lora):
        raise ConfigError("--with-base 是把适配器与它的基座并排比较：请给出 --adapter。")
    if batch_rows < 1:
        raise ConfigError(f"--batch-rows {batch_rows} 应不小于 1。")
    if question is not None:
        warn_before(question)
        _answer_one(model.open(), question, decoding)
        return
    questions = read_questions(source) if source else _example_questions()
    own = grounding.bundle or (chosen.adapter if model.use_lora else None)
    label = _label(source, None, api.model) if api else _label(source, own, model.base)
    beside: list[Answer] = []
    target = out or Path("runs", "infer", f"{label}{'-grounded' if on_facts else ''}.jsonl")
    for file in filter(None, (target, text)):
        check_writable(file)
    if api:
        answers = _with_progress(len(questions), partial(answer_remotely, api, questions, target, restart=restart))
    elif on_facts:
        with opened_answerer(grounding, model, decoding) as answerer:
            ask = partial(answer_all_grounded, answerer, questions, target, rows=batch_rows, restart=restart)
            answers = _with_progress(len(questions), ask)
    else:
        with spreading.opener() as opened:
            ask = partial(_answer_file, questions=questions, decoding=decoding, batch_rows=batch_rows, restart=restart)
            answers = ask(opened(model), out=target)
            if with_base:
                untuned = target.with_name(f"{target.stem}-base{target.suffix}")
                beside = ask(opened(chosen.without_adapter()), out=untuned)
    shown = len(answers) if show < 0 else show
    show_answers(Console(), answers[:shown], beside[:shown])
    if with_base:
        print(f"基座：{_summary_line(summarize(beside))}")
    _tell(answers, target, text, grounding.notice)


TOGETHER: dict[str, tuple[str, ...]] = {
    "--question": ("问题文件", "--out", "--text", "--grounded", "--with-base", "--api-base", "--ray"),
    "--grounded": ("--with-base", "--api-base", "--ray"),
    "--api-base": ("--with-base", "--ray", "模型的选项"),
}
"""What does not go with what; a single question from the knowledge base is for `bentsao answer`."""


def _check_together(given: Mapping[str, bool]) -> None:
    """Raises ConfigError for the first two flags that were given and do not go together."""
    for flag, others in TOGETHER.items():
        if given[flag] and (wrong := [other for other in others if given[other]]):
            hint = (
                "只问一个问题并依据知识库，请用 bentsao answer。"
                if {flag, *wrong} >= {"--question", "--grounded"}
                else ""
            )
            raise ConfigError(f"{flag} 不与 {'、'.join(wrong)} 同用。请去掉其中之一。{hint}")


def _tell(answers: Sequence[Answer], target: Path, text: Path | None, notice: str) -> None:
    print(_summary_line(summarize(answers)))
    print(f"回答已写入 {target}")
    if text is not None:
        write_text(text, "\n\n".join(map(_as_text, answers)) + f"\n\n{notice}\n")
        print(f"纯文本已写入 {text}")
    print(notice)


def _as_text(answer: Answer) -> str:
    """A question and its answer as a person reads them: the alarm first, whatever the model says."""
    said = f"出错：{printable(answer.error or '')}" if answer.finish == "error" else answer.text
    lines = [f"问：{answer.question}", with_alarm(answer.alarm, f"答：{said}"), *map(evidence_line, answer.evidence)]
    return "\n".join(lines) + caution_lines(answer.cautions)


def _example_questions() -> list[Question]:
    """The project's own example questions, which ship with the package."""
    with as_file(files("bentsao.apps") / "demo" / "examples.jsonl") as path:
        return read_questions(path)


def _label(source: Path | None, adapter: Path | None, base: str | None) -> str:
    """Names the default output after what is asked and who answers."""
    who = adapter.resolve().name if adapter else (base or "").rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    return f"{source.stem if source else 'examples'}-{who}"


def _answer_one(engine: Engine, question: str, decoding: Decoding) -> None:
    def write(piece: str) -> None:
        sys.stdout.write(printable(piece))
        sys.stdout.flush()

    answer = Session(engine, decoding).ask(question, write)
    print(f"\n{caution_lines(answer.cautions)}\n{NOTICE}")
    report(_summary_line(summarize([answer])))


def _answer_file(
    engine: Engine | Spread,
    questions: Sequence[Question],
    out: Path,
    decoding: Decoding,
    *,
    batch_rows: int,
    restart: bool,
) -> list[Answer]:
    ask = partial(answer_all, engine, questions, out, decoding, rows=batch_rows, restart=restart)
    return _with_progress(len(questions), ask)


def _with_progress(count: int, ask: Callable[..., list[Answer]]) -> list[Answer]:
    """Calls `ask` with a progress bar over `count` questions and a place for what the user should know."""
    bar = Progress(
        TextColumn("回答"),
        BarColumn(),
        TextColumn("{task.fields[whole]}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("剩余"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        speed_estimate_period=600,  # a batch may take minutes
    )
    with bar:
        task = bar.add_task("", total=count, whole=0)
        try:
            return ask(
                progress=lambda done, _: bar.update(task, completed=done, whole=int(done)),
                report=lambda line: bar.console.print(printable(line), style="dim", markup=False),
            )
        except KeyboardInterrupt:
            bar.stop()
            report("已中断。已有的回答都保存了，再次运行同一命令即可继续。")
            raise


def show_answers(console: Console, answers: Sequence[Answer], beside: Sequence[Answer] = ()) -> None:
    """Question, reference (where there is one) and answer: in columns, or one below another on a narrow terminal.

    beside: the untuned base's answers to the same questions, or none.
    """
    referenced = any(answer.reference is not None for answer in answers)
    names = ["问题", *(["参考回答"] if referenced else []), *(["基座回答"] if beside else []), "模型回答"]
    rows: list[list[Text]] = []
    for place, answer in enumerate(answers):
        reference = [Text(printable(answer.reference or ""))] if referenced else []
        untuned = [_shown(beside[place])] if beside else []
        rows.append([Text(printable(answer.question)), *reference, *untuned, _shown(answer)])
    if rows and console.width >= SIDE_BY_SIDE:
        table = Table(show_lines=True, expand=True)
        for name in names:
            table.add_column(name, ratio=1 if name == "问题" else 2, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    for row in rows:
        card = Table.grid(padding=(0, 2))
        card.add_column(style="bold", no_wrap=True)
        card.add_column(overflow="fold")
        for name, text in zip(names, row, strict=True):
            card.add_row(name, text)
        console.print(Panel(card))


def _shown(answer: Answer) -> Text:
    text = Text()
    if answer.alarm is not None:
        text.append(f"{alarm_text(answer.alarm)}\n\n", style="bold red")
    if answer.finish == "error":
        return text.append(f"出错：{printable(answer.error or '')}", style="red")
    text.append(printable(answer.text))
    for item in answer.evidence:
        text.append(f"\n{evidence_line(item)}", style="dim")
    text.append(caution_lines(answer.cautions), style="yellow")
    # A grounded answer that was cut is not shown: its facts are.
    return (
        text.append("……（到达长度上限）", style="yellow") if answer.finish == "length" and not answer.evidence else text
    )


def _summary_line(summary: Summary) -> str:
    return (
        f"共 {summary.answers} 个：自己结束 {summary.ended}，到达长度上限 {summary.cut}，出错 {summary.errors}；"
        f"生成 {summary.tokens} 个 token，用时 {summary.seconds:.1f} 秒（{summary.tokens_per_second:.1f} token/s）；"
        f"12 字片段重复三次以上的回答占 {summary.looping_share:.1%}"
    )
