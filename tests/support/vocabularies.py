"""Small word counts and vocabularies, by the shortest way; and tokenizers taken apart, changed and used."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl
import pytest

from kovocab.counting.word_counts import WORDS
from kovocab.refining import intermediate
from kovocab.tokenizer.parsing import parse
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, Script
from kovocab.tokenizer.tokenizer_json import BpeModel, Merge, TokenizerJson
from support.reference import RUN, as_library

SCHEMA = {"token": pl.String, "left": pl.String, "right": pl.String}


def vocabulary(*rows: tuple[str, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, SCHEMA, orient="row")


def words_of(counts: Mapping[str, int]) -> pl.DataFrame:
    return pl.DataFrame(list(counts.items()), WORDS, orient="row")


def train_vocabulary(texts: Iterable[str], size: int) -> pl.DataFrame:
    """Train BPE on the Hangul words of `texts`, of the most common characters: characters first, then merges in order.

    As many rows as `size` less one: the trainer counts `▁` too.
    """
    runs = Counter(run for text in texts for run in RUN.findall(text.replace(" ", "▁")))
    characters: Counter[str] = Counter()
    for run, count in runs.items():
        characters.update(dict.fromkeys(run, 0) | {c: run.count(c) * count for c in run})
    known = {c for c, _ in sorted(characters.items(), key=lambda item: (-item[1], item[0]))[: size // 2]}
    kept: Counter[str] = Counter()
    for run, count in runs.items():
        kept.update(dict.fromkeys("".join(c if c in known else " " for c in run).split(), count))
    return intermediate.train(words_of(kept), size).filter(pl.col("token") != "▁").select(list(SCHEMA))


def vocabulary_of_words(texts: Iterable[str], size: int, script: Script = HANGUL) -> pl.DataFrame:
    """Train BPE on the script in the words between spaces, of all characters: `token`, `left`, `right`."""
    counts = Counter(word for text in texts for word in text.replace(" ", " ▁").split(" "))
    trained = intermediate.train(intermediate.training_words(words_of(counts), script), size)
    kept = trained.filter(pl.col("token") != "▁").unique("token", keep="first", maintain_order=True)
    return kept.select(list(SCHEMA))


def tokenizer_merges(tokenizer: TokenizerJson) -> list[Merge]:
    assert isinstance(tokenizer.model, BpeModel)
    return list(tokenizer.model.merges)


def tokenizer_of(config: Mapping[str, Any]) -> TokenizerJson:
    """What a `tokenizer.json` of this content says."""
    return parse(json.dumps(config), "a test's tokenizer")


def changed(tokenizer: TokenizerJson, change: Callable[[dict[str, Any]], object]) -> TokenizerJson:
    """A tokenizer with a change made to its `tokenizer.json`."""
    config = json.loads(tokenizer.text)
    change(config)
    return tokenizer_of(config)


def with_added(tokenizer: TokenizerJson, *contents: str, special: bool = True) -> TokenizerJson:
    """The tokenizer with more added tokens, numbered as `tokenizers` does."""

    def add(config: dict[str, Any]) -> None:
        for i, content in enumerate(contents, tokenizer.size):
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
            token = {"id": tokenizer.ids.get(content, i), "content": content, "special": special}
            config["added_tokens"].append(token | flags | {"normalized": not special})

    return changed(tokenizer, add)


def in_use_elsewhere(tokenizer: TokenizerJson) -> Any:
    """The `tokenizers.Tokenizer` of 0.23 that somebody has."""
    library: Any = Reference(tokenizer).library
    if not hasattr(library, "to_str"):
        pytest.skip("this version of tokenizers does not give a Tokenizer's file back")
    return library


def ids(tokenizer: TokenizerJson, texts: Iterable[str], *, template: bool = False) -> list[list[int]]:
    """The ids that `tokenizers` gives."""
    return as_library(tokenizer).encode(list(texts), template=template)


def pieces(tokenizer: TokenizerJson, text: str) -> list[str]:
    """The tokens that `tokenizers` gives."""
    return [tokenizer.tokens[i] for i in ids(tokenizer, [text])[0]]
