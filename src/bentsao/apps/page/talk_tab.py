"""The first tab in gradio: the conversation, how it is to be answered, what of the knowledge base it is about."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from bentsao.apps.page import asking, views
from bentsao.apps.page.browsing import Shelf
from bentsao.apps.page.feedback import Feedback
from bentsao.apps.page.talk import Talk, decoding_of
from bentsao.apps.server.serving import Service
from bentsao.core.errors import BentsaoError
from bentsao.inference.decoding import Decoding

AT_ONCE = 32
"""Questions under way from the page; more wait."""

_FIELDS: dict[str, dict[str, Any]] = {
    "max_new_tokens": {"minimum": 16, "maximum": 1024, "step": 16, "label": "回答最多多少 token"},
    "temperature": {"minimum": 0, "maximum": 1.5, "step": 0.05, "label": "温度（0：每次都一样）"},
    "top_p": {"minimum": 0.05, "maximum": 1, "step": 0.05, "label": "top-p（温度大于 0 时）"},
    "top_k": {"minimum": 0, "maximum": 100, "step": 1, "label": "top-k（温度大于 0 时；0：不限）"},
    "beams": {"minimum": 1, "maximum": 8, "step": 1, "label": "束数（1：不用；多束时回答一次给出）"},
    "repetition_penalty": {"minimum": 0.8, "maximum": 2, "step": 0.05, "label": "重复惩罚（1：不惩罚）"},
    "no_repeat_ngram": {"minimum": 0, "maximum": 20, "step": 1, "label": "不重复的片段长度（0：不限）"},
}
_QUIET: dict[str, Any] = {"show_progress": "hidden"}


@dataclass(frozen=True)
class _Parts:
    """What stands on the tab. state: the visitor's own Talk; fields: of the decoding, by name."""

    state: Any
    shown: Any
    question: Any
    send: Any
    stop: Any
    anew: Any
    ratings: dict[int, Any]
    export: Any
    model: Any
    grounded: Any
    fields: dict[str, Any]
    which: Any
    card: Any


def talk_tab(page: gr.Blocks, service: Service, shelf: Shelf | None, feedback: Feedback | None) -> None:
    """Build it in the page. shelf: None without a knowledge base; feedback: None where no ratings are kept."""
    parts = _laid_out(service, shelf, feedback)
    _connect_asking(parts, service, shelf)
    _connect_choices(page, parts, service, shelf)
    if feedback is not None:
        _connect_ratings(parts, feedback)


def _laid_out(service: Service, shelf: Shelf | None, feedback: Feedback | None) -> _Parts:
    models = list(service.served)
    able = service.served[models[0]].grounded
    with gr.Row():
        with gr.Column(scale=7, min_width=320):
            shown = gr.HTML(views.talk_html(Talk.new()), elem_id="talk")
            with gr.Row():
                question = gr.Textbox(
                    show_label=False,
                    placeholder="在这里提问，按回车发送",
                    max_lines=6,
                    scale=8,
                    min_width=140,
                    elem_id="question",
                    container=False,
                )
                send = gr.Button("发送", variant="primary", scale=1, min_width=64)
                stop = gr.Button("停止", scale=1, min_width=64)
            with gr.Row():
                rated = {1: "有用", -1: "没用"} if feedback is not None else {}
                ratings = {rating: gr.Button(label, size="sm", min_width=64) for rating, label in rated.items()}
                anew = gr.Button("重新开始", size="sm", min_width=64)
            export = gr.HTML(views.export_html(Talk.new()))
            if feedback is not None:
                gr.HTML('<p class="export">评价会连同这一问一答保存在运行本服务的机器上。</p>')
        with gr.Column(scale=3, min_width=280):
            model = gr.Dropdown(models, value=models[0], label="模型")
            grounded = gr.Checkbox(
                label="依据知识库回答", value=able, interactive=able, info="回答带出处；知识库里没有的，就说没有。"
            )
            with gr.Accordion("解码设置", open=False):
                fields = _decoding_fields(service)
            with gr.Accordion("知识库里的条目", open=True, visible=shelf is not None):
                which = gr.Dropdown([], label="上一个回答说到的", interactive=True)
                card = gr.HTML()
    return _Parts(
        gr.State(Talk.new), shown, question, send, stop, anew, ratings, export, model, grounded, fields, which, card
    )


