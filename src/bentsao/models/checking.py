"""What is wrong with a base, told before anything is trained: from its configuration and tokenizer, no weights read.

Each check is a function of what was opened; all are asked, so that every mismatch is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from bentsao.core.errors import BentsaoError
from bentsao.core.files import read_json
from bentsao.core.records import Message, Record
from bentsao.core.rendering import stop_ids
from bentsao.models.chatglm.releases import MARK_NAMES, RELEASES, is_later, mismatches
from bentsao.models.fetching import Located, missing_weights
from bentsao.models.loading import default_format, open_tokens
from bentsao.models.repairs import kind_of, sentencepiece_marks
from bentsao.models.shapes import stored_shapes
from bentsao.models.tokens import HFTokens

Level = Literal["error", "warning", "note"]


class Finding(Record):
    """One thing found. error: it cannot be used as it is; warning: it can, knowing this; note: good to know.

    what: what is there; do: the way out.
    """

    level: Level
    what: str
    do: str = ""


@dataclass(frozen=True)
class Opened:
    """What the checks look at. config: config.json with the text model's own part on top; tokens: None where the
    tokenizer cannot be opened.
    """

    located: Located
    config: dict[str, Any]
    generation: dict[str, Any]
    tokenizer_config: dict[str, Any]
    tokens: HFTokens | None

    @property
    def kind(self) -> str | None:
        """model_type, or what the class says where it is not there."""
        return self.config.get("model_type") or kind_of(self.config)

    @property
    def words(self) -> int | None:
        """Rows of the embedding, by the configuration."""
        size = self.config.get("vocab_size")
        return size if isinstance(size, int) else None

    def spelt(self, number: int) -> str:
        """A token as the tokenizer writes it."""
        tokens = self.tokens
        if tokens is None or not 0 <= number < len(tokens):
            return "词表之外"
        return str(tokens.tokenizer.convert_ids_to_tokens(number))


def check_base(located: Located, *, trust_remote_code: bool = False) -> list[Finding]:
    """All that is found, the errors first. Raises DataError for JSON files that cannot be read."""
    opened, findings = _open(located, trust_remote_code)
    for check in _CHECKS:
        findings += check(opened)
    order: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: order[finding.level])


def _open(located: Located, trust_remote_code: bool) -> tuple[Opened, list[Finding]]:
    folder = located.folder
    config = _json(folder / "config.json")
    config = {**config, **(config.get("text_config") or {})}
    findings: list[Finding] = []
    tokens = None
    try:
        tokens = open_tokens(located, trust_remote_code)
    except BentsaoError as error:
        findings.append(Finding(level="error", what=f"打不开分词器：{error}"))
    generation, settings = _json(folder / "generation_config.json"), _json(folder / "tokenizer_config.json")
    return Opened(located, config, generation, settings, tokens), findings


def _json(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def _architecture(base: Opened) -> Iterator[Finding]:
    code = sorted(file.name for file in base.located.folder.glob("*.py"))
    remote = base.config.get("auto_map")
    if base.config.get("model_type") is None and base.kind is not None:
        yield Finding(level="note", what=f"config.json 没有写 model_type；按 architectures 认作 {base.kind}")
    if base.kind == "chatglm":
        return  # told by `_prefix_lm`
    if base.kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        if remote:
            yield Finding(level="note", what="带有远程代码，但 transformers 自带这个架构的类，不会运行它")
        return
    if base.kind in CONFIG_MAPPING:
        yield Finding(level="error", what=f"架构 {base.kind} 不是逐词生成的语言模型", do="请换一个基座。")
    elif base.kind == "baichuan":
        yield Finding(
            level="error",
            what="百川的架构 transformers 没有自带的类，只有远程代码",
            do="先转成 LLaMA 的形状：bentsao bases convert 名字 --out 目录（7B 可以；13B 的 ALiBi 不行）。",
        )
    elif remote:
        yield Finding(
            level="error",
            what=f"架构 {base.kind} 只有远程代码（{'、'.join(code) or '在另一个仓库'}），缺省不运行",
            do="请先读它的代码；信任的话加 --trust-remote-code。它若是为旧版 transformers 写的，仍可能运行不了。",
        )
    else:
        yield Finding(
            level="error", what=f"transformers 不认识架构 {base.kind}", do="请升级 transformers，或换一个基座。"
        )


def _prefix_lm(base: Opened) -> Iterator[Finding]:
    if base.kind != "chatglm":
        return
    if is_later(base.config):
        yield Finding(
            level="error",
            what="ChatGLM2/3：transformers 没有它的类，远程代码是为 transformers 4 写的",
            do="请换用 transformers 自带类的 GLM：glm-4-9b。",
        )
        return
    yield Finding(level="note", what="ChatGLM-6B（prefix-LM）：用 BenTsao 自己的类，不运行它带的远程代码")
    marks = list(MARK_NAMES)
    found: Any = None if base.tokens is None else base.tokens.tokenizer.convert_tokens_to_ids(marks)
    for what, do in mismatches(base.config, None if found is None else dict(zip(marks, found, strict=True))):
        yield Finding(level="error", what=what, do=do)
    if base.words not in RELEASES:
        known = "、".join(map(str, RELEASES))
        yield Finding(
            level="warning",
            what=f"词表 {base.words} 不是已知的 ChatGLM-6B 版本（{known}）",
            do="请核对各特殊符的编号。",
        )


def _tokenizer_class(base: Opened) -> Iterator[Finding]:
    marks = sentencepiece_marks(base.located.folder)
    if marks is None:
        return
    said = base.tokenizer_config.get("tokenizer_class")
    yield Finding(
        level="warning",
        what=f"tokenizer_config.json 是坏的（tokenizer_class {said!r}，特殊符为空）：decapoda 那一批 LLaMA 的通病",
        do=f"已按 tokenizer.model 改正：{'、'.join(f'{name}={mark}' for name, mark in marks.items())}。"
        "别的程序会读错它；长久之计是换一份干净的（llama-7b）。",
    )


def _special_ids(base: Opened) -> Iterator[Finding]:
    if base.tokens is None:
        return
    tokenizer = base.tokens.tokenizer
    own: Any = tokenizer  # whose ids transformers types as anything
    start, end, pad, unknown = own.bos_token_id, own.eos_token_id, own.pad_token_id, own.unk_token_id
    if end is None:
        yield Finding(
            level="warning",
            what=f"分词器没有写 eos_token；用模型配置里的 {base.tokens.end_id}（{base.spelt(base.tokens.end_id)}）",
        )
    if start is not None and start == end:
        yield Finding(
            level="warning",
            what=f"开始符与结束符是同一个（{base.spelt(start)}）：学到的结束会与开头混淆",
            do="用有另外结束符的对话格式（如 base），或换基座。",
        )
    if unknown is not None and unknown in (start, end):
        yield Finding(
            level="error",
            what=f"未知符与{'开始符' if unknown == start else '结束符'}是同一个：生僻字会被当作结束",
            do="请改正 tokenizer_config.json 的 eos_token / unk_token。",
        )
    if pad is None:
        yield Finding(level="note", what="没有填充符；训练与回答都用结束符填充并遮住，不影响")
    elif pad == end:
        yield Finding(level="note", what="填充符就是结束符：别的训练程序会因此学不到何时停；这里填充处不计损失，不影响")


def _stated_ids(base: Opened) -> Iterator[Finding]:
    """The ids that config.json and generation_config.json name against the tokenizer's."""
    if base.tokens is None:
        return
    own = {"bos_token_id": base.tokens.tokenizer.bos_token_id, "eos_token_id": base.tokens.tokenizer.eos_token_id}
    for file, values in (("config.json", base.config), ("generation_config.json", base.generation)):
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            said = values.get(name)
            numbers = [said] if isinstance(said, int) else said if isinstance(said, list) else []
            for number in numbers:
                if not 0 <= number < (base.words or number + 1):
                    yield Finding(
                        level="warning",
                        what=f"{file} 的 {name} 是 {number}，不在词表里（0 到 {(base.words or 1) - 1}）",
                        do="这里不用它；别的程序可能因此出错。",
                    )
                elif name != "pad_token_id" and number not in base.tokens.control_ids:
                    right = own[name]
                    yield Finding(
                        level="warning",
                        what=f"{file} 的 {name} 是 {number}（{base.spelt(number)}），不是控制符；分词器说是 {right}",
                        do="这里按分词器的算。",
                    )
                elif name == "eos_token_id" and number == own["bos_token_id"] and number != own[name]:
                    yield Finding(
                        level="warning",
                        what=f"{file} 的结束符是 {number}，那是开始符 {base.spelt(number)}；分词器说是 {own[name]}",
                        do="这里按分词器的算。",
                    )


