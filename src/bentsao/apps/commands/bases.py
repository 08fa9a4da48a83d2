"""`bentsao bases`: which base models there are, fetching one, what one is, and what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bentsao.apps.commands.kb_views import print_json
from bentsao.apps.commands.model_flags import report
from bentsao.apps.commands.verbs import verb
from bentsao.apps.terminal import plain_markup
from bentsao.core.errors import ConfigError, MissingError
from bentsao.core.files import read_json_object

if TYPE_CHECKING:
    from bentsao.models.fetching import Located
    from bentsao.models.presets import Preset

app = verb("bases")

AsJson = Annotated[bool, Parameter(name="--json", help="输出 JSON", negative=())]
Name = Annotated[str, Parameter(help="预设名（如 embedded）、Hugging Face 编号或目录")]


@app.command(name="list")
def list_bases(*, as_json: AsJson = False) -> None:
    """列出有短名的基座。其他 Hugging Face 编号或本地目录也都可以用作基座。

    例：

        bentsao bases list
    """
    from bentsao.models.fetching import find_here
    from bentsao.models.presets import BASES

    here = {name: find_here(name) is not None for name in BASES}
    memory = {name: _memory(base) for name, base in BASES.items()}
    if as_json:
        print_json(
            [
                {"name": name, "here": here[name], **base.model_dump(mode="json"), "memory_bytes": memory[name]}
                for name, base in BASES.items()
            ]
        )
        return
    table = Table("名字", "大小", "对话格式", "本机", "说明", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[-1].overflow = "fold"
    for name, base in BASES.items():
        row = (name, size(base.parameters), _usual_format(name, base), "是" if here[name] else "", base.description)
        table.add_row(*row)
    Console().print(table)
    print("编号、许可、须知、占多少内存：bentsao bases show 名字")


def _usual_format(name: str, base: Preset) -> str:
    return base.format or ("plain" if name == "embedded" else "base")


def _memory(base: Preset) -> dict[str, int]:
    """Bytes of the weights in 16, 8 and 4 bits."""
    from bentsao.models.machine import weight_bytes

    return {bits: weight_bytes(base, way) for bits, way in (("16", "bfloat16"), ("8", "8bit"), ("4", "4bit"))}


@app.command(name="check")
def check_base(
    name: Name = "embedded",
    *,
    trust_remote_code: Annotated[bool, Parameter(help="允许运行基座自带的代码", negative=())] = False,
    as_json: AsJson = False,
) -> None:
    """训练之前检查基座：只读配置与分词器，说出每一处不合。

    有错误时退出码为 1。不下载权重；还不在本机的，只取配置与分词器的小文件。

    例：

        bentsao bases check qwen3-0.6b
    """
    from bentsao.models.checking import check_base as check
    from bentsao.models.fetching import locate

    located = locate(name, report, weights=False)
    findings = check(located, trust_remote_code=trust_remote_code)
    bad = sum(finding.level == "error" for finding in findings)
    if as_json:
        told = [finding.model_dump() for finding in findings]
        print_json({"name": located.name, "folder": str(located.folder), "usable": not bad, "findings": told})
    else:
        console = Console(highlight=False)
        for finding in findings:
            label, style = LEVELS[finding.level]
            console.print(f"[{style}]{label}[/] {plain_markup(finding.what)}", soft_wrap=True)
            if finding.do:
                console.print(f"     → {plain_markup(finding.do)}", soft_wrap=True)
        warned = sum(finding.level == "warning" for finding in findings)
        print(f"{located.name}：{bad} 个错误，{warned} 个警告。" + ("" if bad else "可以使用。"))
    if bad:
        sys.exit(1)


@app.command(name="convert")
def convert_base(
    name: Name,
    *,
    out: Annotated[Path, Parameter(help="写到这个新目录")],
) -> None:
    """把百川 7B（一代、二代）转成 LLaMA 的形状，此后不需要它的远程代码。

    例：

        bentsao bases convert baichuan2-7b --out baichuan2-7b-llama
    """
    from bentsao.models.fetching import locate
    from bentsao.models.llamafying import llamafy

    if out.exists():
        raise ConfigError(f"{out} 已经存在，没有覆盖它。请用 --out 换一个目录。")
    llamafy(locate(name, report), out, report)
    print(f"写好了：{out}。此后用 --base {quote(str(out))}。")


LEVELS = {"error": ("错误", "bold red"), "warning": ("警告", "yellow"), "note": ("注意", "dim")}


@app.command(name="fetch")
def fetch_base(
    name: Name = "embedded",
    *,
    revision: Annotated[str | None, Parameter(help="提交号、标签或分支；缺省为最新")] = None,
    as_json: AsJson = False,
) -> None:
    """把基座取到本机：从 Hugging Face 下载；自带的基座则转换并逐文件核对 SHA-256。

    例：

        bentsao bases fetch embedded
    """
    from bentsao.models.fetching import locate

    located = locate(name, report, revision=revision, check=True)
    licence = located.preset.licence if located.preset else None
    stored = sum(file.stat().st_size for file in located.folder.iterdir() if file.is_file())
    if as_json:
        place = {"folder": str(located.folder), "revision": located.revision, "bytes": stored}
        print_json({"name": located.name, **place, "licence": licence})
        return
    print(f"{located.name} 在 {located.folder}（{stored / 1e9:.2f} GB）" + (f"；许可：{licence}" if licence else ""))


@app.command(name="show")
def show_base(
    name: Name = "embedded",
    *,
    trust_remote_code: Annotated[bool, Parameter(help="允许运行基座自带的代码", negative=())] = False,
    as_json: AsJson = False,
) -> None:
    """查看基座：结构、词表、起止符、对话格式。不下载；还不在本机的只显示已知的部分。

    例：

        bentsao bases show embedded
    """
    from bentsao.models.fetching import find_here
    from bentsao.models.presets import find_preset

    preset, located = find_preset(name), find_here(name)
    if preset is None and located is None:
        raise MissingError(f"{name} 还不在本机。请先运行：bentsao bases fetch {quote(name)}")
    known = preset.model_dump(mode="json") if preset else {}
    if preset:
        known["memory_bytes"] = _memory(preset)
    found = {"name": located.name if located else name, "here": located is not None, **known}
    if located is not None:
        found |= _inspect(located, trust_remote_code)
    if as_json:
        print_json(found)
        return
    table = Table(title=str(found["name"]), show_header=False)
    for key, label in LABELS.items():
        if found.get(key) not in (None, [], "", False):
            table.add_row(label, plain_markup(_shown(key, found[key])))
    table.columns[-1].overflow = "fold"
    Console().print(table)
    if located is None:
        report(f"还不在本机。下载：bentsao bases fetch {name}")


LABELS = {
    "id": "编号",
    "description": "说明",
    "licence": "许可",
    "folder": "目录",
    "revision": "版本",
    "architecture": "结构",
    "parameters": "参数量",
    "layers": "层数",
    "hidden": "隐藏维",
    "vocabulary": "词表",
    "context": "上下文",
    "stored_as": "存储精度",
    "start": "起始符",
    "end": "结束符",
    "control_tokens": "控制符个数",
    "chat_format": "缺省对话格式",
    "targets": "LoRA 的注意力层",
    "memory_bytes": "权重占内存",
    "gated": "要先同意条款",
    "notes": "须知",
}


def _inspect(located: Located, trust_remote_code: bool) -> dict[str, Any]:
    """What the folder says: its configuration, tokenizer and weights' headers."""
    from bentsao.models.loading import default_format, load_tokens
    from bentsao.models.shapes import stored_parameters

    config: dict[str, Any] = read_json_object(located.folder / "config.json")
    config = {**config, **config.get("text_config", {})}
    tokens = load_tokens(located.name, revision=located.revision, trust_remote_code=trust_remote_code)
    spell = tokens.tokenizer.convert_ids_to_tokens
    measured = {
        "parameters": stored_parameters(located.folder),
        "layers": config.get("num_hidden_layers") or config.get("n_layer"),
        "hidden": config.get("hidden_size") or config.get("n_embed"),
        "vocabulary": config.get("vocab_size"),
        "context": config.get("max_position_embeddings") or config.get("seq_length"),
    }
    return {
        "folder": str(located.folder),
        "revision": located.revision,
        "architecture": next(iter(config.get("architectures") or []), None),
        "stored_as": config.get("dtype") or config.get("torch_dtype"),
        "start": [spell(number) for number in tokens.start_ids],
        "end": spell(tokens.end_id),
        "control_tokens": len(tokens.control_ids),
        "chat_format": default_format(tokens, located.preset).name,
        **{key: value for key, value in measured.items() if value is not None},
    }


def size(count: int) -> str:
    """A number of parameters as the field writes it."""
    return f"{count / 1e9:.1f}B" if count >= 0.95e9 else f"{count / 1e6:.0f}M"


def _shown(key: str, value: Any) -> str:
    if key == "parameters":
        return f"{size(value)}（{value:,}）"
    if key == "chat_format" and value == "base":
        return "base（基座自带的模板）"
    if key == "memory_bytes":
        return "，".join(f"{bits} 位 {count / 1e9:.1f} GB" for bits, count in value.items())
    if isinstance(value, bool):
        return "是" if value else "否"
    return f"{value:,}" if isinstance(value, int) else " ".join(value) if isinstance(value, list) else str(value)
