"""`bentsao bundle`: adapter, knowledge base and policy under one hash; what changes from one bundle to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import RenderableType

from bentsao.apps.commands import kb_views as views
from bentsao.apps.commands.grounded import answer_json
from bentsao.apps.commands.kb_import import Json
from bentsao.apps.commands.model_flags import GREEDY, MODEL, Drawing, Model, ModelChoice
from bentsao.apps.commands.opening import Kb, kb_path
from bentsao.apps.commands.verbs import verb
from bentsao.core.conversations import read_questions
from bentsao.core.errors import ConfigError
from bentsao.inference.decoding import Decoding
from bentsao.inference.grounded.batch import as_grounded
from bentsao.inference.grounded.comparing import Change, changes
from bentsao.inference.grounded.records import GroundedAnswer, GroundedQuestion, Guard, Policy
from bentsao.inference.grounded.records import Path as Way
from bentsao.models.shipped import shipped_adapter

if TYPE_CHECKING:
    from bentsao.inference.grounded.bundle import Bundle

app = verb("bundle")

Folder = Annotated[Path, Parameter(help="包的目录")]


@app.command
def make(
    *,
    out: Annotated[Path, Parameter(help="写到哪个新目录")],
    adapter: Annotated[Path | None, Parameter(help="适配器目录；缺省为随项目发布的")] = None,
    kb: Kb = None,
    path: Annotated[Way, Parameter(help="由谁判断问的是什么；见 bentsao answer --help")] = "both",
    guard: Annotated[Guard, Parameter(help="回答里没有依据的话：remove 删去，mark 标出，off 不检查")] = "remove",
    json: Json = False,
) -> None:
    """把适配器、知识库与策略做成一个包。

    例：

        bentsao bundle make --adapter runs/my --kb my.kb --out my-bundle
    """
    from bentsao.inference.grounded.bundle import make_bundle

    chosen = adapter or shipped_adapter()
    if chosen is None:
        raise ConfigError("没有指定适配器。请用 --adapter DIR 给出适配器目录。")
    if path == "oracle":
        raise ConfigError("--path oracle 要人给出每个问题的实体，不能做成包的策略。请换一个。")
    _show(make_bundle(chosen, kb_path(kb), Policy(path=path, guard=guard), out), json=json)


@app.command
def show(bundle: Folder, /, *, json: Json = False) -> None:
    """检查一个包，并列出它的各部分。

    例：

        bentsao bundle show my-bundle
    """
    from bentsao.inference.grounded.bundle import open_bundle

    _show(open_bundle(bundle), json=json)


@app.command
def diff(
    before: Annotated[Path, Parameter(help="旧的包")],
    after: Annotated[Path, Parameter(help="新的包")],
    /,
    *,
    questions: Annotated[Path, Parameter(help="问题文件：JSON、JSON 行或每行一个问题的文本")],
    model: Model = MODEL,
    decoding: Drawing = GREEDY,
    json: Json = False,
) -> None:
    """用两个包回答同一些问题：哪些回答变了，依据的事实变了什么。

    例：

        bentsao bundle diff 旧包 新包 --questions 问题.txt
    """
    from bentsao.inference.grounded.bundle import open_bundle

    if model.adapter is not None or model.base is not None or model.chat_format is not None:
        raise ConfigError("两个包里各有适配器与对话格式，不能再给 --adapter、--base 或 --format。请去掉它们。")
    asked = list(map(as_grounded, read_questions(questions)))
    bundles = (open_bundle(before), open_bundle(after))
    found = list(changes(*_answers(bundles, model, decoding, asked)))
    if json:
        views.print_json(
            {
                "before": bundles[0].hash,
                "after": bundles[1].hash,
                "questions": len(asked),
                "changes": [_change_json(change) for change in found],
            }
        )
    else:
        views.display(*map(_shown, found), f"{len(asked)} 个问题中有 {len(found)} 个的回答或依据不同。", views.NOTICE)


def _answers(
    bundles: tuple[Bundle, Bundle], model: ModelChoice, decoding: Decoding, asked: list[GroundedQuestion]
) -> list[list[GroundedAnswer]]:
    """The answers of both; the model is opened once where both have the same."""
    from bentsao.inference.grounded import Answerer

    out: list[list[GroundedAnswer]] = []
    engines: dict[tuple[object, ...], Any] = {}
    for bundle in bundles:
        if bundle.engine_parts not in engines:
            engines.clear()  # two models need not be in memory at once
            engines[bundle.engine_parts] = model.with_adapter(bundle.adapter).open()
        with bundle.opened_kb() as kb:
            engine = engines[bundle.engine_parts]
            out.append(Answerer(engine, kb, bundle.policy, decoding=decoding, bundle=bundle.hash).answer(asked))
    return out


def _show(bundle: Bundle, *, json: bool) -> None:
    contents = bundle.contents
    if json:
        views.print_json({**contents.model_dump(), "policy": bundle.policy.model_dump()})
        return
    table = views.table_of("部分", "SHA-256")
    for name, sha in contents.parts.items():
        table.add_row(views.plain(name), sha[:16])
    revision = f"@{contents.base_revision}" if contents.base_revision else ""
    policy = "，".join(f"{name}={value}" for name, value in bundle.policy.model_dump().items())
    views.display(f"包 {contents.hash}", table, views.plain(f"基座：{contents.base}{revision}"), f"策略：{policy}")


def _shown(change: Change) -> RenderableType:
    table = views.table_of("", "旧", "新", title=views.plain(change.question).plain)
    table.add_row("回答", views.plain(change.before.answer), views.plain(change.after.answer))
    if change.gone or change.new:
        table.add_row("事实", views.plain("\n".join(change.gone)), views.plain("\n".join(change.new)))
    return table


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "question": change.question,
        "before": answer_json(change.before),
        "after": answer_json(change.after),
        "facts": {"gone": change.gone, "new": change.new},
    }
