"""`bentsao evaluate sheet` and `bentsao evaluate collect`: people as judges."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markdown import Markdown

from bentsao.apps.commands.evaluate_judge import Kept
from bentsao.core.errors import ConfigError


def sheet(
    *answers: Annotated[str, Parameter(help="各系统的回答（bentsao infer 写的 JSONL）：文件，或 名称=文件")],
    out: Annotated[Path, Parameter(help="评分表写到哪个目录；其中 key.json 是对照，不要给评分人看")],
    raters: Annotated[int, Parameter(help="几位评分人，每位一份")] = 3,
    rubric: Annotated[str, Parameter(help="评分标准：sus、h2、cmcoqa，或自己的 .toml 文件")] = "sus",
    questions: Annotated[Path | None, Parameter(help="当初的问题文件：带来对话历史、参考答案和分组")] = None,
    with_reference: Annotated[bool, Parameter(help="把参考答案也给评分人看", negative=())] = False,
    keep: Annotated[
        tuple[Kept, ...],
        Parameter(help="各回答的样式会弄成一样，免得认出是谁；这里列出的保持原样", consume_multiple=True),
    ] = (),
    limit: Annotated[int | None, Parameter(help="只评几题，随机抽取")] = None,
    seed: Annotated[int, Parameter(help="打乱与抽取的种子")] = 0,
) -> None:
    """写出盲评的评分表：每位评分人一页 HTML（离线可用）和一份 CSV，次序各不相同。

    例：

        bentsao evaluate sheet 基座=base.jsonl 微调=tuned.jsonl --raters 3 --limit 30 --out runs/people
    """
    import random

    from bentsao.evaluation.answers import Answers, match, read_systems
    from bentsao.evaluation.judging.rubric import load
    from bentsao.evaluation.judging.style import Style
    from bentsao.evaluation.people.sheet import KEY, write_sheet

    if not answers:
        raise ConfigError("请给出至少一个回答文件。")
    if raters < 1 or (limit is not None and limit < 1):
        raise ConfigError("--raters 和 --limit 应不小于 1。")
    found = match(read_systems(answers), questions)
    if limit is not None and limit < len(found.items):
        drawn = {item.id for item in random.Random(seed).sample(found.items, limit)}
        found = Answers(found.systems, [item for item in found.items if item.id in drawn], found.left_out)
    style = Style.model_validate(dict.fromkeys(keep, False))
    key = write_sheet(found, load(rubric), out, raters=raters, style=style, reference=with_reference, seed=seed)
    print(f"{raters} 份评分表在 {out}，每份 {len(key.answers)} 个回答（{len(found.items)} 题）。")
    print(f"请把 rater-N.html（或 rater-N.csv）发给第 N 位评分人；{KEY} 自己留着。")
    print(f"收回的 rater-N.csv 放回这个目录，再运行：bentsao evaluate collect {quote(str(out))}")


def collect(
    folder: Annotated[Path, Parameter(help="bentsao evaluate sheet 写的目录，收回的 rater-N.csv 放在里面")],
    *,
    judged: Annotated[
        Path | None, Parameter(help="bentsao evaluate judge 写的目录（同一评分标准）：看裁判与人是否一致")
    ] = None,
    seed: Annotated[int, Parameter(help="重抽样的种子")] = 0,
) -> None:
    """收回评分：一致程度、各系统的分数和名次，裁判与人是否一致。写到 people.json 和 people.md。

    例：

        bentsao evaluate collect runs/people --judged runs/sus
    """
    from bentsao.core.files import write_json, write_text
    from bentsao.evaluation.people.collect import collect as gather
    from bentsao.evaluation.people.report import lines

    key, found = gather(folder, judged, seed=seed)
    text = "\n".join(lines(key, found)) + "\n"
    write_json(folder / "people.json", found.model_dump(mode="json"))
    write_text(folder / "people.md", text)
    Console().print(Markdown(text))
