"""From a name to a folder: folders, short names, and a hub in this process with all it may answer."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import huggingface_hub.constants
import pytest

from bentsao.core.errors import MissingError, ModelError
from bentsao.models.fetching import canonical_name, find_here, locate
from tests.doubles import tiny_base_folder
from tests.models.hub import COMMIT, Hub, serving

REPOSITORY = "someone/tiny-base"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Hub]:
    folder = tiny_base_folder(tmp_path / "served")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.safetensors").write_bytes(b"another framework's")
    with serving(REPOSITORY, folder) as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "")
        yield hub


def test_a_name_that_is_none_is_told_with_those_like_it() -> None:
    with pytest.raises(MissingError, match=r"相近的预设名：qwen3-0\.6b") as error:
        locate("qwen3-06b", print)
    assert "chatglm" not in str(error.value)
    with pytest.raises(MissingError, match=r"bentsao bases list"):
        locate("nosuch", print)


def quiet(_: str) -> None:
    pass


def test_hub_repository_becomes_a_folder_with_its_commit(hub: Hub):
    told: list[str] = []
    located = locate(REPOSITORY, told.append)
    assert (located.name, located.revision) == (REPOSITORY, COMMIT)
    assert (located.folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert REPOSITORY in told[0]


def test_pickles_and_other_frameworks_are_left_where_safetensors_are(hub: Hub):
    folder = locate(REPOSITORY, quiet).folder
    assert not (folder / "pytorch_model.bin").exists()
    assert not (folder / "onnx").exists()


def test_pickles_are_fetched_where_there_is_nothing_else(hub: Hub):
    del hub.files["model.safetensors"]
    told: list[str] = []
    assert (locate(REPOSITORY, told.append).folder / "pytorch_model.bin").is_file()
    assert any("pickle" in line for line in told)


def test_without_weights_only_small_files_are_fetched(hub: Hub):
    folder = locate(REPOSITORY, quiet, weights=False).folder
    assert (folder / "tokenizer.json").is_file()
    assert not any(name.endswith((".safetensors", ".bin")) for name in hub.fetched)
    assert not (folder / "model.safetensors").exists()


def test_fetched_once_and_then_there_without_the_hub(hub: Hub):
    first = locate(REPOSITORY, quiet).folder
    count = len(hub.fetched)
    assert locate(REPOSITORY, quiet, revision=COMMIT).folder == first
    hub.refuse = (503, "")
    assert locate(REPOSITORY, quiet).folder == first
    assert len(hub.fetched) == count


@pytest.mark.parametrize("pickled_too", [False, True])
def test_a_base_of_which_shards_are_missing_is_not_here(hub: Hub, pickled_too: bool) -> None:
    if pickled_too:  # a second copy in shards, of which the index alone is fetched
        pickles = {"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}
        hub.files["pytorch_model.bin.index.json"] = json.dumps(pickles).encode()
        hub.files["pytorch_model-00001-of-00001.bin"] = hub.files.pop("pytorch_model.bin", b"")
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    weights = hub.files.pop("model.safetensors")
    hub.files |= dict.fromkeys(shards, weights)
    hub.files["model.safetensors.index.json"] = json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}}).encode()
    folder = locate(REPOSITORY, quiet).folder
    assert find_here(REPOSITORY) is not None
    (folder / shards[1]).unlink()
    assert find_here(REPOSITORY) is None


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "GatedRepo", "同意"),
        (404, "RepoNotFound", "没有"),
        (401, "RepoNotFound", "hf auth login"),
        (503, "", "网络"),
    ],
)
def test_what_the_hub_refuses_is_explained(hub: Hub, status: int, code: str, words: str):
    hub.refuse = (status, code)
    with pytest.raises(MissingError, match=words) as caught:
        locate(REPOSITORY, quiet)
    assert REPOSITORY in str(caught.value)


def test_unknown_revision(hub: Hub):
    with pytest.raises(MissingError, match="'v9'"):
        locate(REPOSITORY, quiet, revision="v9")


def test_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingError, match="HF_ENDPOINT"):
        locate(REPOSITORY, quiet)


def test_folder_is_itself(tmp_path: Path):
    folder = tiny_base_folder(tmp_path / "base")
    located = locate(str(folder), quiet)
    assert (located.name, located.folder, located.revision) == (str(folder), folder, None)


def test_folders_that_are_no_base(tmp_path: Path):
    with pytest.raises(ModelError, match=r"config\.json"):
        locate(str(tmp_path), quiet)
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="--adapter"):
        locate(str(tmp_path), quiet)


@pytest.mark.parametrize("name", ["no-such-base", "./no/such/folder", "/no/such", "a/b/c", ""])
def test_names_that_are_nothing(name: str):
    with pytest.raises(MissingError, match="embedded"):
        locate(name, quiet)


def test_file_is_no_base(tmp_path: Path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(MissingError, match="是一个文件"):
        locate(str(file), quiet)


def test_one_base_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert canonical_name("decapoda-research/llama-7b-hf") == canonical_name("llama-7b") == "huggyllama/llama-7b"
    assert canonical_name("Embedded") == "embedded"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    assert canonical_name("base") == canonical_name("./base") == str(tmp_path / "base")
    assert canonical_name("someone/else") == "someone/else"
