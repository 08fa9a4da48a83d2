"""The model card of an export: what it was made from and what it is for, in the words of the adapter's manifest."""

from __future__ import annotations

from typing import Any

from bentsao.models.exporting.source import Source

DISCLAIMER = (
    "本模型由语言模型微调而成，回答可能有误、过时或杜撰。它不构成诊断或治疗建议，不能代替医生；"
    "胸痛、呼吸困难、意识不清、大出血、中毒、有自杀念头等情况请立即拨打 120 或就近就医。仅供研究使用。"
)


def model_card(form: str, description: str, source: Source) -> str:
    """README.md of an exported folder, in Chinese, with the hub's metadata before it."""
    located, info = source.located, source.info
    manifest: dict[str, Any] = (info.manifest if info is not None else None) or {}
    licence = located.preset.licence if located.preset else "见基座的许可"
    hub = located.preset.id.split(" ")[0] if located.preset else None
    head = ["---", "language: zh", *([f"base_model: {hub}"] if hub else []), "tags: [medical, bentsao]", "---", ""]
    made = f"{located.name}（版本 {located.revision or '未记录'}）"
    lines = [*head, f"# {source.name}", "", DISCLAIMER, "", "## 由来", "", "| 项 | 值 |", "|---|---|"]
    rows: list[tuple[str, object]] = [
        ("导出格式", f"{description}（`bentsao export {form}`）"),
        ("基座", made),
        ("基座许可", licence),
        ("适配器", info.folder.resolve().name if info is not None else "无"),
        ("对话格式", f"{source.chat_format.name}（{source.chat_format.hash}）"),
        ("训练步数", manifest.get("steps")),
        ("随机种子", manifest.get("seed")),
    ]
    lines += [f"| {name} | {_cell(value)} |" for name, value in rows if value not in (None, "")]
    for title, part in (("训练数据（SHA-256）", manifest.get("data")), ("损失", manifest.get("losses"))):
        if isinstance(part, dict) and part:
            lines += ["", f"## {title}", "", *(f"- `{_cell(key)}`：{_cell(value)}" for key, value in part.items())]
    lines += [
        "",
        "## 怎样用",
        "",
        _USE[form.split("-", maxsplit=1)[0]],
        "",
        "## 许可",
        "",
        _LICENCE.format(licence=licence),
        "",
    ]
    return "\n".join(lines)


_LICENCE = (
    "权重是基座的派生作品，受基座许可（{licence}）约束；训练数据若有自己的条款（如仅限学术使用），同样适用。"
    "再次分发前请逐一核对。"
)

_USE = {
    "hf": "用 transformers 打开，或 `bentsao chat --base 目录`；对话模板在分词器里。",
    "llama": "用 LLaMA 的原始代码打开；分词器在旁边，是 Hugging Face 格式。",
    "ct2": "用 CTranslate2 的 `Generator` 打开；词表里是 token 的编号：`[str(i) for i in tokenizer.encode(text)]`。",
    "gguf": "用 llama.cpp 打开；Ollama：在本目录运行 `ollama create 名字 -f Modelfile`，再 `ollama run 名字`。",
}


def _cell(value: object) -> str:
    """A value that cannot break the table or begin a tag."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;").replace("`", "")
