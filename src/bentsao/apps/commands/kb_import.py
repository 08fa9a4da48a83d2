"""`bentsao kb import` and `remove`: which reader each file gets, and the import with a progress display."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bentsao.apps.commands import kb_views as views
from bentsao.apps.commands.kb_reports import imported
from bentsao.core.errors import ConfigError, MissingError
from bentsao.core.files import sha256_file
from bentsao.knowledge.importers import READERS, detect, triples
from bentsao.knowledge.rows import Row, SourceInfo
from bentsao.knowledge.writing import ImportReport, import_rows, remove_source

Target = Annotated[Path, Parameter(name="--kb", help="要改动的知识库文件")]
Json = Annotated[bool, Parameter(name="--json", help="输出 JSON，供程序读取", negative=())]

EVERY = 500
"""Rows from one movement of the progress display to the next."""


def import_(
    files: Annotated[tuple[Path, ...], Parameter(help="要导入的文件", consume_multiple=True)],
    /,
    *,
    kb: Target,
    source: Annotated[str | None, Parameter(help="来源的名称，事实按它引用和删除；缺省为文件名")] = None,
    licence: Annotated[str, Parameter(help="来源的许可说明，与每条事实一起保存")] = "",
    reader: Annotated[
        str | None,
        Parameter(help=f"读取方式：{'、'.join(READERS)}；缺省自动判断"),
    ] = None,
    columns: Annotated[
        str | None,
        Parameter(
            help="各列是什么：名称=列名,症状=列名,…（类别与任何属性；名称、类别以外认得的列名不必写）；"
            "三元组：subject=列名,attribute=列名,value=列名（另可有 kind、qualifier）"
        ),
    ] = None,
    again: Annotated[bool, Parameter(help="文件没有变也重新导入（例如升级软件之后）", negative=())] = False,
    json: Json = False,
) -> None:
    """把文件导入知识库；没有这个知识库时新建。

    每个文件要么全部导入，要么不留痕迹。同一来源再次导入会替换它原来的内容，文件没有变则什么也不做。
    一次导入几个文件又给出 --source 时，各文件的来源名称为“来源/文件名”。
    读不进来的内容按原因计数，并各举几例。

    例：

        bentsao kb import disease.csv drug.json --kb my.kb --licence 仅供测试

        bentsao kb import 科室的表.csv --kb my.kb --columns 名称=病种,药物治疗=首选用药

        bentsao kb import 三元组.csv --kb my.kb --columns subject=病名,attribute=关系,value=内容
    """
    reports: list[ImportReport] = []
    try:
        for plan in planned(files, source=source, licence=licence, reader=reader, columns=columns):
            # The same file read in another way is not the same.
            reports.append(import_file(kb, plan, again=again or columns is not None or reader is not None))
            if not json:
                views.display(*imported(plan.path.name, plan.reader, reports[-1]))
    finally:  # what was imported before an error stays, and is told of
        if json:
            views.print_json([report.model_dump() for report in reports])


def remove(
    source: Annotated[str, Parameter(help="来源的名称，见 bentsao kb stats")], /, *, kb: Target, json: Json = False
) -> None:
    """从知识库删除一个来源，以及只有它提到的实体。

    例：

        bentsao kb remove disease --kb my.kb
    """
    remove_source(kb, source)
    if json:
        views.print_json({"removed": source})
    else:
        views.display(f"已从 {kb} 删除来源“{source}”。")


@dataclass(frozen=True)
class Plan:
    """A file, how it is read, and the source it becomes. `columns`: role → column; None: the usual names."""

    path: Path
    reader: str
    columns: dict[str, str] | None
    source: SourceInfo

    def rows(self) -> Iterator[Row]:
        """What the reader makes of the file."""
        reader = READERS[self.reader]
        return reader.mapped(self.path, self.columns) if self.columns and reader.mapped else reader.read(self.path)


def planned(
    files: Sequence[Path], *, source: str | None, licence: str, reader: str | None, columns: str | None
) -> list[Plan]:
    """What is to be imported; whatever can be known to be wrong is told before anything is written.

    source: the source's name, None: the file's name without its ending; with several files, what stands before it.
    reader: a key of READERS, None: told by the file. columns: `role=column,…`, None: by the usual names.
    """
    if reader is not None and reader not in READERS:
        raise ConfigError(f"不认识读取方式 {reader!r}。可用：{'、'.join(READERS)}。")
    roles = None if columns is None else _roles(columns)
    if roles and reader is None:
        reader = "triples" if roles.keys() <= triples.COLUMNS.keys() else "table"
    if roles and READERS[reader or ""].mapped is None:
        raise ConfigError(f"--columns 只用于 table 与 triples，不能与 --reader {reader} 同用。请去掉其中一个。")
    plans: list[Plan] = []
    for path in files:
        if not path.is_file():
            wrong = f"{path} 是一个目录，这里需要文件。" if path.is_dir() else f"找不到文件 {path}。请检查路径。"
            raise MissingError(wrong)
        name = path.stem if source is None else source if len(files) == 1 else f"{source}/{path.name}"
        read_by = reader or detect(path)
        info = SourceInfo(name=name, file=path.name, licence=licence, sha256=sha256_file(path))
        plans.append(Plan(path, read_by, roles, info))
    if twice := [name for name, count in Counter(plan.source.name for plan in plans).items() if count > 1]:
        raise ConfigError(f"几个文件的来源都叫 {'、'.join(twice)}，会互相替换。请分开导入并用 --source 起名。")
    return plans


def import_file(kb: Path, plan: Plan, *, again: bool) -> ImportReport:
    """Import one file; how far it is shows on standard error."""
    console = Console(stderr=True)
    shown = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,} 行"),
        TimeElapsedColumn(),
    )
    with Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"导入 {plan.path.name}", total=None)

        def counted() -> Iterator[Row]:
            for number, row in enumerate(plan.rows(), start=1):
                yield row
                if number % EVERY == 0:
                    progress.update(task, completed=number)

        return import_rows(kb, counted(), plan.source, again=again)


def _roles(columns: str) -> dict[str, str]:
    roles: dict[str, str] = {}
    for part in columns.split(","):
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if not (role and equals and column):
            raise ConfigError(f"--columns 里的 {part!r} 应写作 角色=列名，例如 subject=病名。")
        if role in roles:
            raise ConfigError(f"--columns 里 {role} 给了两次。请去掉一个。")
        if column in roles.values():
            raise ConfigError(f"--columns 里“{column}”这一列用了两次。一列只能是一样东西。")
        roles[role] = column
    return roles
