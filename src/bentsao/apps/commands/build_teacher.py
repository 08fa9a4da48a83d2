"""The teacher on the command line: what `bentsao build qa` and `build dialogue` do with `--writer teacher`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from bentsao.apps.commands.calls import NO_CALLS, CallFlags, Interrupt, RunBar, describe_estimate, duration
from bentsao.construction.teacher.checking import Beyond
from bentsao.construction.teacher.dialogues import DialoguePlan, dialogue_jobs
from bentsao.construction.teacher.jobs import WritingJob
from bentsao.construction.teacher.qa import QAPlan, qa_jobs
from bentsao.construction.teacher.writing import (
    DIALOGUE_TOKENS,
    QA_TOKENS,
    Doing,
    Summary,
    Written,
    write,
)
from bentsao.core.errors import ConfigError
from bentsao.knowledge.store import KnowledgeBase
from bentsao.models.remote.asking import Asking
from bentsao.models.remote.running import estimate_jobs


@dataclass(frozen=True)
class TeacherFlags:
    """The flags of `--writer teacher`."""

    remote: Annotated[CallFlags, Parameter(name="*")] = NO_CALLS
    model: Annotated[str | None, Parameter(name="--teacher-model", help="模型名，按服务端的叫法")] = None
    temperature: Annotated[float | None, Parameter(help="采样温度；负数表示不发送这一项")] = 0.7
    beyond: Annotated[Beyond, Parameter(help="超出资料的内容：drop 丢弃，keep 保留并标明")] = "drop"
    batch: Annotated[bool, Parameter(help="用服务商的批量接口（更便宜，一天之内做完）", negative=())] = False
    prompts: Annotated[
        Path | None, Parameter(help="自己的提示词目录：其中的 qa.txt、dialogue.txt、styles.txt、again.txt 代替自带的")
    ] = None

    def asking(self) -> Asking:
        """As the settings of a teacher. Raises ConfigError for a value that cannot be."""
        if not self.model:
            raise ConfigError("请用 --teacher-model 指出模型名，按服务端的叫法。")
        return self.remote.asking(self.model, self.temperature)


NO_FLAGS = TeacherFlags()


def teach_qa(kb: Path, out: Path, flags: TeacherFlags, plan: QAPlan, console: Console) -> Written | None:
    """Questions and answers by a teacher; None after a dry run. `out` names the journal and the file of failures."""
    asking = flags.asking()
    with KnowledgeBase.open(kb) as opened:
        jobs = qa_jobs(opened, asking, plan.model_copy(update={"prompts": flags.prompts}), flags.beyond)
        return _teach("qa", jobs, asking, flags, out, tokens=QA_TOKENS, console=console)


def teach_dialogue(kb: Path, out: Path, flags: TeacherFlags, plan: DialoguePlan, console: Console) -> Written | None:
    """Dialogues by a teacher; None after a dry run. `out` names the journal and the file of failures."""
    asking = flags.asking()
    with KnowledgeBase.open(kb) as opened:
        jobs = dialogue_jobs(opened, asking, plan.model_copy(update={"prompts": flags.prompts}), flags.beyond)
        return _teach("dialogue", jobs, asking, flags, out, tokens=DIALOGUE_TOKENS, console=console)


def _teach(
    form: str,
    jobs: Sequence[WritingJob[Any]],
    asking: Asking,
    flags: TeacherFlags,
    out: Path,
    *,
    tokens: int,
    console: Console,
) -> Written | None:
    if not jobs:
        raise ConfigError("知识库里没有可供教师模型改写的内容。请检查知识库和筛选条件。")
    journal = flags.remote.journal or out.with_name(out.name + ".calls.jsonl")
    found = estimate_jobs(jobs, asking, journal, tokens)
    console.print(describe_estimate(found), highlight=False)
    if flags.remote.dry_run:
        return None
    failures = out.with_name(out.name + ".failures.jsonl")
    with RunBar(asking, found.calls + found.answered, console) as bar, Interrupt(console) as stop:
        doing = Doing(batch=flags.batch, failures=failures, stop=stop.asked, progress=bar.show)
        written = write(form, jobs, asking, journal, doing)
    console.print(describe_summary(written.summary), highlight=False)
    if written.failures:
        console.print(f"没有得到可用回答的 {len(written.failures)} 项及其原文记在 {failures}。", highlight=False)
    return written


def describe_summary(summary: Summary) -> str:
    """What a run came to, in words."""
    lines = [
        f"本次 {summary.calls:,} 次调用，{duration(summary.seconds)}；日志已有回答 {summary.answered:,} 项，"
        f"重问 {summary.asked_again:,} 次。",
        f"日志累计 {summary.replies:,} 个回答，输入 {summary.tokens_in:,}、输出 {summary.tokens_out:,} token"
        + ("" if summary.money is None else f"，花费 {summary.money:.4f}")
        + "。",
        f"得到 {summary.rows:,} 条数据"
        + (f"，其中 {summary.beyond:,} 条超出资料、已标明" if summary.beyond else "")
        + "。",
    ]
    for words, counts in (
        ("被拒而重试", summary.refused),
        ("没有收到回答而重试（可能已计费）", summary.lost),
        ("丢弃的数据", summary.dropped),
        ("截短的对话", summary.shortened),
        ("没有可用回答", summary.failed),
    ):
        if counts:
            lines.append(f"{words}：" + "，".join(f"{reason} {count:,}" for reason, count in counts.items()) + "。")
    if summary.uncounted:
        lines.append(f"{summary.uncounted:,} 个回答没有可信的 token 计数，按上限计入。")
    if summary.uncertain_tokens:
        lines.append(
            f"另有 {summary.cut_off:,} 次调用因中断、{sum(summary.lost.values()):,} 次因故障没有收到回答，"
            f"最多可能再计费 {summary.uncertain_tokens:,} token。"
        )
    if summary.stopped:
        lines.append(f"还有 {summary.left:,} 项没有做：{summary.stopped}")
    return "\n".join(lines)
