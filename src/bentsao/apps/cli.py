"""The command line: `bentsao <verb>`. Commands are loaded when they are called, so that `--help` is quick."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import NoReturn

import cyclopts
from rich.console import Console

from bentsao import __version__
from bentsao.apps.commands.verbs import Line, verb
from bentsao.apps.help_pages import error_line
from bentsao.apps.terminal import plain_markup
from bentsao.core.errors import BentsaoError, os_reason

COMMANDS = {
    "demo": ("bentsao.apps.commands.demo:demo", "从示例知识库到带引用的回答与报告，走完全程"),
    "doctor": ("bentsao.apps.commands.doctor:doctor", "这台机器能做什么，还缺什么"),
    "kb": ("bentsao.apps.commands.kb:app", "知识库：导入、查看、检索、检查、比较、导出"),
    "build": ("bentsao.apps.commands.build:app", "从知识库和文献构造训练数据"),
    "bases": ("bentsao.apps.commands.bases:app", "基座：列出、检查、取到本机、查看、转换"),
    "finetune": ("bentsao.apps.commands.finetune:finetune", "微调基座，写出适配器"),
    "adapters": ("bentsao.apps.commands.adapters:app", "适配器：查看、转换旧格式、合成、比较"),
    "answer": ("bentsao.apps.commands.answer:answer", "依据知识库回答一个问题，列出依据"),
    "chat": ("bentsao.apps.commands.chat:chat", "在终端里多轮对话"),
    "infer": ("bentsao.apps.commands.infer:infer", "回答一个文件里的问题"),
    "serve": ("bentsao.apps.commands.serve:serve", "OpenAI 兼容的 API 与网页"),
    "evaluate": ("bentsao.apps.commands.evaluate:app", "评测：带区间的分数，裁判，人评，对照"),
    "experiment": ("bentsao.apps.commands.experiment:app", "实验：从知识库到带区间的结果"),
    "bundle": ("bentsao.apps.commands.bundle:app", "把适配器、知识库与策略做成一个包"),
    "export": ("bentsao.apps.commands.export:export", "导出到别的运行时，并打开核对"),
}
"""The verbs in the order of the work: where each is, and what it is for; add one here."""

PURPOSE = """本草：把医学知识变成可信的中文医学语言模型。回答由模型生成，不构成诊断或治疗建议。

例：

bentsao doctor
bentsao demo --out demo
bentsao answer 布洛芬有哪些禁忌？
bentsao finetune --help
"""


def build() -> cyclopts.App:
    """The command line application with all its verbs."""
    app = verb(
        "bentsao",
        PURPOSE,
        version=__version__,
        kind=Line,
    )
    app.error_formatter = error_line
    app["--help"].help, app["--version"].help = "显示说明；每个命令都有", "显示版本"
    for place, (name, (where, purpose)) in enumerate(COMMANDS.items()):
        app.command(where, name=name, help=purpose, sort_key=place)
    return app


def main() -> None:
    """The `bentsao` script: errors that are the user's to solve are printed without a traceback, with exit code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Other libraries' advice to developers is no help to users; ours comes as errors and notes.
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        build()()
    except BentsaoError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader has gone (`| head`); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        place = f"{error.filename}：" if error.filename else ""
        _fail(f"{place}{os_reason(error)}。请检查路径、权限与磁盘空间。")
    except KeyboardInterrupt:
        Console(stderr=True).print("\n已中断。")
        sys.exit(130)


def _fail(message: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(f"[bold red]错误：[/]{plain_markup(message)}", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
