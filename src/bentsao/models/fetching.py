"""From the name of a base to a folder on this machine: short name, embedded base, folder, or Hugging Face id."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from bentsao.core.errors import MissingError, ModelError
from bentsao.core.files import read_json_object
from bentsao.models.embedded import GGUF_SHA256, embedded_base, embedded_folder, fault
from bentsao.models.presets import BASES, EMBEDDED, Preset, find_preset

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""A Hugging Face id."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SMALL_FILES = ["*.json", "*.model", "*.txt", "*.jinja", "*.py", "*.tiktoken"]
# Other frameworks' copies lie in subfolders, Mistral's second copy of its weights beside the first.
_NOT_WANTED = ["*/*", "consolidated*"]
# As transformers looks for them: the first that is there is opened.
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class Located:
    """A base on this machine.

    name: as it is written into a manifest ("embedded", a hub id, or an absolute folder).
    revision: the hub's commit, or the SHA-256 of the embedded GGUF; None for a folder.
    """

    name: str
    folder: Path
    revision: str | None
    preset: Preset | None


def canonical_name(name: str) -> str:
    """The one name of a base that may be called by several: "embedded", a hub id, or an absolute folder."""
    preset = find_preset(name)
    if preset is not None:
        return EMBEDDED if preset is BASES[EMBEDDED] else preset.id
    folder = Path(name).expanduser()
    return str(folder.resolve()) if name and folder.is_dir() else name


def locate(
    name: str, report: Callable[[str], None], *, revision: str | None = None, weights: bool = True, check: bool = False
) -> Located:
    """Find a base, fetching or converting it where it is not on this machine yet.

    name: a short name of `presets.BASES`, a folder, or a Hugging Face id. revision: the hub's commit, tag or branch;
    None means its newest. weights: False fetches configuration and tokenizer only. check: compare the embedded base's
    files with their SHA-256.
    Raises MissingError with the way out, ModelError or DataError for a folder that is no base.
    """
    known = canonical_name(name)
    preset = find_preset(name)
    if known == EMBEDDED:
        return Located(EMBEDDED, embedded_base(report, check=check), GGUF_SHA256, preset)
    if preset is None and known and Path(known).is_dir():
        _check_folder(Path(known))
        return Located(known, Path(known), None, None)
    if preset is None and (why := not_here(Path(name).expanduser())):
        raise MissingError(why)
    if not HUB_ID.fullmatch(known):
        raise MissingError(_unknown(name))
    folder = _fetch(known, revision, weights, report)
    return Located(known, folder, folder.name if _COMMIT.fullmatch(folder.name) else revision, preset)


def not_here(given: Path) -> str | None:
    """What there is to say of a folder that is not there; None where it may as well be a Hugging Face id."""
    if given.exists() or not given.name:
        return None
    run = given.with_name(f"{given.name}.run")  # where tuning keeps the state of a run under way
    if run.is_dir():
        return f"{given} 还没有写出来：它的训练没有完成（{run} 是训练的状态）。再次运行同一条训练命令即可接着训练。"
    if given.parent != Path() and given.parent.is_dir():
        return f"找不到目录 {given}（{given.parent} 是有的）。请检查路径。"
    return None


def find_here(name: str) -> Located | None:
    """A base that is wholly on this machine already, found without the network; None for others. Errors as above."""
    known = canonical_name(name)
    if known == EMBEDDED:
        here = fault(embedded_folder(), deep=False) is None
        return locate(name, lambda _: None) if here else None
    if not HUB_ID.fullmatch(known):
        return locate(name, lambda _: None)
    try:
        folder = _base(known, None, "*.safetensors", here=True)
    except LocalEntryNotFoundError:
        return None
    whole = (any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))) and not missing_weights(folder)
    return Located(known, folder, folder.name, find_preset(name)) if whole else None


def missing_weights(folder: Path) -> list[str]:
    """Shards that are not there of the weights that will be opened; a second copy in the other form may be absent."""
    opened = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if opened is None or opened.suffix != ".json":
        return []
    named = {str(file) for file in (read_json_object(opened).get("weight_map") or {}).values()}
    return sorted(name for name in named if not (folder / name).is_file())


def _check_folder(folder: Path, name: str | None = None) -> None:
    """Raises ModelError where it is no base. name: what it is called, where that is not its path."""
    name = name or str(folder)
    if (folder / "config.json").is_file():
        read_json_object(folder / "config.json")  # a broken one is told with its line
        return
    if (folder / "adapter_config.json").is_file():
        raise ModelError(f"{name} 是适配器，不是基座。请用 --adapter 指定它（可叠起来：--adapter A+B）。")
    raise ModelError(f"{name} 里没有 config.json，不是 Hugging Face 格式的模型目录。")


def _unknown(name: str) -> str:
    path = Path(name).expanduser()
    if path.is_file():
        return f"{name} 是一个文件。基座要给目录（Hugging Face 格式）、Hugging Face 编号或预设名。"
    return (
        f"找不到基座 {name!r}：没有这个目录，也不是 Hugging Face 编号（形如 Qwen/Qwen3-0.6B）。"
        f"{_nearest(name)}全部预设名见 bentsao bases list，自带的是 {EMBEDDED}。"
    )


def _nearest(name: str) -> str:
    near = get_close_matches(name.lower(), BASES, n=3, cutoff=0.5)
    return f"相近的预设名：{'、'.join(near)}；" if near else ""


def _fetch(hub_id: str, revision: str | None, weights: bool, report: Callable[[str], None]) -> Path:
    """A hub's repository as a folder of the hub's own cache; what is there already is not fetched again."""
    with explained(hub_id, revision):
        report(f"正在从 Hugging Face 取 {hub_id}（已有的部分不会重复下载）……")
        folder = _base(hub_id, revision, None)
        _check_folder(folder, hub_id)  # an adapter's weights are not fetched in vain
        if weights:
            folder = _base(hub_id, revision, "*.safetensors")
        if weights and not any(folder.glob("*.safetensors")):
            report(f"{hub_id} 没有 safetensors 权重，改取 pickle 权重（只以 weights_only 方式打开）……")
            folder = _base(hub_id, revision, "*.bin")
    return folder


def _base(hub_id: str, revision: str | None, weights: str | None, *, here: bool = False) -> Path:
    """weights: the pattern of the weight files, None for none."""
    return snapshot(hub_id, revision, [*_SMALL_FILES, *([weights] if weights else [])], here=here)


def snapshot(hub_id: str, revision: str | None, wanted: Sequence[str], *, here: bool = False) -> Path:
    """The files of those patterns of a repository, in the hub's own cache. here: do not ask the hub."""
    return Path(
        snapshot_download(
            hub_id, revision=revision, allow_patterns=list(wanted), ignore_patterns=_NOT_WANTED, local_files_only=here
        )
    )


@contextmanager
def explained(hub_id: str, revision: str | None) -> Generator[None]:
    """The hub's errors in the user's words."""
    try:
        yield
    except GatedRepoError:
        raise MissingError(
            f"{hub_id} 需要先同意作者的条款：请在 https://huggingface.co/{hub_id} 上同意，再运行 `hf auth login` 登录。"
        ) from None
    except RepositoryNotFoundError:
        raise MissingError(
            f"Hugging Face 上没有 {hub_id}，或者它是私有的。请检查拼写；私有仓库请先运行 `hf auth login`。"
        ) from None
    except RevisionNotFoundError:
        raise MissingError(f"{hub_id} 没有版本 {revision!r}。请检查分支、标签或提交号。") from None
    except HFValidationError as error:
        raise MissingError(f"{hub_id!r} 不是合法的 Hugging Face 编号：{error}") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise MissingError(
            f"下载 {hub_id} 失败，本机缓存里也没有完整的一份：{reason}\n"
            "请检查网络；在中国大陆可设环境变量 HF_ENDPOINT 为镜像地址；或者先在别处下载，再用目录路径指定基座；"
            f"不需联网的基座是 {EMBEDDED}。"
        ) from None
