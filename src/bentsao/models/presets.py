"""The bases known by a short name. Any other Hugging Face id or folder works too; add one here to give it a name."""

from __future__ import annotations

from bentsao.core.records import Record

EMBEDDED = "embedded"
"""The name of the base that comes with the installation, and the default everywhere."""


class Preset(Record):
    """A base that is known beforehand.

    id: the Hugging Face id; for the embedded base a description only.
    format: the chat format for bases without a template of their own; None means plain.
    parameters: how many weights; layers, hidden, vocabulary: their shape, for the estimate of memory.
    gated: its owner's terms must be accepted on the hub before it can be fetched.
    formerly: other ids under which it is known, such as those in the original's scripts.
    """

    id: str
    description: str
    licence: str
    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    format: str | None = None
    gated: bool = False
    formerly: tuple[str, ...] = ()


_GEMMA = "Gemma Terms of Use"
_LLAMA = "Llama Community License"
_APACHE = "Apache-2.0"

BASES: dict[str, Preset] = {
    EMBEDDED: Preset(
        id="google/gemma-3-270m (Q4_K_M)",
        description="随安装自带，不需联网；CPU 上几分钟可调好",
        licence=_GEMMA,
        parameters=268_098_176,
        layers=18,
        hidden=640,
        vocabulary=262_144,
    ),
    "gemma-3-270m-it": Preset(
        id="google/gemma-3-270m-it",
        description="与自带基座同族，已作指令微调",
        licence=_GEMMA,
        parameters=268_098_176,
        layers=18,
        hidden=640,
        vocabulary=262_144,
        gated=True,
    ),
    "gemma-3-1b-it": Preset(
        id="google/gemma-3-1b-it",
        description="小型指令模型",
        licence=_GEMMA,
        parameters=999_885_952,
        layers=26,
        hidden=1152,
        vocabulary=262_144,
        gated=True,
    ),
    "qwen3-0.6b": Preset(
        id="Qwen/Qwen3-0.6B",
        description="中文好，无 GPU 也可试",
        licence=_APACHE,
        parameters=596_049_920,
        layers=28,
        hidden=1024,
        vocabulary=151_936,
    ),
    "qwen3-1.7b": Preset(
        id="Qwen/Qwen3-1.7B",
        description="中文好，8 GB 显存可微调",
        licence=_APACHE,
        parameters=1_720_574_976,
        layers=28,
        hidden=2048,
        vocabulary=151_936,
    ),
    "qwen3-4b": Preset(
        id="Qwen/Qwen3-4B",
        description="中文好，质量与开销均衡",
        licence=_APACHE,
        parameters=4_022_468_096,
        layers=36,
        hidden=2560,
        vocabulary=151_936,
    ),
    "qwen3-8b": Preset(
        id="Qwen/Qwen3-8B",
        description="中文好，单张 24 GB 显卡可微调",
        licence=_APACHE,
        parameters=8_190_735_360,
        layers=36,
        hidden=4096,
        vocabulary=151_936,
    ),
    "llama-3.2-1b": Preset(
        id="meta-llama/Llama-3.2-1B-Instruct",
        description="英文为主的小型指令模型",
        licence=_LLAMA,
        parameters=1_235_814_400,
        layers=16,
        hidden=2048,
        vocabulary=128_256,
        gated=True,
    ),
    "llama-3.1-8b": Preset(
        id="meta-llama/Llama-3.1-8B-Instruct",
        description="英文为主的指令模型",
        licence=_LLAMA,
        parameters=8_030_261_248,
        layers=32,
        hidden=4096,
        vocabulary=128_256,
        gated=True,
    ),
    "glm-4-9b": Preset(
        id="zai-org/glm-4-9b-chat-hf",
        description="中文对话模型（ChatGLM 的后继）",
        licence="GLM-4 License",
        parameters=9_399_951_360,
        layers=40,
        hidden=4096,
        vocabulary=151_552,
        formerly=("THUDM/glm-4-9b-chat-hf",),
    ),
    "bloomz-7b": Preset(
        id="bigscience/bloomz-7b1",
        description="多语言，活字的同族",
        licence="BigScience RAIL 1.0",
        parameters=7_069_016_064,
        layers=30,
        hidden=4096,
        vocabulary=250_880,
        format="bloom_deploy",
    ),
    "huozi-7b": Preset(
        id="HIT-SCIR/huozi-7b-sft",
        description="活字 1.0（BLOOM），原项目的基座之一",
        licence=_APACHE,
        parameters=7_069_016_064,
        layers=30,
        hidden=4096,
        vocabulary=250_880,
        format="bloom_deploy",
    ),
    "llama-7b": Preset(
        id="huggyllama/llama-7b",
        description="第一代 LLaMA，原项目的基座",
        licence="LLaMA License (non-commercial)",
        parameters=6_738_415_616,
        layers=32,
        hidden=4096,
        vocabulary=32_000,
        format="med_template",
        formerly=("decapoda-research/llama-7b-hf",),
    ),
}
"""The bases by short name, the default first."""


def find_preset(name: str) -> Preset | None:
    """The preset of a short name, or of one of the hub ids it is known by; None for other bases."""
    for short, preset in BASES.items():
        if name.lower() in (known.lower() for known in (short, preset.id, *preset.formerly)):
            return preset
    return None
