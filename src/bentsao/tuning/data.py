"""The recipe's data part → conversations for training and validation, split by group, with an account of each step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bentsao.core.conversations import merge_prefixes, read_conversations
from bentsao.core.errors import BentsaoError, ConfigError, DataError, Fault
from bentsao.core.files import read_text, sha256_file
from bentsao.core.records import Conversation
from bentsao.core.splits import group_by_names, split_by_group, without_names
from bentsao.tuning.recipe import DataPart, split_mix


@dataclass
class Material:
    """What a run learns from and is validated on.

    files: SHA-256 of every file read, by path as given. notes: what was done to the data, as lines for the user.
    """

    train: list[Conversation] = field(default_factory=list[Conversation])
    valid: list[Conversation] = field(default_factory=list[Conversation])
    files: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])


def gather(part: DataPart, seed: int) -> Material:
    """Read, merge, group, limit, split and mix. Raises DataError with the faults of all files at once."""
    if not part.files:
        raise ConfigError("没有训练数据。请用 --data FILE 或配方的 [data] files 指定。")
    out = Material()
    everything = _read_all([*part.files, *([part.validation_file] if part.validation_file else [])], out)
    own = [c for name in part.files for c in everything[name]]
    if part.merge_dialogues:
        own, merged = merge_prefixes(own)
        if merged:
            out.notes.append(f"{merged} 个对话是别的对话的开头或副本，已并入（其各轮照样学到）")
    names = _read_names(part.names, out)
    if names:
        own, nameless = group_by_names(own, names)
        out.notes.append(
            f"按 {len(names)} 个实体名分成 {len({c.group for c in own})} 组；{nameless} 条没有提到任何名字"
        )
    if part.limit is not None and part.limit < len(own):
        own = random.Random(seed).sample(own, part.limit)
        out.notes.append(f"按 limit 随机取 {part.limit} 条")
    if part.validation_file:
        out.train, out.valid = own, group_by_names(everything[part.validation_file], names)[0]
    else:
        _split(own, part, seed, out)
    for item in part.mix:
        _mix_in(item, seed, out)
    # Last, so that what was mixed in is looked at too.
    if names and out.valid:
        _without_held_out(out)
    _without_copies(out)
    return out


def _read_all(files: Sequence[str], out: Material) -> dict[str, list[Conversation]]:
    found: dict[str, list[Conversation]] = {}
    faults: list[Fault] = []
    for name in files:
        try:
            reading = read_conversations(Path(name))
        except DataError as error:
            faults += error.faults
            continue
        found[name] = reading.conversations
        out.files[name] = sha256_file(Path(name))
        forms = "、".join(f"{form} {count}" for form, count in reading.forms.items())
        out.notes.append(f"{name}：{len(reading.conversations)} 条（{forms}）")
        if reading.unused:
            out.notes.append(f"{name}：没有用到的字段 {dict(reading.unused)}")
    if faults:
        raise DataError(faults)
    return _unique_ids(found)


def _unique_ids(found: dict[str, list[Conversation]]) -> dict[str, list[Conversation]]:
    """Files with rows of the same id get their name in front, so that a row can be named in a report."""
    counts = Counter(c.id for conversations in found.values() for c in conversations)
    if not counts or max(counts.values()) == 1:
        return found
    return {
        name: [c.model_copy(update={"id": f"{name}:{c.id}"}) if counts[c.id] > 1 else c for c in conversations]
        for name, conversations in found.items()
    }


def _read_names(path: str | None, out: Material) -> list[str]:
    if path is None:
        return []
    names = [line.strip() for line in read_text(Path(path)).split("\n") if line.strip()]
    if not names:
        raise DataError([Fault(path, None, "名字", "", "实体名表是空的。")])
    out.files[path] = sha256_file(Path(path))
    return names


def _split(own: list[Conversation], part: DataPart, seed: int, out: Material) -> None:
    share = part.held_out(len(own)) / max(len(own), 1)
    out.train, out.valid = split_by_group(own, share, seed)
    if share and not out.valid:
        out.notes.append("只有一组数据，无法按组留出验证")
    elif part.validation is None and out.valid:
        out.notes.append(f"留出 {len(out.valid)} 条验证（不填时为 5%，最多约 200 条；用 --validation 改，0 不验证）")


def _without_held_out(out: Material) -> None:
    """Training rows that ask about an entity that validation is about are taken out."""
    out.train, left_out = without_names(out.train, {c.group for c in out.valid})
    if left_out:
        out.notes.append(f"{left_out} 条训练数据的问题提到了验证的实体，已移出训练")


def _without_copies(out: Material) -> None:
    """Validation rows whose question is also asked in training say nothing; they are taken out."""
    learnt = {_first_question(c) for c in out.train}
    kept = [c for c in out.valid if _first_question(c) not in learnt]
    if len(kept) < len(out.valid):
        out.notes.append(f"{len(out.valid) - len(kept)} 条验证数据的问题在训练中原样出现，已移出验证")
        out.valid = kept


def _first_question(conversation: Conversation) -> str:
    message = next(m for m in conversation.messages if m.role == "user")
    return "".join((message.content + message.input).split())


def _mix_in(item: str, seed: int, out: Material) -> None:
    """`share` of the training rows afterwards come from the file; it is repeated never, so it may give fewer."""
    name, share = split_mix(item)
    general = _read_all([name], out)[name]
    wanted = round(len(out.train) * share / (1 - share))
    if wanted == 0:
        raise BentsaoError(f"训练数据只有 {len(out.train)} 条，{item} 混不进一条。")
    taken = random.Random(f"{seed}:{name}").sample(general, min(wanted, len(general)))
    out.train += [c.model_copy(update={"id": f"{name}:{c.id}"}) for c in taken]
    short = f"（要 {wanted} 条，文件只有这些）" if len(taken) < wanted else ""
    out.notes.append(f"混入 {name} 的 {len(taken)} 条通用数据{short}")
