"""What grounded answering shares on the command line: its flags, opening it, and how answers and evidence are shown."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bentsao.apps.commands.kb_views import NOTICE as KB_NOTICE
from bentsao.apps.commands.model_flags import ModelChoice
from bentsao.apps.commands.opening import opened
from bentsao.apps.terminal import printable
from bentsao.core import grounding
from bentsao.core.errors import ConfigError
from bentsao.core.records import Evidence
from bentsao.inference.decoding import Decoding
from bentsao.inference.grounded.records import GroundedAnswer, Guard, Policy
from bentsao.inference.grounded.records import Path as Way
from bentsao.inference.notice import NOTICE
from bentsao.knowledge.contents import cited

if TYPE_CHECKING:
    from bentsao.inference.grounded import Answerer


@dataclass(frozen=True)
class GroundingChoice:
    """Where the facts come from, and what is done with them."""

    kb: Annotated[Path | None, Parameter(name="--kb", help="知识库文件；缺省为自带的示例知识库")] = None
    path: Annotated[
        Way | None,
        Parameter(
            help="由谁判断问的是什么：both 模型与链接器一起（缺省），model 只用模型，linker 只用链接器，"
            "bm25 全文检索，oracle 由 --entity 与 --attribute 给出"
        ),
    ] = None
    guard: Annotated[
        Guard | None,
        Parameter(help="回答里没有依据的话：remove 删去（缺省），mark 标出（没有依据的数字仍删去），off 不检查"),
    ] = None
    bundle: Annotated[
        Path | None, Parameter(help="用 `bentsao bundle make` 做成的包回答：适配器、知识库与策略都在其中")
    ] = None
    no_model: Annotated[bool, Parameter(help="不用模型，只列出知识库里的事实", negative=())] = False

    @property
    def notice(self) -> str:
        """What stands under every answer."""
        return str(KB_NOTICE) if self.no_model else NOTICE

    def policy(self, default: Way = "both") -> Policy:
        """The policy that the flags ask for."""
        path = self.path or ("linker" if self.no_model and default == "both" else default)
        if self.no_model and path in ("both", "model"):
            raise ConfigError(f"--path {path} 要用模型，不能与 --no-model 同用。请改用 --path linker 或 bm25。")
        return Policy(path=path, guard=self.guard or "remove")


GROUNDING = GroundingChoice()
Grounding = Annotated[GroundingChoice, Parameter(name="*", group="依据知识库")]


def is_grounded(choice: GroundingChoice, *, flag: bool) -> bool:
    """Whether a command with a plain mode too is to answer from facts: by its flag, or by naming a bundle.

    Raises ConfigError where the other flags of grounded answering are given without it, and for the path "oracle".
    """
    if not flag and choice.bundle is None and choice != GroundingChoice():
        raise ConfigError("--kb、--path、--guard、--no-model 只用于依据知识库的回答。请加上 --grounded，或去掉它们。")
    if choice.path == "oracle":
        raise ConfigError("--path oracle 要给出问的是哪个实体，只用于 bentsao answer。请换一个 --path。")
    return flag or choice.bundle is not None


@contextmanager
def opened_answerer(
    choice: GroundingChoice, model: ModelChoice, decoding: Decoding, *, default: Way = "both"
) -> Generator[Answerer]:
    """The answerer that the flags ask for. default: the path where none is named.

    Raises ConfigError where flags do not go together.
    """
    from bentsao.inference.grounded import Answerer

    if choice.bundle is not None:
        with _opened_bundle(choice, model, decoding) as answerer:
            yield answerer
        return
    policy = choice.policy(default)
    with opened(choice.kb) as kb:
        yield Answerer(None if choice.no_model else model.open(), kb, policy, decoding=decoding)


@contextmanager
def _opened_bundle(choice: GroundingChoice, model: ModelChoice, decoding: Decoding) -> Generator[Answerer]:
    from bentsao.inference.grounded import Answerer
    from bentsao.inference.grounded.bundle import open_bundle

    named = (model.adapter, model.base, model.chat_format)
    if choice.bundle is None or choice != GroundingChoice(bundle=choice.bundle) or any(named) or not model.use_lora:
        raise ConfigError(
            "--bundle 里已有适配器、对话格式、知识库与策略，不能与 --adapter、--base、--format、--kb、--path、--guard、"
            "--no-model 同用。请去掉它们，或不用 --bundle。"
        )
    bundle = open_bundle(choice.bundle)
    with bundle.opened_kb() as kb:
        engine = model.with_adapter(bundle.adapter).open()
        yield Answerer(engine, kb, bundle.policy, decoding=decoding, bundle=bundle.hash)


def answer_json(answer: GroundedAnswer) -> dict[str, Any]:
    """The form that programs rely on."""
    kept = ("answer", "entities", "attributes", "evidence", "abstained", "path", "ask_back")
    whole = answer.model_dump(mode="json")
    return {
        **{key: whole[key] for key in kept},
        "removed": [{"text": text, "reason": reason} for text, reason in answer.removed],
        "gaps": [{"entity": gap.entity, "attribute": gap.attribute} for gap in answer.gaps],
        "bundle": answer.bundle,
        "alarm": whole["alarm"],
        "cautions": whole["cautions"],
    }


def evidence_line(item: Evidence) -> str:
    """A fact with its number, and who says so, as it may stand on a terminal."""
    fact = item.fact
    condition = f"（{fact.qualifier}）" if fact.qualifier else ""
    said = f"{fact.subject}·{fact.attribute}{condition}：{'；'.join(fact.values)}"
    return printable(" ".join(f"{grounding.mark(item.number)} {said} —— {cited(fact)}".split()))


def show_answer(answer: GroundedAnswer) -> None:
    """Print an answer, what it stands on, and what was left out of it."""
    print(printable(answer.answer))
    if answer.evidence:
        print("依据：")
        print(*map(evidence_line, answer.evidence), sep="\n")
    if answer.left_out:
        print(f"（知识库里还有 {answer.left_out} 个值，这里没有列出。）")
    if answer.finish == "length":
        print(f"（模型到达长度上限，没有说完{'；以上是资料原文' if answer.removed else ''}。）")
    elif answer.removed:
        stays = any(text in answer.answer for text, _ in answer.removed)
        print(f"（模型的回答里有 {len(answer.removed)} 处没有依据，已经{'标出' if stays else '删去'}。）")
    if answer.bundle:
        print(f"（由包 {answer.bundle[:16]} 回答。）")
    for line in answer.cautions:
        print(f"提醒：{line}")
