"""The recipe: everything that decides what comes out of a tuning run, in one TOML file.

The resolved recipe is stored in the adapter folder, so a run can be repeated from what it left behind.
"""

from __future__ import annotations

import math
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from bentsao.core.complaints import complaints
from bentsao.core.errors import ConfigError
from bentsao.core.files import read_text
from bentsao.core.grounding import PARTS
from bentsao.core.records import Record
from bentsao.core.toml import parse_toml


class BasePart(Record):
    """Which base model, and how it is held."""

    name: str = Field(default="embedded", description="基座：预设名、Hugging Face id 或本地目录")
    quantization: Literal["4bit", "8bit"] | None = Field(
        default=None, description="量化加载（QLoRA；用 CUDA，在 CPU 上很慢）"
    )
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(default=None, description="权重精度；不填按设备选")
    device: str | None = Field(default=None, description="设备；不填自动选")
    trust_remote_code: bool = Field(default=False, description="是否允许运行基座自带的代码")


class DataPart(Record):
    """What is learnt from.

    kind: `conversations` learns answers; `text` learns plain text whole (continued pre-training, see texts.py).
    """

    kind: Literal["conversations", "text"] = Field(
        default="conversations", description="conversations：对话，学回答；text：纯文本，全部学（继续预训练）"
    )
    files: tuple[str, ...] = Field(default=(), description="训练数据文件")
    mix: tuple[str, ...] = Field(default=(), description="混入的通用数据 FILE:SHARE（SHARE 为占训练行数的份额）")
    format: str | None = Field(default=None, description="对话格式；不填用基座自带的模板，没有则用 plain")
    cutoff: int = Field(default=1024, ge=8, description="一行最多的 token 数")
    too_long: Literal["refuse", "cut"] = Field(default="refuse", description="放不下的回答：拒绝，或截断（计数）")
    learn_prompt: bool = Field(default=False, description="是否也学习问题部分")
    validation: float | None = Field(
        default=None, ge=0, description="留出验证的份额（<1）或行数（≥1），按组留出；0 不验证；不填 5%，最多 200 行"
    )
    validation_file: str | None = Field(default=None, description="另给的验证数据文件")
    names: str | None = Field(
        default=None, description="实体名表（一行一个）：按其中的名字分组，使验证的实体不出现在训练中"
    )
    merge_dialogues: bool = Field(default=True, description="是否并掉是别的对话开头的对话")
    limit: int | None = Field(default=None, ge=1, description="最多用多少行（随机取）；不填全用")

    @field_validator("mix")
    @classmethod
    def _check_mix(cls, mix: tuple[str, ...]) -> tuple[str, ...]:
        for item in mix:
            split_mix(item)
        return mix

    def held_out(self, count: int) -> float:
        """How many of `count` rows (documents, pairs) are wanted for validation. Raises ConfigError for all of them."""
        if self.validation is None:
            return min(0.05 * count, 200)
        if self.validation >= max(count, 1):
            raise ConfigError(
                f"validation={self.validation:g} 不小于数据的条数 {count}。请改小，或写成份额（如 0.05）。"
            )
        return self.validation if self.validation >= 1 else self.validation * count


class LoraPart(Record):
    """The adapter. PEFT's LoRA: W + (alpha / rank) · B A.

    rslora: alpha / √rank instead, so that the change does not shrink with the rank (arXiv 2312.03732). dora: the
    direction of W is tuned by LoRA and the length of its rows apart (arXiv 2402.09353).
    """

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | tuple[str, ...] = Field(
        default="all-linear", description="all-linear、attention（q 与 v，或合并的 qkv），或模块名"
    )
    rslora: bool = Field(default=False, description="缩放用 alpha / √rank（rsLoRA），秩大时用")
    dora: bool = Field(default=False, description="方向与长度分开调（DoRA），慢一些")
    init: str | None = Field(default=None, description="从这个适配器目录的权重开始（shipped 为随项目发布的）")