def _vocabulary(base: Opened) -> Iterator[Finding]:
    if base.tokens is None or base.words is None:
        return
    count, rows = len(base.tokens), base.words
    outside = set(range(rows, count)) - base.tokens.control_ids
    ends = {number for number in (base.tokens.end_id, *base.tokens.start_ids) if number >= rows}
    if outside | ends:
        yield Finding(
            level="error",
            what=f"分词器有 {count} 个词，词嵌入只有 {rows} 行（例如 {min(outside | ends)} 没有对应的行）",
            do="分词器与权重不是一套，或扩过的词表存在适配器里（那就用 --adapter）。请取同一基座的分词器。",
        )
    elif count > rows:
        yield Finding(level="note", what=f"分词器比词嵌入多 {count - rows} 个控制符（别的模态用的），问答用不到")
    elif rows > count:
        yield Finding(level="note", what=f"词嵌入有 {rows} 行，分词器 {count} 个词：多出的 {rows - count} 行是补齐用的")
    shape = stored_shapes(base.located.folder, ("embed_tokens.weight", "word_embeddings.weight", "wte.weight"))
    if shape and shape[0] != rows:
        yield Finding(
            level="error",
            what=f"权重里的词嵌入是 {shape[0]} 行，config.json 的 vocab_size 是 {rows}",
            do="config.json 与权重不是一套，请重新下载。",
        )


