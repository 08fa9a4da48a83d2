"""The command line: `bentsao <verb>`. Commands are loaded when they are called, so that `--help` is quick."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import NoReturn

import cyclopts
from rich.console import Console
from rich.markup import escape

from bentsao import __version__
from bentsao.core.errors import BentsaoError

COMMANDS = {
    "answer": "bentsao.apps.commands.answer:answer",
    "bundle": "bentsao.apps.commands.bundle:app",
    "finetune": "bentsao.apps.commands.finetune:finetune",
    "infer": "bentsao.apps.commands.infer:infer",
    "chat": "bentsao.apps.commands.chat:chat",
    "serve": "bentsao.apps.commands.serve:serve",
    "kb": "bentsao.apps.commands.kb:app",
    "build": "bentsao.apps.commands.build:app",
    "evaluate": "bentsao.apps.commands.evaluate:app",
    "experiment": "bentsao.apps.commands.experiment:app",
    "adapters": "bentsao.apps.commands.adapters:app",
    "bases": "bentsao.apps.commands.bases:app",
    "export": "bentsao.apps.commands.export:export",
    "doctor": "bentsao.apps.commands.doctor:doctor",
    "demo": "bentsao.apps.commands.demo:demo",
}
"""The verbs, and where each is; add one here."""


def build() -> cyclopts.App:
    """The command line application with all its verbs."""
    app = cyclopts.App(
        name="bentsao",
        help="本草：把医学知识变成可信的中文医学语言模型。回答由模型生成，不构成诊断或治疗建议。",
        version=__version__,
    )
    for name, where in COMMANDS.items():
        app.command(where, name=name)
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
        _fail(f"{place}{error.strerror or error}。请检查路径、权限与磁盘空间。")
    except KeyboardInterrupt:
        Console(stderr=True).print("\n已中断。")
        sys.exit(130)


def _fail(message: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(f"[bold red]错误：[/]{escape(message)}", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
