"""`bentsao evaluate compare`: several systems' answers side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from bentsao.core.errors import ConfigError


def compare(
    *answers: Annotated[str, Parameter(help="各系统的回答（bentsao infer 写的 JSONL）：文件，或 名称=文件")],
    out: Annotated[Path, Parameter(help="compare.html、compare.md 和 compare.json 写到哪个目录")],
    questions: Annotated[Path | None, Parameter(help="当初的问题文件：带来对话历史、参考答案和分组")] = None,
    classes: Annotated[Path | None, Parameter(help='每题的类别，JSON 行 {"id": …, "class": …}')] = None,
    judged: Annotated[
        tuple[Path, ...], Parameter(help="bentsao evaluate judge 写的目录：把裁判的分数也放进来", consume_multiple=True)
    ] = (),
    seed: Annotated[int, Parameter(help="重抽样的种子")] = 0,
) -> None:
    """几个系统的回答并排对照，带不用裁判就能算的数字和成对检验；安全题集的回答按规则判定。

    例：

        bentsao evaluate compare 基座=base.jsonl 微调=tuned.jsonl --out runs/compare
    """
    from bentsao.apps.reports.comparison import markdown, page
    from bentsao.core.files import write_json, write_text
    from bentsao.evaluation.answers import match, read_systems
    from bentsao.evaluation.comparing import compare as made
    from bentsao.evaluation.judging.report import figure

    if len(answers) < 2:
        raise ConfigError("对照要两个或更多系统的回答文件。")
    found = made(match(read_systems(answers), questions, classes), judged, seed=seed)
    write_json(out / "compare.json", found.model_dump(mode="json"))
    write_text(out / "compare.md", markdown(found))
    write_text(out / "compare.html", page(found))
    shown = Table("", *found.systems)
    for name, title in found.titles.items():
        shown.add_row(title, *(figure(found.figures[one][name]) for one in found.systems))
    Console().print(shown, markup=False)
    clear = sum(one.p_corrected is not None and one.p_corrected < 0.05 for one in found.gaps)
    print(f"{len(found.gaps)} 个两两之差里看得出的有 {clear} 个（Holm 校正后）。")
    print(f"逐题对照：{out / 'compare.html'}")