def _template(base: Opened) -> Iterator[Finding]:
    if base.tokens is None:
        return
    if base.tokens.template is None:
        used = default_format(base.tokens, base.located.preset).name
        yield Finding(level="note", what=f"没有自带的对话模板，缺省用 {used} 格式（--format 可换）")
        return
    asked = [Message(role="user", content="问")]
    try:
        whole = base.tokens.apply_template([*asked, Message(role="assistant", content="答")], ask=False)
        ends = stop_ids(default_format(base.tokens), base.tokens)
    except BentsaoError as error:
        yield Finding(level="error", what=f"自带的对话模板用不了：{error}", do="请用 --format 换一个格式。")
        return
    after = base.tokens.encode(whole.rpartition("答")[2], control=True, after=True)
    if not base.tokens.control_ids.intersection(after):
        shown = "、".join(sorted(base.spelt(number) for number in ends))
        yield Finding(
            level="warning",
            what=f"对话模板在回答后面没有结束符：照它训练的程序学不会停；这里学的是 {base.spelt(base.tokens.end_id)}",
            do=f"回答遇到这些就停：{shown}。",
        )
    if "enable_thinking" in base.tokens.template:
        yield Finding(level="note", what="能先思考再回答：--format base 不思考（缺省），--format base-thinking 思考")


def _weights(base: Opened) -> Iterator[Finding]:
    """Only where there are any: a check may come before the download."""
    folder = base.located.folder
    here = {path.name for end in ("safetensors", "bin") for path in folder.glob(f"*.{end}")}
    if here and (missing := missing_weights(folder)):
        yield Finding(level="error", what=f"缺少 {len(missing)} 个权重文件（例如 {missing[0]}）", do="请重新下载。")
    pointers = [name for name in sorted(here) if (folder / name).stat().st_size < 1024 and _pointer(folder / name)]
    if pointers:
        yield Finding(level="error", what=f"{pointers[0]} 只是 Git LFS 的指针", do="请运行 git lfs pull。")
    if here and not any(name.endswith(".safetensors") for name in here):
        yield Finding(level="note", what="只有 pickle 权重；以 weights_only 打开，不运行其中的代码")


def _pointer(path: Path) -> bool:
    return path.read_bytes().startswith(b"version https://git-lfs")


def _preset(base: Opened) -> Iterator[Finding]:
    preset = base.located.preset
    if preset is None:
        return
    if preset.gated:
        yield Finding(level="note", what=f"须先在网页上同意许可：{preset.licence}")
    if base.words is not None and base.words != preset.vocabulary:
        yield Finding(level="warning", what=f"词表 {base.words} 与预设的 {preset.vocabulary} 不同：可能是另一次发布")


_CHECKS: tuple[Callable[[Opened], Iterator[Finding]], ...] = (
    _architecture,
    _prefix_lm,
    _tokenizer_class,
    _special_ids,
    _stated_ids,
    _vocabulary,
    _template,
    _weights,
    _preset,
)
