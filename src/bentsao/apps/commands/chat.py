"""`bentsao chat`: talk with a model in the terminal, or through a pipe; with `--grounded`, from a knowledge base."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bentsao.apps.commands.grounded import (
    GROUNDING,
    Grounding,
    evidence_line,
    is_grounded,
    opened_answerer,
    show_answer,
)
from bentsao.apps.commands.model_flags import GREEDY, MODEL, Drawing, Model, caution_lines, warn
from bentsao.apps.terminal import printable
from bentsao.core.errors import BentsaoError, ConfigError
from bentsao.inference.grounded.session import GroundedSession
from bentsao.inference.notice import NOTICE
from bentsao.inference.session import Session

HELP = """\
/help        显示这些命令
/reset       忘掉之前的对话，重新开始
/save FILE   把对话存成一行 JSONL，可用来微调
/quit        退出（也可以按 Ctrl-D）
回答时按 Ctrl-C 停止这个回答。"""

GROUNDED_HELP = f"/facts       再看一遍最近的依据\n{HELP}"
_LEAVING = frozenset({"/quit", "/exit", "exit", "quit", "退出", "再见", "拜拜"})


def chat(
    *,
    grounded: Annotated[
        bool, Parameter(help="依据知识库回答，每个回答后列出依据（见 bentsao answer）", negative=())
    ] = False,
    grounding: Grounding = GROUNDING,
    model: Model = MODEL,
    decoding: Drawing = GREEDY,
    system: Annotated[str | None, Parameter(help="系统消息：整个对话里都放在最前面")] = None,
) -> None:
    """在终端里与模型多轮对话；也可以从管道读入，每行一个问题。

    例：

        bentsao chat --grounded
    """
    with suppress(ImportError):
        import_module("readline")  # from here on, `input` has arrow keys and a history
    if is_grounded(grounding, flag=grounded):
        if system is not None:
            raise ConfigError("--system 不与 --grounded 同用：依据知识库的回答有自己的提示。请去掉其中一个。")
        with opened_answerer(grounding, model, decoding) as answerer:
            session = GroundedSession(answerer)
            _talk(session, lambda line: _grounded_turn(session, line), GROUNDED_HELP, grounding.notice)
    else:
        session = Session(model.open(), decoding, system=system)
        _talk(session, lambda line: _turn(session, line), HELP, NOTICE)


def _talk(session: Session | GroundedSession, turn: Callable[[str], None], help_text: str, notice: str) -> None:
    """Take lines until the user goes; turn: ask what a line says and show the answer."""
    print(f"{notice}\n输入 /help 查看命令。")
    while (line := _next_line()) is not None:
        word, _, rest = line.partition(" ")
        try:
            if line.lower() in _LEAVING:
                break
            if word.startswith("/"):
                _command(session, word, rest.strip(), help_text)
            elif line:
                turn(line)
        except (BentsaoError, OSError) as error:
            print(f"出错：{error}")
        except KeyboardInterrupt:
            print("\n（已停止。这一轮不计入对话。）")


def _next_line() -> str | None:
    """What the user types next, without blanks around it; None at the end of input."""
    at_terminal = sys.stdin.isatty()
    while True:
        try:
            line = input("你：" if at_terminal else "")
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            if not at_terminal:
                raise
            print("\n（输入 /quit 退出。）")
            continue
        # Bytes that are not UTF-8 come as lone surrogates, which no tokenizer takes.
        line = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()
        if not at_terminal:
            print(f"你：{printable(line)}")
        return line


def _command(session: Session | GroundedSession, word: str, rest: str, help_text: str) -> None:
    if word == "/help":
        print(help_text)
    elif word == "/reset":
        session.reset()
        print("（已重新开始。）")
    elif word == "/facts" and isinstance(session, GroundedSession):
        print(*(map(evidence_line, session.facts) if session.facts else ["（还没有依据可列。）"]), sep="\n")
    elif word == "/save" and rest:
        left_out = session.save(Path(rest))
        note = f"；{left_out} 轮的回答是空的，没有写进去" if left_out else ""
        print(f"（已保存到 {rest}{note}。）")
    elif word == "/save":
        print("请给出文件名：/save FILE")
    else:
        print(f"没有命令 {printable(word)}。可用的命令：\n{help_text}")


def _turn(session: Session, question: str) -> None:
    """Ask and show the answer while it is written; Ctrl-C stops it and leaves the conversation as it was."""
    forgotten = session.forgotten
    warn(session.alarm(question))
    print("答：", end="", flush=True)
    answer = session.ask(question, lambda piece: print(printable(piece), end="", flush=True))
    print(caution_lines(answer.cautions))
    if answer.finish == "length":
        print(f"（到达 {answer.tokens} 个 token 的长度上限，回答没有说完；可用 --max-new-tokens 加长。）")
    if session.forgotten > forgotten:
        print(f"（上下文放不下全部历史，最早的 {session.forgotten} 轮不再带上。）")


def _grounded_turn(session: GroundedSession, question: str) -> None:
    """Ask and show the answer with its evidence. It comes whole: nothing is shown before it has been checked."""
    warn(session.alarm(question))
    print("答：", end="", flush=True)
    show_answer(session.ask(question))
