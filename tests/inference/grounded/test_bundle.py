from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from bentsao.core.errors import BentsaoError, ConfigError, DataError, MissingError
from bentsao.inference.grounded import Answerer, GroundedAnswer, GroundedQuestion, Policy
from bentsao.inference.grounded.bundle import BUNDLE_NAME, Bundle, make_bundle, open_bundle
from bentsao.inference.grounded.comparing import changes
from bentsao.knowledge.store import KnowledgeBase
from tests.inference.grounded.adapters import adapter_folder
from tests.inference.grounded.bases import grounded_base
from tests.inference.grounded.reader import Reader
from tests.knowledge.bases import entity, put


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return grounded_base(tmp_path / "small.kb")


@pytest.fixture
def bundle(tmp_path: Path, base: Path) -> Bundle:
    return make_bundle(adapter_folder(tmp_path / "adapter"), base, Policy(guard="mark"), tmp_path / "bundle")


def test_a_bundle_holds_all_that_decides_an_answer(bundle: Bundle, base: Path) -> None:
    assert sorted(bundle.contents.parts) == [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "adapter/bentsao.json",
        "adapter/chat_format.json",
        "knowledge_base.sqlite",
        "policy.json",
    ]
    assert (bundle.contents.base, bundle.contents.base_revision) == ("some/base", "abc")
    assert bundle.policy == Policy(guard="mark")
    assert open_bundle(bundle.folder) == bundle
    with bundle.opened_kb() as copy, KnowledgeBase.open(base) as kb:
        assert copy.version == kb.version
        assert copy.facts("偏头痛") == kb.facts("偏头痛")


def test_reading_leaves_the_bundle_as_it_is(bundle: Bundle) -> None:
    with bundle.opened_kb() as kb:
        assert kb.search("偏头痛")
        assert list(kb.names())
    files = sorted(file.name for file in bundle.folder.iterdir())
    assert files == ["adapter", "bundle.json", "knowledge_base.sqlite", "policy.json"]
    assert open_bundle(bundle.folder).hash == bundle.hash


def test_the_hash_is_that_of_the_contents(tmp_path: Path, bundle: Bundle, base: Path) -> None:
    elsewhere = adapter_folder(tmp_path / "another place" / "adapter")
    again = make_bundle(elsewhere, shutil.copyfile(base, tmp_path / "copy.kb"), Policy(guard="mark"), tmp_path / "b")
    assert again.hash == bundle.hash, "no paths, no times"
    others = {
        make_bundle(elsewhere, base, Policy(), tmp_path / "policy").hash,
        make_bundle(adapter_folder(tmp_path / "a2", weight=1), base, Policy(guard="mark"), tmp_path / "weights").hash,
        make_bundle(adapter_folder(tmp_path / "a3", base="x/y"), base, Policy(guard="mark"), tmp_path / "base").hash,
        make_bundle(
            adapter_folder(tmp_path / "a4", named="alpaca"), base, Policy(guard="mark"), tmp_path / "form"
        ).hash,
    }
    put(base, "丙", entity("新病", ("检查", "新检查")))
    others.add(make_bundle(elsewhere, base, Policy(guard="mark"), tmp_path / "kb").hash)
    assert len(others | {bundle.hash}) == 6


@pytest.mark.parametrize("part", ["knowledge_base.sqlite", "policy.json", "adapter/adapter_model.safetensors"])
def test_a_changed_part_is_refused_by_its_name(bundle: Bundle, part: str) -> None:
    whole = bytearray((bundle.folder / part).read_bytes())
    whole[-2] ^= 1
    (bundle.folder / part).write_bytes(whole)
    with pytest.raises(ConfigError, match=rf"{part}（被改动）"):
        open_bundle(bundle.folder)


def test_parts_that_are_gone_or_new_and_a_changed_list_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "adapter" / "chat_format.json").rename(tmp_path / "kept")
    (bundle.folder / "adapter" / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"chat_format.json（缺少）、adapter/more.json（多出）"):
        open_bundle(bundle.folder)
    (bundle.folder / "adapter" / "more.json").unlink()
    (tmp_path / "kept").rename(bundle.folder / "adapter" / "chat_format.json")
    listed = bundle.folder / BUNDLE_NAME
    listed.write_text(listed.read_text("utf-8").replace("some/base", "other/base"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bundle.json（被改动）"):
        open_bundle(bundle.folder)
    listed.write_text('{"hash": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="不是包的清单"):
        open_bundle(bundle.folder)
    with pytest.raises(MissingError, match="不是包"):
        open_bundle(tmp_path)


def test_an_older_knowledge_base_is_refused_and_not_changed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bentsao.inference.grounded.bundle.MIGRATIONS", (("",),) * 99)
    with pytest.raises(ConfigError, match="旧版"):
        open_bundle(bundle.folder)


def test_a_bundle_is_whole_or_not_there(tmp_path: Path, base: Path) -> None:
    good, out = adapter_folder(tmp_path / "adapter"), tmp_path / "out"
    (tmp_path / "no.kb").write_text("no database", encoding="utf-8")
    for adapter, kb in (
        (good, tmp_path / "missing.kb"),
        (good, tmp_path / "no.kb"),
        (tmp_path, base),
        (adapter_folder(tmp_path / "nameless", base=None), base),
    ):
        with pytest.raises(BentsaoError):
            make_bundle(adapter, kb, Policy(), out)
        assert not out.exists()
    (good / "chat_format.json").unlink()
    with pytest.raises(ConfigError, match="chat_format"):
        make_bundle(good, base, Policy(), out)
    assert not list(tmp_path.glob(".out*"))
    out.mkdir()
    with pytest.raises(ConfigError, match="已经存在"):
        make_bundle(adapter_folder(tmp_path / "a"), base, Policy(), out)


def test_the_copy_is_one_moment_of_a_base_that_is_being_written(tmp_path: Path, base: Path) -> None:
    with KnowledgeBase.open(base) as kb:
        before = kb.version
    writer = sqlite3.connect(base)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM fact")
    copied = make_bundle(adapter_folder(tmp_path / "adapter"), base, Policy(), tmp_path / "bundle")
    writer.rollback()
    writer.close()
    with copied.opened_kb() as kb:
        assert kb.version == before
        assert kb.facts("偏头痛")


def test_what_changes_between_two_bundles(bundle: Bundle, base: Path, tmp_path: Path) -> None:
    put(base, "丙", entity("偏头痛", ("检查", "脑电图")))
    other = make_bundle(adapter_folder(tmp_path / "a2"), base, Policy(guard="mark"), tmp_path / "b2")
    assert other.engine_parts == bundle.engine_parts
    asked = [GroundedQuestion(id=str(n), question=q) for n, q in enumerate(["偏头痛做什么检查", "胃溃疡做什么检查"])]
    answers: list[list[GroundedAnswer]] = []
    for one in (bundle, other):
        with one.opened_kb() as kb:
            answers.append(Answerer(Reader(), kb, one.policy, bundle=one.hash).answer(asked))
    assert {answer.bundle for answer in answers[1]} == {other.hash}
    (change,) = changes(*answers)
    assert (change.question, change.gone, change.new) == ("偏头痛做什么检查", (), ("偏头痛的检查：脑电图",))
    assert "脑电图" in change.after.answer
