from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentsao.core.errors import ConfigError, ModelError
from bentsao.core.formats import FORMATS, from_base
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from bentsao.inference.decoding import Decoding
from bentsao.inference.engine import Engine, Generated, MemoryShortageError
from bentsao.inference.engines import ctranslate2_engine, ctranslate2_model
from bentsao.inference.engines.ctranslate2_engine import CTranslate2Engine
from bentsao.inference.engines.ctranslate2_model import best_threads
from bentsao.inference.engines.transformers_engine import TransformersEngine
from bentsao.models.converting import convert
from bentsao.models.fetching import locate
from bentsao.models.loading import load_base
from tests.doubles import END_ID, TEMPLATE, TURN_END_ID, Kind
from tests.inference.bases import tiny_folder
from tests.inference.engines.test_transformers_engine import QUESTIONS, exchange, log_probability

KINDS: tuple[Kind, ...] = ("llama", "gemma3", "bloom", "qwen3")
GREEDY = Decoding(max_new_tokens=24)
HOT = Decoding(max_new_tokens=24, temperature=1.5, seed=1)

Both = tuple[CTranslate2Engine, TransformersEngine]
Pair = Callable[..., Both]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Gives the engine and the reference on the same weights."""

    @functools.cache
    def open_both(kind: Kind = "llama", format_name: str = "plain", swap: tuple[int, int] | None = None) -> Both:
        folder = tiny_folder(tmp_path_factory.mktemp(kind), kind)
        base = load_base(str(folder), device="cpu")
        if swap:
            exchange(base.model, *swap)
            base.model.save_pretrained(folder)
        chat_format = from_base(TEMPLATE) if format_name == "base" else FORMATS["plain"]
        located = locate(str(folder), lambda _: None)
        made, account = convert(located, None, "float32", lambda: load_base(located, device="cpu"), lambda _: None)
        engine = CTranslate2Engine(made, account, base.tokens, chat_format, name=f"{kind} float32", threads=1)
        return engine, TransformersEngine(base, chat_format)

    return open_both


def prompts_of(engine: Engine, questions: tuple[str, ...] = QUESTIONS) -> list[list[int]]:
    return [
        prompt_ids([Message(role="user", content=question)], engine.chat_format, engine.tokens)
        for question in questions
    ]


def changed(decoding: Decoding, **settings: Any) -> Decoding:
    return decoding.model_copy(update=settings)


@pytest.mark.parametrize("format_name", ["plain", "base"])
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_are_the_references(pair: Pair, kind: Kind, format_name: str) -> None:
    engine, reference = pair(kind, format_name)
    prompts = prompts_of(engine)
    expected = reference.generate(prompts, GREEDY)
    assert engine.generate(prompts, GREEDY) == expected
    assert [engine.generate([prompt], GREEDY)[0] for prompt in prompts] == expected
    assert len({generated.ids for generated in expected}) > 1, "the model must not say the same to all"


@pytest.mark.parametrize("count", [1, 5, 24])
def test_max_new_tokens_is_the_length_whatever_the_prompts(pair: Pair, count: int) -> None:
    engine, _ = pair()
    found = engine.generate(prompts_of(engine), Decoding(max_new_tokens=count))
    assert {(len(generated.ids), generated.finish) for generated in found} == {(count, "length")}


@pytest.mark.parametrize(
    "settings", [{"repetition_penalty": 1.5}, {"no_repeat_ngram": 2}, {"repetition_penalty": 1.2, "no_repeat_ngram": 3}]
)
@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_control_of_repetition_is_the_references(pair: Pair, kind: Kind, settings: dict[str, Any]) -> None:
    engine, reference = pair(kind)
    prompts, decoding = prompts_of(engine), changed(GREEDY, **settings)
    expected = reference.generate(prompts, decoding)
    assert engine.generate(prompts, decoding) == expected
    assert expected != reference.generate(prompts, GREEDY)


@pytest.mark.parametrize(("format_name", "stop"), [("plain", END_ID), ("base", END_ID), ("base", TURN_END_ID)])
def test_answers_stop_where_the_references_do(pair: Pair, format_name: str, stop: int) -> None:
    free, _ = pair("llama", format_name)
    said = free.generate(prompts_of(free), GREEDY)[0].ids
    at = next(place for place in range(3, len(said)) if said[place] not in said[:place])
    engine, reference = pair("llama", format_name, (said[at], stop))
    prompts = prompts_of(engine)
    found = engine.generate(prompts, GREEDY)
    assert (found[0].ids, found[0].finish) == (said[:at], "end")
    assert found == reference.generate(prompts, GREEDY)
    pieces = streamed(engine, prompts, GREEDY)
    assert [pieces.get(row, "") for row in range(len(prompts))] == [generated.text for generated in found]


def streamed(engine: Engine, prompts: list[list[int]], decoding: Decoding) -> dict[int, str]:
    texts: dict[int, str] = {}

    def add(row: int, piece: str) -> None:
        texts[row] = texts.get(row, "") + piece

    engine.generate(prompts, decoding, on_text=add)
    return texts


@pytest.mark.parametrize("kind", KINDS)
def test_streamed_pieces_are_the_answers(pair: Pair, kind: Kind) -> None:
    engine, _ = pair(kind)
    prompts = prompts_of(engine)
    told: list[tuple[int, str]] = []
    found = engine.generate(prompts, GREEDY, on_text=lambda *piece: told.append(piece))
    for row, generated in enumerate(found):
        assert "".join(piece for to, piece in told if to == row) == generated.text
    assert len(told) > 40
    assert [to for to, _ in told] != sorted(to for to, _ in told), "the rows are written side by side"


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "seed": 3}])
def test_an_answer_that_is_called_off_ends_and_the_others_go_on(pair: Pair, settings: dict[str, Any]) -> None:
    engine, _ = pair()
    prompts = prompts_of(engine)
    decoding = changed(Decoding(max_new_tokens=400), **settings)
    told: list[list[str]] = [[] for _ in prompts]
    found = engine.generate(
        prompts,
        decoding,
        on_text=lambda row, piece: told[row].append(piece),
        called_off=lambda row: row == 1 and len(told[1]) >= 5,
    )
    assert found[1].finish == "length"
    assert 5 <= len(found[1].ids) < 390, "it ends after what was in the pipe"
    assert all(len(found[row].ids) == 400 for row in (0, 2, 3)), "the others go on"
    if not settings:
        whole = engine.generate(prompts, decoding)
        assert found[1].ids == whole[1].ids[: len(found[1].ids)]
        assert [found[row] for row in (0, 2, 3)] == [whole[row] for row in (0, 2, 3)]
    assert ["".join(pieces) for pieces in told] == [generated.text for generated in found]


def test_beams_find_what_is_more_probable_and_tell_it_at_the_end(pair: Pair) -> None:
    engine, reference = pair()
    prompts, wide = prompts_of(engine), Decoding(max_new_tokens=8, beams=8)
    model = reference._model  # pyright: ignore[reportPrivateUsage]
    greedy = engine.generate(prompts, changed(wide, beams=1))
    told: list[tuple[int, str]] = []
    found = engine.generate(prompts, wide, on_text=lambda *piece: told.append(piece))
    gains = [
        log_probability(model, prompt, after.ids) - log_probability(model, prompt, before.ids)
        for prompt, before, after in zip(prompts, greedy, found, strict=True)
    ]
    assert min(gains) > -1e-4
    assert max(gains) > 0.01
    assert told == [(row, generated.text) for row, generated in enumerate(found)]


def test_sampling_repeats_by_its_seed_and_narrows_to_greedy(pair: Pair) -> None:
    engine, _ = pair()
    prompts = prompts_of(engine)

    def said(**settings: Any) -> list[Generated]:
        return engine.generate(prompts, changed(HOT, **settings))

    greedy = engine.generate(prompts, GREEDY)
    assert said() == said()
    assert said(seed=(1 << 62) + 5) != said() != greedy
    assert said(temperature=0.01) == said(top_k=1) == said(top_p=1e-6) == greedy
    assert len({tuple(said(top_k=k)) for k in (0, 1, 3)}) == 3
    assert len({tuple(said(top_p=p)) for p in (1.0, 0.2, 1e-6)}) == 3
    assert engine.generate(prompts, GREEDY) == greedy
    with pytest.raises(ConfigError, match=r"束搜索.*--engine transformers"):
        said(beams=2)


def test_the_context_ends_an_answer_and_is_never_overrun(pair: Pair) -> None:
    engine, reference = pair()
    assert engine.context == 512
    long, short = prompts_of(engine, ("头痛" * 250, "头痛"))
    assert engine.generate([long, short], GREEDY) == reference.generate([long, short], GREEDY)
    with pytest.raises(ModelError, match="没有留给回答的位置"):
        engine.generate([short, long + [9] * 6], GREEDY)
    with pytest.raises(ModelError, match="超出了模型的词表"):
        engine.generate([[1, 9999]], GREEDY)


@pytest.mark.parametrize("length", [60, 64, 65, 100, 128, 129, 200])
def test_prompts_longer_than_the_sliding_window_are_read_right(pair: Pair, length: int) -> None:
    engine, reference = pair("gemma3")
    prompts = [prompt_ids([Message(role="user", content="头痛发热" * 60)], engine.chat_format, engine.tokens)[:length]]
    prompts += prompts_of(engine, ("感冒，吃什么药？",))
    assert engine.generate(prompts, GREEDY) == reference.generate(prompts, GREEDY)
    assert engine.generate(prompts[:1], GREEDY) == reference.generate(prompts[:1], GREEDY)
    assert [len(answer.ids) for answer in engine.generate(prompts, changed(GREEDY, beams=2))] == [24, 24]
    if length > 64:
        with pytest.raises(ModelError, match="滑动窗口"):
            engine.generate(prompts, changed(GREEDY, no_repeat_ngram=3))


@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.5}, {"no_repeat_ngram": 2}])
@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_beginning_is_read_once_and_changes_nothing(
    pair: Pair, kind: Kind, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, reference = pair(kind)
    start = prompts_of(engine, ("头痛发热咳嗽感冒胃炎肺炎肝癌早期问答题",))[0]
    prompts = [[*start, *prompt[:9]] for prompt in prompts_of(engine, QUESTIONS[:2] + QUESTIONS[:1])]
    shared: list[int] = []
    plain = ctranslate2_engine._beginning  # pyright: ignore[reportPrivateUsage]

    def counted(asked: list[list[str]], window: int | None) -> list[str]:
        shared.append(len(plain(asked, window)))
        return plain(asked, window)

    monkeypatch.setattr(ctranslate2_engine, "_beginning", counted)
    decoding = changed(GREEDY, **settings)
    assert engine.generate(prompts, decoding) == reference.generate(prompts, decoding)
    assert engine.generate(prompts[:1] * 3, decoding) == reference.generate(prompts[:1] * 3, decoding)
    assert shared[0] >= len(start)
    assert shared[-1] == len(prompts[0]) - 2


def test_a_beginning_is_shared_where_it_is_worth_it() -> None:
    beginning = ctranslate2_engine._beginning  # pyright: ignore[reportPrivateUsage]
    start = list(map(str, range(40)))
    assert beginning([[*start, "a", "b", "c"], [*start, "a", "d", "e", "f"]], None) == [*start, "a"]
    assert beginning([[*start, "a"], [*start, "b", "c"]], None) == start[:39]
    assert beginning([start, start], None) == start[:38]
    assert beginning([start], None) == []
    assert beginning([[*start[:20], "a", "b", "c"], [*start[:20], "d", "e", "f"]], None) == []
    assert beginning([["1"], ["1", "2"]], None) == []
    assert beginning([[*start, "a", "b"], [*start, "c", "d"]], 42) == start
    assert beginning([[*start, "a", "b"], [*start, "c", "d"]], 41) == []


def test_a_prompt_of_one_token_disturbs_no_other(pair: Pair) -> None:
    engine, reference = pair()
    prompts = [[2], *prompts_of(engine), [300]]
    assert engine.generate(prompts, GREEDY) == reference.generate(prompts, GREEDY)


def test_ctrl_c_stops_the_model_at_once(pair: Pair) -> None:
    engine, _ = pair()
    told: list[str] = []

    def interrupt(_: int, piece: str) -> None:
        told.append(piece)
        raise KeyboardInterrupt

    steps = count_steps(engine)
    with pytest.raises(KeyboardInterrupt):
        engine.generate(prompts_of(engine)[:1], Decoding(max_new_tokens=450), on_text=interrupt)
    assert len(told) == 1
    assert len(steps) < 450, "the rest was not generated"
    assert len(engine.generate(prompts_of(engine), GREEDY)) == 4, "and the engine can be asked again"


def count_steps(engine: CTranslate2Engine) -> list[int]:
    """Counts the tokens that the engine's model reports."""
    model = engine._model  # pyright: ignore[reportPrivateUsage]
    steps: list[int] = []

    class Counting:
        def generate_batch(self, *arguments: Any, callback: Callable[[Any], bool], **settings: Any) -> Any:
            def step(result: Any) -> bool:
                steps.append(result.token_id)
                return callback(result)

            return model.generate_batch(*arguments, callback=step, **settings)

    engine._model = Counting()  # pyright: ignore[reportPrivateUsage]
    return steps