class TrainingPart(Record):
    """How it is learnt. `steps` (None: no limit) ends a run before `epochs` does.

    lowest_layer: layers below it (counted from 0) and the embedding stay as they are, and no gradient goes there.
    keep_activations: what those frozen layers make of each row is computed once and kept on the disk (frozen.py).
    shard: weights, gradients and optimizer states are dealt out over the processes (FSDP2, see sharding.py).
    head: which words of the vocabulary a step computes; all of them is exact (see heads.py), as validation always is.
    """

    epochs: float = Field(default=3, gt=0)
    steps: int | None = Field(default=None, ge=1, description="最多的优化步数")
    batch_rows: int = Field(default=16, ge=1, description="一个优化步的行数")
    micro_tokens: int | None = Field(default=None, ge=1, description="一次前向最多的 token 数（含填充）；不填按设备选")
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.05, ge=0, lt=1, description="预热步数的份额")
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    gradient_checkpointing: bool = False
    lowest_layer: int = Field(default=0, ge=0, description="最低调到第几层（从 0 数）；它以下的层不动")
    keep_activations: bool = Field(default=False, description="不动的层只算一次，结果存在磁盘上，各轮重用")
    activations_gb: float = Field(default=20.0, gt=0, description="存下的结果最多占多少 GB；超过则不开始")
    head: Literal["full", "screened", "trimmed"] = Field(
        default="full",
        description="训练时输出层算哪些词：full 全部（精确）；screened 先粗筛再细算；trimmed 只算训练前找出的词",
    )
    shard: bool = Field(default=False, description="多进程时把权重、梯度和优化器状态分片（FSDP2）")
    seed: int = 42
    evaluate_every: int | None = Field(default=None, ge=1, description="隔多少步验证一次；不填为全程的十分之一")
    evaluate_rows: int = Field(default=128, ge=1, description="途中验证最多用的行数；首尾用全部")
    save_every: int = Field(default=50, ge=1, description="隔多少步存一次检查点")
    save_seconds: float = Field(default=30, gt=0, description="隔多少秒也存一次；存得慢时隔得更久，不占多于 5% 的时间")
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    run_name: str = ""
    project: str = "bentsao"
    part_weights: dict[str, float] = Field(
        default_factory=lambda: dict.fromkeys(PARTS, 1.0),
        description=f"各部分损失的权重（{'、'.join(PARTS)}）；不写的为 1",
    )

    @field_validator("part_weights")
    @classmethod
    def _check_part_weights(cls, given: dict[str, float]) -> dict[str, float]:
        unknown = [name for name in given if name not in PARTS]
        if unknown:
            raise ValueError(f"没有名为 {'、'.join(unknown)} 的部分。可用：{'、'.join(PARTS)}")
        bad = [f"{name} = {weight:g}" for name, weight in given.items() if not (math.isfinite(weight) and weight >= 0)]
        if bad:
            raise ValueError(f"权重应是不小于 0 的数，这里有 {'、'.join(bad)}")
        weights = {name: given.get(name, 1.0) for name in PARTS}
        if not any(weights.values()):
            raise ValueError("权重不能全是 0，那样什么也学不到")
        return weights


class PreferencePart(Record):
    """Where `method` is `dpo`: how far the model may go from the reference; smaller lets it go farther."""

    beta: float = Field(default=0.1, gt=0)


class Recipe(Record):
    """A whole recipe. `output` is the folder to be written: an adapter, or a whole model where `method` is full."""

    output: str = "runs/adapter"
    method: Literal["lora", "full", "dpo"] = Field(
        default="lora", description="lora：只调适配器；full：调全部权重，写出完整的模型目录；dpo：用偏好对调适配器"
    )
    base: BasePart = BasePart()
    data: DataPart = DataPart()
    lora: LoraPart = LoraPart()
    training: TrainingPart = TrainingPart()
    preference: PreferencePart = PreferencePart()


def split_mix(item: str) -> tuple[str, float]:
    """`FILE:SHARE` → (file, share). Raises ValueError for another form or a share outside (0, 1)."""
    file, _, share = item.rpartition(":")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not file or not 0 < value < 1:
        raise ValueError(f"{item!r} 应写成 FILE:SHARE，SHARE 在 0 与 1 之间，例如 general.jsonl:0.2")
    return file, value


RECIPES = Path(__file__).with_name("recipes")
"""The recipes that come with the package."""


def find_recipe(name: Path) -> Path:
    """A recipe's file: the one at this path, else the package's own of this name (`default`, `recipes/default.toml`).

    Raises ConfigError where there is neither.
    """
    if name.exists() and not name.is_dir():
        return name
    own = RECIPES / f"{name.stem}.toml"
    if name.suffix in ("", ".toml") and name.parent in (Path(), Path(RECIPES.name)) and own.exists():
        return own
    shipped = "、".join(sorted(path.stem for path in RECIPES.glob("*.toml")))
    raise ConfigError(f"没有配方 {name}。请给出 TOML 文件，或自带配方的名字：{shipped}。")


def load_recipe(path: Path | None, overrides: dict[str, Any]) -> Recipe:
    """A recipe from a TOML file (None: all defaults) with `section.key` overrides on top.

    Relative data paths in the file are looked up from where the command runs, as the shell would. Raises ConfigError
    with every wrong key and value.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = parse_toml(read_text(path), str(path))
    for name, value in overrides.items():
        *sections, key = name.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"配方里的 {section} 应是一节（[{section}]）。")
        place[key] = value
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [f"配方{f' {path} ' if path else ''}有 {error.error_count()} 处错误："]
        lines += [f"  {field} = {value!r}：{what}{_known_fields(field)}" for field, value, what in complaints(error)]
        raise ConfigError("\n".join(lines)) from None


def _known_fields(field: str) -> str:
    """For a field that a recipe does not have: the one most like it, or all there are at its place; "" for others."""
    part: type[BaseModel] = Recipe
    *sections, last = field.split(".")
    for section in sections:
        known = part.model_fields.get(section)
        if known is None or not (isinstance(known.annotation, type) and issubclass(known.annotation, BaseModel)):
            return ""
        part = known.annotation
    if last in part.model_fields:
        return ""
    near = get_close_matches(last, part.model_fields, n=1)
    return f"是不是 {'.'.join([*sections, near[0]])}？" if near else f"可用：{'、'.join(part.model_fields)}。"
