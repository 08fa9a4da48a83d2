"""The releases of ChatGLM-6B, which give the same marks other ids, and what in a folder belongs to another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MARK_NAMES = {"[MASK]": "mask_token_id", "[gMASK]": "gmask_token_id", "<sop>": "bos_token_id", "<eop>": "eos_token_id"}
"""The marks that structure a text, and what config.json calls their ids."""

RELEASES = {
    130_528: {"[MASK]": 130_000, "[gMASK]": 130_001, "<sop>": 130_004, "<eop>": 130_005},
    150_528: {"[MASK]": 150_000, "[gMASK]": 150_001, "<sop>": 150_004, "<eop>": 150_005},
}
"""The marks' ids by the size of the vocabulary: the first release had 20,000 words of pictures, the later has none."""

_LATER = ("multi_query_attention", "padded_vocab_size")


def is_later(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of ChatGLM2 or 3, which call themselves `chatglm` too and are another model."""
    return any(name in config for name in _LATER)


def mismatches(config: Mapping[str, Any], marks: Mapping[str, int] | None) -> Iterator[tuple[str, str]]:
    """What does not go together, and the way out.

    config: of config.json; ids that the first release did not write (MASK's and gMASK's) are not asked for. marks: the
    tokenizer's ids by mark; None where there is none.
    """
    if bits := config.get("quantization_bit"):
        yield f"这是 {bits} bit 量化的版本，权重是打包的整数，这里不读", "请换未量化的，需要时用 --quantization 量化。"
    words = config.get("vocab_size")
    release = RELEASES.get(words or 0, {})
    whole = "请从同一次发布取齐 config.json、分词器与权重"
    for mark, name in MARK_NAMES.items():
        said = config.get(name)
        right = release.get(mark, said)
        if said != right and (said is not None or name in ("bos_token_id", "eos_token_id")):
            yield f"{name} 是 {said}，词表 {words} 的那一版应是 {right}：不是同一版", f"{whole}。"
        if marks is not None and right is not None and marks[mark] != right:
            yield (
                f"{mark} 在分词器里是 {marks[mark]}，这一版的模型里是 {right}：不是同一版",
                f"{whole}（tokenizer_config.json 的 num_image_tokens 也在内）。",
            )
