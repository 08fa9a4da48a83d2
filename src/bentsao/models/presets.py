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
    start, ends: the marks before a text and those that end a turn or a text, as the tokenizer writes them.
    targets: the layers of the attention, for LoRA. gated: its owner's terms must be accepted on the hub before it can
    be fetched. formerly: other ids under which it is known, such as those in the original's scripts.
    remote_code: whether transformers has no class of its own for it. notes: what is special about it.
    """

    id: str
    description: str
    licence: str
    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    format: str | None = None
    start: str = ""
    ends: tuple[str, ...] = ()
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    gated: bool = False
    formerly: tuple[str, ...] = ()
    remote_code: bool = False
    notes: str = ""


class Published(Record):
    """An adapter of the original. base, format: what it was tuned on and with; after: what that base had had merged
    into it before, None for nothing.
    """

    base: str
    format: str
    after: str | None = None


_GEMMA = "Gemma Terms of Use"
_LLAMA = "Llama Community License"
_APACHE = "Apache-2.0"
_THINKS = "--format base 不作思考，--format base-thinking 先思考；思考不算在回答里"

BASES: dict[str, Preset] = {
    EMBEDDED: Preset(
        id="google/gemma-3-270m (Q4_K_M)",
        description="随安装自带，不需联网；CPU 上几分钟可调好",
        licence=_GEMMA,
        parameters=268_098_176,
        layers=18,
        hidden=640,
        vocabulary=262_144,
        start="<bos>",
        ends=("<eos>",),
        notes="预训练模型，没有对话模板",
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
        start="<bos>",
        ends=("<end_of_turn>", "<eos>"),
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
        start="<bos>",
        ends=("<end_of_turn>", "<eos>"),
    ),
    "qwen3-0.6b": Preset(
        id="Qwen/Qwen3-0.6B",
        description="中文好，无 GPU 也可试",
        licence=_APACHE,
        parameters=596_049_920,
        layers=28,
        hidden=1024,
        vocabulary=151_936,
        ends=("<|im_end|>", "<|endoftext|>"),
        notes=_THINKS,
    ),
    "qwen3-1.7b": Preset(
        id="Qwen/Qwen3-1.7B",
        description="中文好，8 GB 显存可微调",
        licence=_APACHE,
        parameters=1_720_574_976,
        layers=28,
        hidden=2048,
        vocabulary=151_936,
        ends=("<|im_end|>", "<|endoftext|>"),
        notes=_THINKS,
    ),
    "qwen3-4b": Preset(
        id="Qwen/Qwen3-4B",
        description="中文好，质量与开销均衡",
        licence=_APACHE,
        parameters=4_022_468_096,
        layers=36,
        hidden=2560,
        vocabulary=151_936,
        ends=("<|im_end|>", "<|endoftext|>"),
        notes=_THINKS,
    ),
    "qwen3-8b": Preset(
        id="Qwen/Qwen3-8B",
        description="中文好，单张 24 GB 显卡可微调",
        licence=_APACHE,
        parameters=8_190_735_360,
        layers=36,
        hidden=4096,
        vocabulary=151_936,
        ends=("<|im_end|>", "<|endoftext|>"),
        notes=_THINKS,
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
        start="<|begin_of_text|>",
        ends=("<|eot_id|>", "<|end_of_text|>"),
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
        start="<|begin_of_text|>",
        ends=("<|eot_id|>", "<|end_of_text|>"),
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
        start="[gMASK]<sop>",
        ends=("<|user|>", "<|observation|>", "<|endoftext|>"),
        notes="transformers 自带的类，不需要远程代码；回答以下一轮的 <|user|> 结束",
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
        ends=("</s>",),
        targets=("query_key_value",),
        notes="输出层 25 万词，训练时只在所学的位置算",
    ),
    "huozi-7b": Preset(
        id="HIT-SCIR/huozi-7b-sft",
        description="活字 1.0（BLOOM），原项目的基座之一",
        licence=_APACHE,
        parameters=7_068_229_632,
        layers=30,
        hidden=4096,
        vocabulary=250_688,
        format="bloom_deploy",
        ends=("<|endofutterance|>", "<|endoftext|>", "</s>"),
        targets=("query_key_value",),
        notes="自己的结束符 <|endofutterance|> 与 <|endoftext|> 一律认作回答的结束",
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
        formerly=("decapoda-research/llama-7b-hf", "baffo32/decapoda-research-llama-7B-hf", "yahma/llama-7b-hf"),
        start="<s>",
        ends=("</s>",),
        notes="decapoda 的旧名改取这份干净的；本地的旧目录也能用，写错的特殊符与分词器类按 SentencePiece 模型改正",
    ),
    "alpaca-chinese-7b": Preset(
        id="hfl/chinese-alpaca-lora-7b",
        description="中文 Alpaca，原项目的基座之一；以适配器发布",
        licence="LLaMA License (non-commercial)",
        parameters=6_885_494_784,
        layers=32,
        hidden=4096,
        vocabulary=49_954,
        format="med_template",
        start="<s>",
        ends=("</s>",),
        formerly=("ziqingyang/chinese-alpaca-lora-7b",),
        notes="是 llama-7b 上的 LoRA，词表扩到 49,954，词嵌入与输出层存在适配器里；先合并，或叠着用：--adapter A+B",
    ),
    "chatglm-6b": Preset(
        id="zai-org/chatglm-6b",
        description="ChatGLM-6B-Med 的基座",
        licence="ChatGLM-6B License",
        parameters=6_173_286_400,
        layers=28,
        hidden=4096,
        vocabulary=130_528,
        format="chatglm",
        start="[gMASK]<sop>",
        ends=("<eop>",),
        targets=("query_key_value",),
        formerly=("THUDM/chatglm-6b",),
        notes="prefix-LM；用自己的类，不运行远程代码。Med 用 --format chatglm_med",
    ),
    "llama-3-8b": Preset(
        id="meta-llama/Meta-Llama-3-8B-Instruct",
        description="英文为主的指令模型",
        licence=_LLAMA,
        parameters=8_030_261_248,
        layers=32,
        hidden=4096,
        vocabulary=128_256,
        start="<|begin_of_text|>",
        ends=("<|eot_id|>", "<|end_of_text|>"),
        gated=True,
    ),
    "internlm3-8b": Preset(
        id="internlm/internlm3-8b-instruct",
        description="书生·浦语，中文对话模型",
        licence=_APACHE,
        parameters=8_804_241_408,
        layers=48,
        hidden=4096,
        vocabulary=128_512,
        start="<s>",
        ends=("<|im_end|>", "</s>"),
        notes="transformers 自带的类；1、2 代只有远程代码，请换用 3 代",
    ),
    "minicpm3-4b": Preset(
        id="openbmb/MiniCPM3-4B",
        description="面壁小钢炮，中文对话模型",
        licence=_APACHE,
        parameters=4_073_875_968,
        layers=62,
        hidden=2560,
        vocabulary=73_448,
        start="<s>",
        ends=("<|im_end|>", "</s>"),
        targets=("q_b_proj", "kv_b_proj"),
        notes="transformers 自带的类；config.json 里没有 model_type，按 architectures 认",
    ),
    "baichuan2-7b": Preset(
        id="baichuan-inc/Baichuan2-7B-Chat",
        description="百川 2，中文对话模型",
        licence="Baichuan2 Community License",
        parameters=7_505_973_248,
        layers=32,
        hidden=4096,
        vocabulary=125_696,
        ends=("</s>",),
        targets=("W_pack",),
        remote_code=True,
        notes="先转成 LLaMA 的形状：bentsao bases convert baichuan2-7b --out DIR，就不需要远程代码",
    ),
}
"""The bases by short name, the default first."""


def find_preset(name: str) -> Preset | None:
    """The preset of a short name, or of one of the hub ids it is known by; None for other bases."""
    for short, preset in BASES.items():
        if name.lower() in (known.lower() for known in (short, preset.id, *preset.formerly)):
            return preset
    return None


_ALPACA = "hfl/chinese-alpaca-lora-7b"
PUBLISHED: dict[str, Published] = {
    "thinksoso/lora-llama-med": Published(base="huggyllama/llama-7b", format="med_template"),
    "lovepon/lora-llama-literature": Published(base="huggyllama/llama-7b", format="literature_template"),
    "lovepon/lora-alpaca-med": Published(base="huggyllama/llama-7b", format="med_template", after=_ALPACA),
    "lovepon/lora-alpaca-med-alldata": Published(base="huggyllama/llama-7b", format="med_template", after=_ALPACA),
    "lovepon/lora-bloom-med-bloom": Published(base="bigscience/bloomz-7b1", format="bloom_deploy"),
}
"""The original's adapters by Hugging Face id. They hold no chat format, and as base a folder of who tuned them."""


def find_published(name: str) -> Published | None:
    """The original's adapter of that hub id, or that lies in a folder of its name; None for others."""
    last = name.rstrip("/").rpartition("/")[2].lower()
    return next((known for hub_id, known in PUBLISHED.items() if hub_id.lower().rpartition("/")[2] == last), None)
