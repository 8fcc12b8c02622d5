"""Fertility: arithmetic on a tokenizer that is easy to follow, and batches that make no difference."""

import re
from pathlib import Path

import polars as pl
import pytest

from kovocab.evaluating.fertility import fertility, spelled, text_reference
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import WORD
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
        "one_token": 1 / 3,
        "two_tokens": 1.0,
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


def test_a_word_takes_the_tokens_of_its_characters_and_of_the_space_before_it(data: Path) -> None:
    """By hand, of both styles: what `tokenizers` makes of the text stands beside it."""
    texts = ["나무 tree  two\n뷁"]
    # ▁ 나 무 ▁tree ▁ ▁two ⏎ <0xEB> <0xB7> <0x81>: 3, 1, 1 and 3 tokens; of the two spaces one is nobody's.
    found = next(spelled(texts, text_reference(data / "tokenizers" / "mistral_v1")))
    assert (found.words, found.one, found.two, len(found.ids)) == (4, 2, 2, 10)
    # gpt2 has three bytes a syllable: 6, then Ġtree, and a space of its own, Ġtwo.
    found = next(spelled(texts, text_reference(data / "tokenizers" / "gpt2")))
    assert (found.words, found.one, found.two) == (4, 2, 2)


def test_words_in_few_tokens_equal_a_plain_count(data: Path) -> None:
    """Each word of 2,000 documents by itself, with the space before it, of a tokenizer that merges across none."""
    texts = pl.read_ndjson(data / "ko_small.jsonl.zst")["text"].head(2_000)
    reference = text_reference(data / "tokenizers" / "gpt2")
    got = fertility(texts, reference)
    words = [word for text in texts for word in re.findall(f" ?{WORD}", text)]
    lengths = [len(ids) for ids in reference.encode(words)]
    assert got["one_token"] == pytest.approx(sum(n == 1 for n in lengths) / len(words), abs=1e-3)
    assert got["two_tokens"] == pytest.approx(sum(n <= 2 for n in lengths) / len(words), abs=1e-3)
    assert got["words"] == len(words)


def test_where_the_library_tells_no_characters_the_shares_are_unknown(
    characters: TokenizerJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its version 1.0."""
    texts = pl.Series(["가 나"])
    known = fertility(texts, characters)
    spans = Reference.spans
    monkeypatch.setattr(Reference, "spans", lambda self, texts: [(ids, None) for ids, _ in spans(self, texts)])
    assert fertility(texts, characters) == {**known, "one_token": None, "two_tokens": None}
