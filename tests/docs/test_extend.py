"""The recipes of docs/extend.md, taken out of the page, added by their one line, and used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bentsao.core.formats import FORMATS, ChatFormat
from bentsao.core.records import Message
from bentsao.core.rendering import prompt_ids
from bentsao.evaluation.tasks import TASKS
from bentsao.evaluation.tasks.task import Source
from bentsao.inference.decoding import Decoding
from bentsao.inference.engines import opening
from bentsao.knowledge.importers import READERS, detect
from bentsao.knowledge.importers.looking import Reader
from bentsao.knowledge.rows import EntityRow, Skipped
from tests.doubles import tiny_base_folder
from tests.evaluation.models import responses

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"
BLOCKS = re.findall(r"```python\n# ([^\n]*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

Load = Callable[[str], ModuleType]


def line(where: str) -> str:
    """The line that the page adds to a dict."""
    (found,) = [text for title, text in BLOCKS if title == f"the line in {where}"]
    return found


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A file of the page as a module."""

    def loaded(name: str) -> ModuleType:
        (text,) = [text for title, text in BLOCKS if title.endswith(f"/{name}.py")]
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded


def test_a_task(load: Load, tmp_path: Path) -> None:
    task = load("referral").TASK
    assert task.name not in TASKS
    path = tmp_path / "q.txt"
    path.write_text("头痛怎么办\n发烧怎么办\n", encoding="utf-8")
    items = task.load(Source(files=(path,)))
    verdicts = task.judge(items, responses(items, lambda item: "请去医院" if "头痛" in item.shown else "多喝水"))
    assert [verdict.scores["refers"] for verdict in verdicts] == [1.0, 0.0]


def test_an_importer(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added: dict[str, Reader] = eval("{" + line("READERS") + "}", {"notes": load("notes"), "Reader": Reader})
    for name, reader in added.items():
        monkeypatch.setitem(READERS, name, reader)
    path = tmp_path / "笔记.txt"
    path.write_text("# 偏头痛\n症状：头痛、恶心\n天气：晴\n# 感冒\n症状：流涕\n", encoding="utf-8")
    assert detect(path) == "notes"
    rows = list(READERS["notes"].read(path))
    named = {row.name: [fact.value for fact in row.facts] for row in rows if isinstance(row, EntityRow)}
    assert named == {"偏头痛": ["头痛", "恶心"], "感冒": ["流涕"]}
    assert [row.reason for row in rows if isinstance(row, Skipped)] == ["没有对应的属性：天气"]


def test_a_chat_format_and_an_engine(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats: dict[str, ChatFormat] = eval("{" + line("FORMATS") + "}", {"ChatFormat": ChatFormat})
    for name, chat_format in formats.items():
        monkeypatch.setitem(FORMATS, name, chat_format)
    engines: dict[Any, Any] = eval("{" + line("ENGINES") + "}", {"steps_engine": load("steps_engine")})
    for name, opens in engines.items():
        monkeypatch.setitem(opening.ENGINES, name, opens)
    base = tiny_base_folder(tmp_path / "base")

    def said(engine: Any) -> tuple[int, ...]:
        found = opening.open_engine(
            adapter=None, base=str(base), chat_format="vicuna", report=print, engine=engine, device="cpu"
        )
        prompt = prompt_ids([Message(role="user", content="头痛怎么办")], found.chat_format, found.tokens)
        return found.generate([prompt], Decoding(max_new_tokens=8))[0].ids

    assert said("steps") == said("transformers")


def test_a_chat_format_without_code(tmp_path: Path) -> None:
    from bentsao.core.formats import load_format

    path = tmp_path / "my.json"
    path.write_text(json.dumps({"name": "my", "prompt": "USER: {instruction} ASSISTANT: "}), encoding="utf-8")
    assert load_format(str(path)).prompt == "USER: {instruction} ASSISTANT: "


def test_the_page_names_files_and_dicts_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    source = PAGE.parents[1] / "src" / "bentsao"
    table = [row for row in text.split("\n") if row.startswith("| a")]
    assert len(table) >= 9
    for row in table:
        for name, file in re.findall(r"`([A-Z]+)` (?:in|of `?[A-Z]*`? ?in) `([a-z_/]+\.py)`", row):
            assert re.search(rf"^{name}\b", (source / file).read_text(encoding="utf-8"), re.MULTILINE), (name, file)
