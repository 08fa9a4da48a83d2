"""`bentsao export`: a base with its adapter written for another runtime, and opened there to be compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from bentsao.apps.commands.model_flags import report
from bentsao.apps.terminal import printable
from bentsao.core.files import check_writable, write_json
from bentsao.models.shipped import shipped_adapter

if TYPE_CHECKING:
    from bentsao.inference.parity import Parity

Form = Literal["hf", "llama", "ct2-float32", "ct2-int8", "gguf-f16", "gguf-q8_0", "gguf-q4_k_m"]

PARITY = "parity.json"
"""The gate's account in an exported folder."""


def export(
    form: Annotated[Form, Parameter(help="导出成什么格式")],
    *,
    out: Annotated[Path, Parameter(help="写到哪个目录；已有的导出会被换掉，别的内容不会被覆盖")],
    adapter: Annotated[Path | None, Parameter(help="适配器目录；与 --base 都不给时用随项目发布的")] = None,
    base: Annotated[str | None, Parameter(help="基座：预设名、Hugging Face id 或目录；缺省用适配器记下的")] = None,
    chat_format: Annotated[str | None, Parameter(name="--format", help="对话格式；缺省用适配器里存的")] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        Parameter(help="hf、llama 的权重精度；缺省与基座的文件相同"),
    ] = None,
    shard_gb: Annotated[float, Parameter(help="hf 的每个分片最多多少 GB")] = 5.0,
    check: Annotated[
        bool, Parameter(help="写好后用它自己的运行时打开，与原模型逐题核对", negative="--no-check")
    ] = True,
    questions: Annotated[
        Path | None, Parameter(help="核对用的问题文件（JSONL 或纯文本，一行一个）；缺省用自带的")
    ] = None,
    count: Annotated[int, Parameter(help="核对多少个问题")] = 20,
    tokens: Annotated[int, Parameter(help="核对时每个回答最多的 token 数")] = 64,
) -> None:
    """把基座与适配器合并，写成别的运行时能用的格式，再打开核对。

    hf：Hugging Face 目录；llama：consolidated.00.pth；ct2-*：CTranslate2；gguf-*：llama.cpp 与 Ollama。
    合并逐个权重进行，内存只需最大的一个权重；中断后再运行，写好的分片不会重写。核对不过时退出码为 1。

    例：

        bentsao export gguf-q4_k_m --adapter runs/my --out my-gguf
    """
    from bentsao.models.exporting.exporting import Target
    from bentsao.models.exporting.exporting import export as write
    from bentsao.models.exporting.source import open_source
    from bentsao.models.machine import DTYPES

    check_writable(out, folder=True)
    if adapter is None and base is None:
        adapter = shipped_adapter()
    source = open_source(adapter=adapter, base=base, chat_format=chat_format, report=report)
    number = None if dtype is None else DTYPES[dtype]
    write(form, source, out, Target(number, int(shard_gb * 1e9), report))
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"写好了：{out}（{size / 1e9:.2f} GB）")
    if not check:
        return
    from bentsao.inference.parity import QUESTIONS, check_parity

    asked = _asked(questions) if questions else list(QUESTIONS)
    parity = check_parity(form, out, source, questions=asked[:count], tokens=tokens, report=report)
    write_json(out / PARITY, parity.model_dump(mode="json"))
    _show(parity)
    if not parity.passed:
        sys.exit(1)


def _asked(file: Path) -> list[str]:
    from bentsao.core.conversations import read_questions

    return [question.text for question in read_questions(file)]


def _show(parity: Parity) -> None:
    parted = [row for row in parity.rows if row.shared is not None]
    if parted:
        table = Table("问题", "相同 token", "相差 nat", "原模型", "导出的模型", title="文字不同的问题")
        for row in parted[:5]:
            cells = [row.question, f"{row.shared}/{row.tokens}", f"{row.gap:.3f}", row.ours[:60], row.theirs[:60]]
            table.add_row(*map(printable, cells))
        Console().print(table)
    n = len(parity.rows)
    print(
        f"核对：提示 token 相同 {parity.same_prompts}/{n}，贪心文字相同 {parity.same_texts}/{n}，"
        f"分开前相同的 token 平均 {parity.agreement:.1%}"
    )
    if parity.cause:
        print(f"原因：{parity.cause}")
    print("通过" if parity.passed else "没有通过：这个导出不要用")
