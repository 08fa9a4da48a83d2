"""`bentsao doctor`: what this machine can do, what is missing, and which bases fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from bentsao.apps.commands.bases import size

if TYPE_CHECKING:
    from bentsao.models.machine import Device, Machine


def doctor(*, as_json: Annotated[bool, Parameter(name="--json", help="输出 JSON", negative=())] = False) -> None:
    """检查这台机器：设备、内存、缺什么怎样装、哪些基座放得下。不下载任何东西。

    例：

        bentsao doctor
    """
    from bentsao.models.fetching import find_here
    from bentsao.models.machine import fit, inspect_machine
    from bentsao.models.presets import BASES, EMBEDDED

    machine = inspect_machine()
    fits = {
        device.name: {name: fit(preset, device).model_dump() for name, preset in BASES.items()}
        for device in _kinds(machine)
    }
    ready = find_here(EMBEDDED) is not None
    if as_json:
        found = {**machine.model_dump(mode="json"), "embedded_ready": ready, "fits": fits}
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    console = Console()
    console.print(_machine_table(machine, ready))
    console.print(_device_table(machine))
    for device in _kinds(machine):
        console.print(_fit_table(device, fits[device.name]))
    for extra, packages in machine.missing.items():
        if packages:
            console.print(f"可选部分 {extra} 缺少 {'、'.join(packages)}。安装：pip install 'bentsao\\[{extra}]'")


def _kinds(machine: Machine) -> list[Device]:
    """One device of each kind, that with the most free memory: eight equal GPUs need no eight tables."""
    best: dict[str, Device] = {}
    for device in machine.devices:
        kind = device.name.partition(":")[0]
        if kind not in best or device.free > best[kind].free:
            best[kind] = device
    return list(best.values())


def _machine_table(machine: Machine, ready: bool) -> Table:
    table = Table(title="这台机器", show_header=False)
    table.add_row("系统", f"{machine.system}，{machine.cores} 个核")
    table.add_row("版本", "，".join(f"{name} {version}" for name, version in machine.versions.items()))
    table.add_row("缓存目录", f"{machine.cache}（磁盘剩 {_gigabytes(machine.disk)}）")
    table.add_row("自带基座", "已就绪" if ready else "首次使用时转换（约一分钟）；现在就转换：bentsao bases fetch")
    return table


def _device_table(machine: Machine) -> Table:
    table = Table("设备", "型号", "可用内存", "全部内存", "缺省精度", title="设备（缺省用第一个）")
    for device in machine.devices:
        table.add_row(device.name, device.model, _gigabytes(device.free), _gigabytes(device.total), device.dtype)
    return table


def _fit_table(device: Device, fits: dict[str, dict[str, Any]]) -> Table:
    from bentsao.models.presets import BASES

    table = Table("基座", "参数量", "推理", "微调", "微调时一批的 token", title=f"{device.name} 上放得下的（估计）")
    for name, found in fits.items():
        inference, tuning = (_way(found[key], device) for key in ("inference", "tuning"))
        batch = f"约 {found['batch_tokens']:,}" if found["batch_tokens"] else ""
        table.add_row(name, size(BASES[name].parameters), inference, tuning, batch)
    return table


def _way(way: str | None, device: Device) -> str:
    """How a base fits, as the flag that is needed; a tick where the default will do."""
    if way is None:
        return "放不下"
    if way == device.dtype:
        return f"✓ {way}"
    return f"--quantization {way}" if way.endswith("bit") else f"--dtype {way}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
