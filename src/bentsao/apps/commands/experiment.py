"""`bentsao experiment`: experiments that run the whole line, each with one command."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from bentsao.apps.commands.grounded import GROUNDING, Grounding, opened_answerer
from bentsao.apps.commands.kb_import import Json
from bentsao.apps.commands.kb_views import print_json
from bentsao.apps.commands.model_flags import GREEDY, MODEL, Drawing, Model
from bentsao.apps.commands.opening import Kb, opened
from bentsao.apps.commands.verbs import verb
from bentsao.core.errors import ConfigError
from bentsao.core.files import write_text
from bentsao.evaluation.grounding import Score

app = verb("experiment")


@app.command(name="knowledge-tuning")
def knowledge_tuning(
    *,
    out: Annotated[Path, Parameter(help="数据、适配器、回答与报告写到哪个目录；中断后同样的命令接着做")],
    kb: Kb = None,
    rows: Annotated[int, Parameter(help="每个微调系统的训练行数")] = 300,
    epochs: Annotated[float, Parameter(help="训练几遍")] = 2,
    questions: Annotated[int, Parameter(help="写几个问题；另加一半的真假前提和八分之一的不认识的实体")] = 120,
    baseline_questions: Annotated[int, Parameter(help="其中几个也问不带知识库的系统（它们答得长，慢）")] = 40,
    answer_tokens: Annotated[int, Parameter(help="每个回答最多的 token 数")] = 200,
    sizes: Annotated[str, Parameter(help="再用这些行数各训练一个，画出曲线，如 50,200")] = "",
    by_hand: Annotated[Path | None, Parameter(help="另外一份手写的问题（JSON 行）")] = None,
    base: Annotated[str, Parameter(help="基座")] = "embedded",
    adapter: Annotated[Path | None, Parameter(help="用现成的知识微调适配器，不再训练")] = None,
    instruct: Annotated[Path | None, Parameter(help="用现成的指令微调适配器，不再训练")] = None,
    trained_on: Annotated[
        tuple[Path, ...], Parameter(help="现成的适配器的训练数据：其中出现过的实体不用来提问", consume_multiple=True)
    ] = (),
    seed: Annotated[int, Parameter(help="随机种子")] = 42,
) -> None:
    """基座、指令微调、检索不微调、知识微调、给对事实，在没有学过的实体和问法上比较。

    例：

        bentsao experiment knowledge-tuning --out runs/kt --rows 200 --questions 60
    """
    from bentsao.apps.experiments.knowledge_tuning import Setting, run
    from bentsao.apps.reports.experiment import page
    from bentsao.apps.training_view import TrainingView

    try:
        several = tuple(int(size) for size in sizes.replace("，", ",").split(",") if size.strip())
    except ValueError:
        raise ConfigError(f"--sizes {sizes} 应是用逗号隔开的整数，如 50,200。") from None
    if min(rows, questions, baseline_questions, answer_tokens, *several) < 1 or epochs <= 0:
        raise ConfigError("--rows、--questions、--baseline-questions、--answer-tokens、--sizes、--epochs 都应大于 0。")
    setting = Setting(
        rows=rows,
        epochs=epochs,
        questions=questions,
        baseline_questions=baseline_questions,
        answer_tokens=answer_tokens,
        sizes=several,
        seed=seed,
        base=base,
        adapter=adapter,
        instruct=instruct,
        trained_on=trained_on,
        by_hand=by_hand,
    )
    view = TrainingView(Console())
    with opened(kb) as store:
        result = run(store, setting, out, view)
    write_text(out / "report.html", page(result))
    for name, by_system in result.scores.items():
        show(view.console, name, by_system)
    view.note(f"报告：{out / 'report.html'}")


@app.command(name="swap-facts")
def swap_facts(
    *,
    swaps: Annotated[int, Parameter(help="换掉知识库里的几个值")] = 100,
    seed: Annotated[int, Parameter(help="随机种子")] = 42,
    grounding: Grounding = GROUNDING,
    model: Model = MODEL,
    decoding: Drawing = GREEDY,
    json: Json = False,
) -> None:
    """回答是否跟着知识库走：换掉一些值，换前换后各问一遍，看回答是否随之改变。知识库本身不动。

    例：

        bentsao experiment swap-facts --swaps 20

        bentsao experiment swap-facts --kb my.kb --adapter runs/my --path oracle
    """
    from bentsao.inference.grounded import Answerer
    from bentsao.inference.grounded.following import follow_swaps
    from bentsao.knowledge.swapping import swapped_copy

    if swaps < 1:
        raise ConfigError("--swaps 应大于 0。")
    with opened_answerer(grounding, model, decoding) as before, TemporaryDirectory() as folder:
        exchanged = swapped_copy(before.kb, Path(folder) / "swapped.kb", swaps, seed=seed)
        with opened(Path(folder) / "swapped.kb") as copy:
            after = Answerer(before.engine, copy, before.policy, decoding=before.decoding)
            found = follow_swaps(before, after, exchanged)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    print(f"换了 {found.swaps} 个值。换之前答出原值：{found.said_before}；换之后答新值、不再答原值：{found.followed}。")
    for swap in found.lagging:
        print(f"  没有跟上：{swap.entity}·{swap.attribute}：{swap.old} → {swap.new}")


def show(console: Console, name: str, by_system: dict[str, list[Score]]) -> None:
    """The table of one set of questions on the terminal."""
    from bentsao.apps.experiments.systems import TITLES
    from bentsao.apps.reports.experiment import MEASURES, SETS
    from bentsao.evaluation.grounding_figures import figures

    table = Table(title=SETS.get(name, name))
    table.add_column("", overflow="fold")
    found = {system: figures(scores) for system, scores in by_system.items()}
    for system in found:
        table.add_column(TITLES.get(system, system), justify="right", overflow="fold")
    for measure, title in MEASURES.items():
        cells = [one[measure].value for one in found.values()]
        table.add_row(title, *("—" if value is None else f"{value:.3f}" for value in cells))
    console.print(table)
