"""`bentsao demo`: the whole line on the sample knowledge base and the embedded base, in some minutes on a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bentsao.apps.commands.experiment import knowledge_tuning


def demo(
    out: Annotated[Path, Parameter(help="数据、适配器、回答与报告写到哪个目录")] = Path("demo"),
    *,
    rows: Annotated[int, Parameter(help="每个微调系统的训练行数")] = 144,
    epochs: Annotated[float, Parameter(help="训练几遍")] = 1.5,
    questions: Annotated[int, Parameter(help="写几个没有学过的问题；另加真假前提和不认识的实体")] = 24,
    baseline_questions: Annotated[int, Parameter(help="其中几个也问不带知识库的系统")] = 10,
    answer_tokens: Annotated[int, Parameter(help="每个回答最多的 token 数")] = 120,
) -> None:
    """从示例知识库到数据、微调、带引用的回答和对照报告，走完全程。

    做的是 bentsao experiment knowledge-tuning，只是规模小到在笔记本上十几分钟做完；中断后再运行会接着做。

    例：

        bentsao demo --out demo
    """
    knowledge_tuning(
        out=out,
        rows=rows,
        epochs=epochs,
        questions=questions,
        baseline_questions=baseline_questions,
        answer_tokens=answer_tokens,
    )
