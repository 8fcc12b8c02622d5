"""Small word counts and vocabularies, by the shortest way; and tokenizers taken apart."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from kovocab.counting.word_counts import WORDS

SCHEMA = {"token": pl.String, "left": pl.String, "right": pl.String}


def vocabulary(*rows: tuple[str, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, SCHEMA, orient="row")


def words_of(counts: Mapping[str, int]) -> pl.DataFrame:
    return pl.DataFrame(list(counts.items()), WORDS, orient="row")


def train_vocabulary(texts: Iterable[str], size: int) -> pl.DataFrame:
    """Train BPE on the Hangul words of `texts`: characters first, then merges in order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁?[가-힣ㄱ-ㅣ]+"), "removed", invert=True)
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=size // 2, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    characters = sorted(token for token in tokenizer.get_vocab() if len(token) == 1 and token != "▁")
    merges = tokenizer_merges(tokenizer)
    return vocabulary(
        *((character, None, None) for character in characters),
        *((left + right, left, right) for left, right in merges),
    )


def tokenizer_merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    return [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def changed(tokenizer: Tokenizer, change: Callable[[dict[str, Any]], object]) -> Tokenizer:
    """A tokenizer with a change made to its `tokenizer.json`."""
    config = json.loads(tokenizer.to_str())
    change(config)
    return Tokenizer.from_str(json.dumps(config))