def test_memory_is_counted_before(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = pair()
    prompts = prompts_of(engine)[:1] * 4
    free = 4 * len(prompts[0]) * 2 * 4 * 2 * 32  # keys and values of the prompts, in two layers of 32; not the answers'
    monkeypatch.setattr(ctranslate2_engine, "memory", lambda _: (free, free))
    with pytest.raises(MemoryShortageError, match="4 个问题一批放不下"):
        engine.generate(prompts, GREEDY)
    assert engine.generate(prompts[:1], GREEDY)


def test_the_number_of_threads_is_the_fastest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {1: 3.0, 2: 2.0, 4: 2.5, 6: 1.0}
    tried: list[int] = []

    def opened(_: Path, __: str, threads: int) -> int:
        tried.append(threads)
        return threads

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(ctranslate2_model, "available_cores", lambda: 6)
    monkeypatch.setattr(ctranslate2_model, "open_generator", opened)
    monkeypatch.setattr(ctranslate2_model, "_seconds_a_step", lambda threads: speeds[threads])  # pyright: ignore
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path))
    assert best_threads(Path("a"), "int8") == 2
    assert tried == [1, 2, 4], "more are not tried where more was slower"
    assert best_threads(Path("a"), "int8") == 2
    assert tried == [1, 2, 4], "it is kept"
    (kept,) = (tmp_path / "threads").iterdir()
    for broken in ("{", "[]", '{"threads": 99}', '{"threads": "2"}'):
        kept.write_text(broken, encoding="utf-8")
        assert best_threads(Path("a"), "int8") == 2
    assert len(tried) == 15, "and measured anew where it cannot be read or true"
    best_threads(Path("b"), "int8")
    best_threads(Path("a"), "float32")
    monkeypatch.setattr(ctranslate2_model, "available_cores", lambda: 4)
    best_threads(Path("a"), "int8")
    assert len(list((tmp_path / "threads").iterdir())) == 4, "for each model, precision and machine"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert best_threads(Path("b"), "int8") == 3


def test_threads_are_measured_on_the_model(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = pair()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(ctranslate2_model, "available_cores", lambda: 2)
    assert best_threads(engine._folder, "float32") in (1, 2)  # pyright: ignore[reportPrivateUsage]


def test_no_prompts_no_answers(pair: Pair) -> None:
    assert pair()[0].generate([], GREEDY) == []
