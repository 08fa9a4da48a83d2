"""A recipe's data → rows ready for training, from conversations or from plain text."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Protocol, cast

from bentsao.core.errors import ConfigError
from bentsao.core.files import sha256_text
from bentsao.core.formats import ChatFormat
from bentsao.core.rendering import Tokens
from bentsao.core.splits import learnt_keys
from bentsao.models.tokens import HFTokens
from bentsao.tuning.data import gather
from bentsao.tuning.job import Reporter
from bentsao.tuning.recipe import DataPart, Recipe
from bentsao.tuning.rows import Account, Rows, cached_rows, check_not_empty, check_weights
from bentsao.tuning.texts import gather_texts, pack


class RunReporter(Reporter, Protocol):
    """What a run tells besides its steps."""

    def note(self, text: str) -> None:
        """A line for the user."""

    def prepared(self, train: Account, valid: Account) -> None:
        """The data are rendered; training begins after this."""

    def tokenising(self, done: int, rows: int) -> None:
        """How far rendering is."""


@dataclass(frozen=True)
class Prepared:
    """Data ready for training: the rows of both parts, and what they were made from (files: SHA-256 by path).

    learnt: the keys of what is learnt (`core.splits.learnt_keys`); empty for plain text.
    """

    files: dict[str, str]
    learnt: list[str]
    valid_ids: list[str]
    chat_format: ChatFormat
    train: Rows
    valid: Rows


def prepare(recipe: Recipe, tokens: HFTokens, chat_format: ChatFormat, reporter: RunReporter) -> Prepared:
    """Read, split and render the recipe's data. Raises DataError or ConfigError when nothing can be learnt from it."""
    if recipe.data.kind == "text":
        prepared = _prepare_texts(recipe, tokens, chat_format, reporter)
    else:
        prepared = _prepare_conversations(recipe, tokens, chat_format, reporter)
    check_not_empty(prepared.train, recipe.data.cutoff)
    check_weights(prepared.train.account, recipe.training.part_weights)
    reporter.prepared(prepared.train.account, prepared.valid.account)
    return prepared


def _prepare_conversations(
    recipe: Recipe, tokens: HFTokens, chat_format: ChatFormat, reporter: RunReporter
) -> Prepared:
    # The format's own text counts, as it does in inference: with thinking on, or from a file, it is not the base's.
    tokens = tokens.with_template(chat_format.base_template) if chat_format.base_template else tokens
    material = gather(recipe.data, recipe.training.seed)
    for line in material.notes:
        reporter.note(line)
    # Validation on the way reads the first rows only, so they must be a fair sample.
    random.Random(recipe.training.seed).shuffle(material.valid)
    train_rows = _rows(material.train, recipe.data, chat_format, tokens, reporter)
    valid_rows = _rows(material.valid, recipe.data, chat_format, tokens, reporter)
    learnt = learnt_keys(c.messages for c in material.train)
    return Prepared(material.files, learnt, sorted(c.id for c in material.valid), chat_format, train_rows, valid_rows)


def _prepare_texts(recipe: Recipe, tokens: HFTokens, chat_format: ChatFormat, reporter: RunReporter) -> Prepared:
    if tokens.prompt_end_ids:
        raise ConfigError("这个基座是 prefix-LM，不能逐词地学纯文本。请换基座，或把文本写成问答。")
    texts = gather_texts(recipe.data, recipe.training.seed)
    copies = f"；{texts.copies} 篇与别的完全相同，没有用" if texts.copies else ""
    reporter.note(f"继续预训练：{len(texts.train)} 篇用来学，{len(texts.valid)} 篇用来验证{copies}")
    train_rows, valid_rows = (
        pack(part, tokens, length=recipe.data.cutoff, progress=reporter.tokenising)
        for part in (texts.train, texts.valid)
    )
    return Prepared(texts.files, [], sorted(d.id for d in texts.valid), chat_format, train_rows, valid_rows)


def tokens_hash(tokens: HFTokens) -> str:
    """Identifies a tokenizer by what it makes of text: vocabulary, merges, settings, and the tokens around a text."""
    backend = getattr(tokens.tokenizer, "backend_tokenizer", None)
    words = backend.to_str() if backend is not None else repr(sorted(tokens.tokenizer.get_vocab().items()))
    around = (tokens.start_ids, tokens.end_id, sorted(tokens.control_ids), *tokens.prompt_end_ids)
    return sha256_text(repr((words, *around)))


def _rows(
    conversations: list[Any], part: DataPart, chat_format: ChatFormat, tokens: Tokens, reporter: RunReporter
) -> Rows:
    rows, cached = cached_rows(
        conversations,
        chat_format,
        tokens,
        tokens_hash(cast(HFTokens, tokens)),
        cutoff=part.cutoff,
        cut_answers=part.too_long == "cut",
        learn_prompt=part.learn_prompt,
        progress=reporter.tokenising,
    )
    if cached:
        reporter.note(f"用缓存中已分词的 {len(rows.rows)} 行")
    return rows