def _decoding_fields(service: Service) -> dict[str, Any]:
    usual = Decoding(max_new_tokens=min(service.limits.usual, service.limits.answer))
    fields: dict[str, Any] = {}
    for name, how in _FIELDS.items():
        most = min(how["maximum"], service.limits.answer) if name == "max_new_tokens" else how["maximum"]
        on = name not in ("top_p", "top_k")
        fields[name] = gr.Slider(**{**how, "maximum": most}, value=getattr(usual, name), interactive=on)
    label = "随机种子（温度大于 0 时）"
    fields["seed"] = gr.Number(value=0, precision=0, minimum=0, label=label, interactive=False)

    def by_chance(temperature: float) -> list[Any]:
        on = temperature > 0
        return [gr.Slider(interactive=on), gr.Slider(interactive=on), gr.Number(interactive=on)]

    chance = [fields[name] for name in ("top_p", "top_k", "seed")]
    fields["temperature"].change(by_chance, [fields["temperature"]], chance, **_QUIET)
    return fields


def _connect_asking(parts: _Parts, service: Service, shelf: Shelf | None) -> None:
    names = list(parts.fields)
    stops = asking.Stops()

    def ask(talk: Talk, text: str, name: str, on_facts: bool, *values: Any) -> Generator[tuple[Talk, str, str]]:
        """The conversation, again and again; what was typed is taken out of its box at once."""
        if not text.strip() or _is_under_way(talk):
            yield talk, views.talk_html(talk), text
            return
        try:
            decoding = decoding_of(dict(zip(names, values, strict=True)))
        except BentsaoError as error:
            raise gr.Error(str(error)) from None
        for now in asking.ask(service, talk, text.strip(), name, decoding, grounded=on_facts, stops=stops):
            yield now, views.talk_html(now), ""

    def ended(talk: Talk) -> tuple[Any, ...]:
        """After the answer: what can be saved, and what the answer was about."""
        entities = list(talk.turns[-1].entities) if talk.turns else []
        first = entities[0] if entities else None
        card = shelf.card(first) if shelf is not None and first else ""
        return talk, views.talk_html(talk), views.export_html(talk), gr.Dropdown(choices=entities, value=first), card

    after = [parts.state, parts.shown, parts.export, parts.which, parts.card]
    asked: dict[str, Any] = {
        "fn": ask,
        "inputs": [parts.state, parts.question, parts.model, parts.grounded, *parts.fields.values()],
        "outputs": [parts.state, parts.shown, parts.question],
        "concurrency_limit": AT_ONCE,
        **_QUIET,
    }
    events = [parts.question.submit(**asked), parts.send.click(**asked)]
    for event in events:
        event.then(ended, [parts.state], after, **_QUIET)
    parts.stop.click(stops.stop, [parts.state], None, **_QUIET)
    # An answer under way is only stopped: its last words would come after the new beginning.
    parts.anew.click(lambda talk: ended(talk if stops.stop(talk) else Talk.new()), [parts.state], after, **_QUIET)


def _is_under_way(talk: Talk) -> bool:
    return bool(talk.turns) and talk.turns[-1].finish == "writing"


def _connect_choices(page: gr.Blocks, parts: _Parts, service: Service, shelf: Shelf | None) -> None:
    def grounding(name: str, chosen: bool) -> Any:
        able = name in service.served and service.served[name].grounded
        return gr.Checkbox(value=chosen and able, interactive=able)

    def there_now(name: str) -> Any:
        """Adapters come and go while the service runs."""
        models = list(service.served)
        return gr.Dropdown(choices=models, value=name if name in models else models[0])

    page.load(there_now, [parts.model], [parts.model], **_QUIET)
    parts.model.focus(there_now, [parts.model], [parts.model], **_QUIET)
    parts.model.change(grounding, [parts.model, parts.grounded], [parts.grounded], **_QUIET)
    if shelf is not None:
        parts.which.input(lambda name: shelf.card(name or ""), [parts.which], [parts.card], **_QUIET)


def _connect_ratings(parts: _Parts, feedback: Feedback) -> None:
    def rater(rating: int) -> Callable[[Talk], tuple[Talk, str]]:
        def rate(talk: Talk) -> tuple[Talk, str]:
            if talk.turns and talk.turns[-1].finish not in ("writing", "error"):
                talk = talk.rated(rating)
                try:
                    feedback.keep(talk)
                except BentsaoError as error:
                    raise gr.Error(str(error)) from None
            return talk, views.talk_html(talk)

        return rate

    for rating, button in parts.ratings.items():
        button.click(rater(rating), [parts.state], [parts.state, parts.shown], **_QUIET)
