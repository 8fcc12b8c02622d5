"""Fertility: arithmetic on a tokenizer that is easy to follow, and batches that make no difference."""

from pathlib import Path

import polars as pl
import pytest

from kovocab.evaluating.fertility import fertility
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import ids, tokenizer_of


@pytest.fixture(scope="module")
def characters() -> TokenizerJson:
    """One token a character that is not whitespace."""
    model = {"type": "BPE", "vocab": {"?": 0}, "merges": [], "unk_token": "?"}
    return tokenizer_of({"model": model, "pre_tokenizer": {"type": "WhitespaceSplit"}})


def test_counts(characters: TokenizerJson) -> None:
    assert fertility(pl.Series(["안녕 ab", "  c\n\u3000", None, ""]), characters) == {
        "documents": 3,
        "words": 3,
        "bytes": 9 + 7,
        "tokens": 5,
        "tokens_per_word": 5 / 3,
        "bytes_per_token": 16 / 5,
    }


@pytest.mark.parametrize("texts", [pl.Series([], dtype=pl.String), [], pl.Series([None], dtype=pl.String)])
def test_nothing(characters: TokenizerJson, texts: pl.Series | list[pl.Series]) -> None:
    got = fertility(texts, characters)
    assert (got["documents"], got["tokens"]) == (0, 0)
    assert got["tokens_per_word"] is None
    assert got["bytes_per_token"] is None


def test_special_tokens_are_not_counted(base: TokenizerJson) -> None:
    got = fertility(pl.Series(["Hello world", "안녕"]), base)
    assert got["tokens"] == sum(len(i) - 1 for i in ids(base, ["Hello world", "안녕"], template=True))


def test_batches_make_no_difference(data: Path) -> None:
    texts = pl.read_ndjson(data / "ko_small.jsonl.zst")["text"].head(5_000)
    tokenizer = data / "tokenizers" / "mistral_v1"
    whole = fertility(texts, tokenizer)
    assert fertility((texts.slice(i, 777) for i in range(0, len(texts), 777)), tokenizer) == whole
    assert whole["documents"] == 5_000
    assert whole["words"] == sum(len(text.split()) for text in texts)
    assert whole["bytes"] == sum(len(text.encode()) for text in texts)
    # data/MANIFEST.md: 4.75 on all of ko.parquet.
    assert whole["tokens_per_word"] == pytest.approx(4.75, abs=0.15)
