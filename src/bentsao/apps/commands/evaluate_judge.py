"""`bentsao evaluate judge`: have answers judged by a language model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markdown import Markdown

from bentsao.apps.commands.calls import NO_CALLS, CallFlags, Interrupt, RunBar, describe_estimate
from bentsao.core.errors import ConfigError

Kept = Literal["markdown", "blank_lines", "disclaimers", "marks"]


@dataclass(frozen=True)
class Material:
    """What is judged besides the answers."""

    questions: Annotated[
        Path | None, Parameter(help="当初的问题文件：带来对话历史、参考答案和分组（同组的题一起重抽样）")
    ] = None
    classes: Annotated[
        Path | None, Parameter(help='每题的类别，JSON 行 {"id": …, "class": …}；ICD-10 编码按章计数')
    ] = None
    criteria: Annotated[
        Path | None,
        Parameter(help='各题自己的条目，JSON 行 {"id": …, "criteria": [{"text": …, "points": …}]}，代替标准里的'),
    ] = None
    with_reference: Annotated[bool, Parameter(help="把参考答案也给裁判看", negative=())] = False
    keep: Annotated[
        tuple[Kept, ...],
        Parameter(help="评之前各回答的样式会弄成一样；这里列出的保持原样", consume_multiple=True),
    ] = ()
    limit: Annotated[int | None, Parameter(help="只评前几题")] = None


NO_MATERIAL = Material()


def judge(
    *answers: Annotated[str, Parameter(help="各系统的回答（bentsao infer 写的 JSONL）：文件，或 名称=文件")],
    model: Annotated[str, Parameter(name="--model", help="裁判的模型名，按服务端的叫法；不能是被评的系统之一")],
    out: Annotated[Path, Parameter(help="评语、分数、日志和报告写到哪个目录；中断后同样的命令接着做")],
    rubric: Annotated[str, Parameter(help="评分标准：sus、h2、cmcoqa、points，或自己的 .toml 文件")] = "sus",
    pairwise: Annotated[
        bool, Parameter(help="两两比较（每对按两种顺序各问一次，一致才算胜），而不是逐个打分", negative=())
    ] = False,
    least: Annotated[float, Parameter(name="--min-coverage", help="评到的比例低于它就不给分")] = 0.9,
    temperature: Annotated[float, Parameter(help="裁判的采样温度；负数表示不发送这一项")] = 0.0,
    seed: Annotated[int, Parameter(help="重抽样的种子")] = 0,
    material: Annotated[Material, Parameter(name="*")] = NO_MATERIAL,
    remote: Annotated[CallFlags, Parameter(name="*", group="裁判所在的接口")] = NO_CALLS,
) -> None:
    """让一个大模型给几个系统的回答打分，或两两比较。

    所有系统由同一个裁判、用同样的话评；原始回复都留着。分数是裁判的意见：请用 evaluate collect 看它与人是否一致。

    例：

        bentsao evaluate judge 基座=base.jsonl 微调=tuned.jsonl --model qwen3-32b --out runs/sus --dry-run

        bentsao evaluate judge a.jsonl b.jsonl c.jsonl --pairwise --rubric h2 --model qwen3-32b --out runs/h2
    """
    from bentsao.evaluation.answers import Answers, match, read_systems
    from bentsao.evaluation.judging.judge import SCORE_TOKENS, Plan, prepare, run
    from bentsao.evaluation.judging.rubric import load, read_criteria
    from bentsao.evaluation.judging.running import Doing
    from bentsao.evaluation.judging.scoring import Scoring
    from bentsao.evaluation.judging.style import Style
    from bentsao.models.remote.running import estimate_jobs

    if not answers:
        raise ConfigError("请给出至少一个回答文件。")
    if not 0 <= least <= 1:
        raise ConfigError(f"--min-coverage {least} 应在 0 到 1 之间。")
    if material.limit is not None and material.limit < 1:
        raise ConfigError(f"--limit {material.limit} 应不小于 1。")
    console = Console(stderr=True)
    found = match(read_systems(answers), material.questions, material.classes)
    found = Answers(found.systems, found.items[: material.limit], found.left_out)
    chosen = load(rubric)
    if material.criteria and not chosen.criteria:
        raise ConfigError(f"--criteria 是逐条计分用的，评分标准 {chosen.name} 没有条目。请用 --rubric points。")
    criteria = read_criteria(material.criteria) if material.criteria else {}
    style = Style.model_validate(dict.fromkeys(material.keep, False))
    scoring = Scoring(chosen, criteria, style, material.with_reference)
    plan = Plan(found, remote.asking(model, temperature), scoring, pairwise, least, seed)
    prepared = prepare(plan)
    journal = remote.journal or out / "calls.jsonl"
    expected = estimate_jobs(prepared.jobs, plan.asking, journal, SCORE_TOKENS)
    console.print(describe_estimate(expected), highlight=False)
    if remote.dry_run:
        return
    out.mkdir(parents=True, exist_ok=True)
    with RunBar(plan.asking, len(prepared.jobs), console) as bar, Interrupt(console) as stop:
        result = run(prepared, out, journal, Doing(stop.asked, bar.show))
    Console().print(Markdown("\n".join(result.lines)))
    console.print(f"评语、原始回复和报告在 {out}。", highlight=False)
