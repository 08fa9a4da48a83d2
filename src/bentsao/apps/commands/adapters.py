"""`bentsao adapters`: what an adapter is, bringing old ones into today's form, joining several, comparing two."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from bentsao.apps.commands.kb_views import print_json
from bentsao.apps.commands.model_flags import report
from bentsao.apps.commands.verbs import verb
from bentsao.apps.terminal import plain_markup, printable
from bentsao.core.errors import ConfigError

if TYPE_CHECKING:
    from bentsao.models.adapter_comparing import Difference, LayerDifference
    from bentsao.models.adapter_inspecting import Inspected

app = verb("adapters")

AsJson = Annotated[bool, Parameter(name="--json", help="输出 JSON", negative=())]
Name = Annotated[Path, Parameter(help="适配器目录、Hugging Face 编号，或叠起来的几个（A+B、0.7*A+0.3*B）")]


@app.command(name="inspect")
def inspect(
    adapter: Name,
    *,
    base: Annotated[str | None, Parameter(help="与这个基座对照（只读它的配置，不读权重）")] = None,
    as_json: AsJson = False,
) -> None:
    """查看适配器：配置、权重、可能的基座，以及每一处问题。有问题时退出码为 1。

    例：

        bentsao adapters inspect runs/my

        bentsao adapters inspect 别处的适配器 --base huggyllama/llama-7b
    """
    from bentsao.models.adapter_inspecting import inspect_adapter
    from bentsao.models.adapter_places import place
    from bentsao.models.fetching import locate

    located = None if base is None else locate(base, report, weights=False)
    found = inspect_adapter(place(adapter, report), located)
    if as_json:
        print_json(found.model_dump())
    else:
        _show(found)
    if found.faults:
        sys.exit(1)


@app.command(name="convert")
def convert(
    adapter: Annotated[Path, Parameter(help="适配器目录或 Hugging Face 编号")],
    *,
    out: Annotated[Path, Parameter(help="写到这个新目录")],
    alpha: Annotated[float | None, Parameter(help="补上丢了的 lora_alpha（原项目与 alpaca-lora 是 16）")] = None,
) -> None:
    """把旧版 PEFT（如 0.3）的适配器转成今天的写法：pickle → safetensors，按权重补上丢了的 r 与 target_modules。

    例：

        bentsao adapters convert 旧的适配器 --out runs/new --alpha 16
    """
    from bentsao.models.adapter_places import convert_folder, place

    _check_new(out)
    notes = convert_folder(place(adapter, report), out, alpha)
    for note in notes or ["没有需要改的，照样写了一份"]:
        print(printable(f"- {note}"))
    print(f"写好了：{out}")


@app.command(name="merge")
def merge(
    adapters: Annotated[list[Path], Parameter(help="两个以上的适配器；先装的在前", consume_multiple=True)],
    *,
    out: Annotated[Path, Parameter(help="写到这个新目录")],
    weights: Annotated[
        list[float] | None, Parameter(help="各乘多少；缺省都是 1，即叠起来", consume_multiple=True, negative=())
    ] = None,
) -> None:
    """把几个 LoRA 合成一个：叠起来（一个是在合并了另一个的基座上微调的），或按权重相加。

    秩拼接在一起，结果与原来的和完全相等。要合并进基座，请用 bentsao export。

    例：

        bentsao adapters merge runs/a runs/b --weights 0.7 0.3 --out runs/ab
    """
    from bentsao.models.adapter_places import combine_folders, settle

    _check_new(out)
    if len(adapters) < 2:
        raise ConfigError("合并要两个以上的适配器。")
    given = weights or [1.0] * len(adapters)
    if len(given) != len(adapters):
        raise ConfigError(f"有 {len(adapters)} 个适配器，--weights 却有 {len(given)} 个数。请一一对应。")
    if 0 in given:
        raise ConfigError("--weights 里有 0，等于没有那个适配器。请去掉它。")
    combine_folders([settle(adapter, report) for adapter in adapters], given, out, report)
    print(f"{len(adapters)} 个适配器合成了 {out}")


@app.command(name="diff")
def diff(
    first: Name,
    second: Name,
    *,
    layers: Annotated[int, Parameter(help="列出差别最大的几层；0 为全部")] = 20,
    as_json: AsJson = False,
) -> None:
    """比较两个适配器：配置的不同，与各层改动 B·A 的大小、差与夹角。

    例：

        bentsao adapters diff runs/a runs/b
    """
    from bentsao.models.adapter_comparing import compare_adapters
    from bentsao.models.adapter_places import settle

    found = compare_adapters(settle(first, report), settle(second, report))
    if as_json:
        print_json(found.model_dump())
    else:
        _show_difference(found, layers or len(found.layers))


def _check_new(out: Path) -> None:
    if out.exists():
        raise ConfigError(f"{out} 已经存在，没有覆盖它。请用 --out 换一个目录。")


def _show(found: Inspected) -> None:
    table = Table(title=plain_markup(found.folder), show_header=False)
    kinds = "、".join(f"{kind} × {count}" for kind, count in found.dtypes.items())
    ranks = "、".join(f"{rank}（{count} 层）" for rank, count in found.ranks.items())
    rows = {
        "权重文件": f"{found.file}（{found.bytes:,} 字节；SHA-256 {found.sha256[:16]}…）",
        "种类": found.kind,
        "基座（它自己说的）": found.base,
        "形状相符的预设": "、".join(found.fits),
        "张量": f"{found.tensors} 个，{found.parameters:,} 个数（{kinds}）",
        "秩（按权重）": ranks,
        "r、lora_alpha（按配置）": f"{found.rank}、{found.alpha}",
        "装在": f"{'、'.join(found.targets)}（{found.layers} 层）" if found.targets else "",
        "整层保存": "、".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in found.whole.items()),
        "改动的大小": f"{found.size:.4g}（Frobenius 范数）" if found.size >= 0 else "",
    }
    for label, value in rows.items():
        if value:
            table.add_row(label, plain_markup(str(value)))
    console = Console(highlight=False)
    console.print(table)
    for fault in found.faults:
        console.print(f"[bold red]问题[/] {plain_markup(fault)}", soft_wrap=True)


def _show_difference(found: Difference, most: int) -> None:
    console = Console(highlight=False)
    if found.config:
        table = Table("配置", "甲", "乙", title="配置的不同")
        for key, a, b in found.config:
            table.add_row(plain_markup(key), plain_markup(a), plain_markup(b))
        console.print(table)
    table = Table("层", "甲的大小", "乙的大小", "差的大小", "余弦", title="改动 s·BA 的 Frobenius 范数")
    for layer in [*sorted(found.layers, key=lambda layer: -layer.apart)[:most], found.total]:
        table.add_row(*_cells(layer))
    console.print(table)
    if len(found.layers) > most:
        print(f"差别最大的 {most} 层；共 {len(found.layers)} 层（--layers 0 列出全部）。")
    for label, names in (
        ("只有甲改的层", found.only_a),
        ("只有乙改的层", found.only_b),
        ("整层保存而不同", found.whole),
    ):
        if names:
            print(printable(f"{label}：{len(names)} 个（例如 {names[0]}）"))


def _cells(layer: LayerDifference) -> list[str]:
    alike = "—" if layer.alike is None else f"{layer.alike:.4f}"
    return [plain_markup(layer.layer), f"{layer.a:.4g}", f"{layer.b:.4g}", f"{layer.apart:.4g}", alike]
