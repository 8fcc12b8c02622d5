"""Refine on byte-level bases: what comes out is held to `tokenizers`; scaffolds count as new tokens."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kovocab import RefineSettings, refine
from kovocab.counting.count import count
from kovocab.counting.token_counts import count_tokens
from kovocab.errors import UsageError
from kovocab.expanding.checks import check_spelling, check_vocabulary
from kovocab.refining.candidates import Decisions
from kovocab.refining.intermediate import tokens_of
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.script import HANGUL, script_of
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import BpeModel, TokenizerJson
from support.reference import as_library
from support.vocabularies import with_added

ByName = Callable[[str], TokenizerJson]
SETTINGS = RefineSettings(20, 20, 4_000)


@pytest.fixture(scope="module")
def texts(ko_small: pl.Series) -> pl.Series:
    return ko_small.gather_every(12)


@pytest.mark.parametrize(
    ("name", "first"), [("gpt2", 50_257), ("phi2", 50_295), ("qwen2", 151_646), ("llama3", 151_646)]
)
def test_what_is_counted_is_what_the_saved_tokenizer_emits(
    byte_level: ByName, texts: pl.Series, data: Path, tmp_path: Path, name: str, first: int
) -> None:
    base = byte_level(name)
    result = refine(count(texts, base), base, SETTINGS)
    record = result.save(tmp_path / "tokenizer")
    saved = load_tokenizer(tmp_path / "tokenizer")
    assert record["first_new_id"] == first
    assert saved.size == first + record["new_tokens"]
    assert record["rounds"][-1]["size"] == record["new_tokens"]
    emitted = Counter(i for ids in as_library(saved).encode(texts.to_list()) for i in ids)
    assert sum(emitted.values()) == record["rounds"][-1]["tokens"]
    counts = dict(result.vocabulary.select("id", "count").iter_rows())
    assert counts == {i: emitted[i] for i in counts}
    assert record["promises"]["new_tokens"] == record["new_tokens"]
    english = pl.read_ndjson(data / "en.jsonl.zst")["text"].gather_every(20).to_list()
    assert as_library(saved).encode(english) == as_library(base).encode(english)
    # Scaffolds are rows, the last ones, and expand can tell what they are made of.
    scaffolds = result.vocabulary.filter(pl.col("id") >= saved.size - record["scaffolds"])
    assert scaffolds["left"].null_count() == len(scaffolds) == record["scaffolds"]
    assert scaffolds["token"].str.contains("^<0xE[0-9A-F]><0x[89AB][0-9A-F]>$").all()
    assert scaffolds["base_pieces"].list.len().eq(2).all()
    assert (record["scaffolds"] > 0) == (name in ("gpt2", "phi2"))
    assert (f"{record['scaffolds']} scaffolds" in result.summary()) == (name in ("gpt2", "phi2"))
    check_vocabulary(tmp_path, result.vocabulary, saved, first)
    check_spelling(tmp_path, result.vocabulary, base, first)


@pytest.mark.parametrize("prune", ["leaf", "threshold"])
@pytest.mark.parametrize("most", [400, 1_001])
def test_scaffolds_count_as_new_tokens(byte_level: ByName, texts: pl.Series, prune: Any, most: int) -> None:
    base = byte_level("gpt2")
    result = refine(count(texts, base), base, RefineSettings(20, 20, 4_000, most, prune))
    assert most - 1 <= result.record["new_tokens"] <= most
    assert result.target.size == 50_257 + result.record["new_tokens"]
    assert 60 < result.record["scaffolds"] < 160


def test_a_token_to_keep_is_held_with_its_scaffolds(byte_level: ByName, texts: pl.Series) -> None:
    base = byte_level("gpt2")
    words = count(texts, base)
    kept = refine(words, base, RefineSettings(10**9, 10**9, 4_000), Decisions(frozenset(["▁그리고"])))
    tokens = kept.vocabulary.filter(~pl.col("token").str.starts_with("<"))["token"].to_list()
    new = [token for token in tokens if token not in base.texts]
    assert {token for token in new if len(token) == 1} == set("그리고")
    assert "▁그리고" in new
    # The base's own ㅋㅋ is made anew, too.
    assert kept.record["scaffolds"] == len({c.encode()[:2] for c in "그리고ㅋ"})
    held = kept.record["new_tokens"]
    assert held == len(new) + kept.record["scaffolds"]
    with pytest.raises(
        UsageError, match=f"max_new_tokens leaves no room for the {held} tokens, scaffolds among them, that decisions"
    ):
        refine(words, base, RefineSettings(1, 1, 4_000, held - 1), Decisions(frozenset(["▁그리고"])))


def test_jamo_that_no_token_can_hold_are_not_to_be_kept(byte_level: ByName, texts: pl.Series) -> None:
    base = byte_level("gpt2")
    with pytest.raises(UsageError, match=r"'ㄱㄱ' is to be kept and .* has U\+3131.*byte-level"):
        refine(count(texts, base), base, SETTINGS, Decisions(frozenset(["ㄱㄱ"])))


def test_token_counts_tell_hangul_from_the_rest(byte_level: ByName) -> None:
    counts = count_tokens(pl.Series(["안녕 café ㅋ"]), byte_level("qwen2")).filter(pl.col("count") > 0)
    text_of = byte_level("qwen2").text_of
    assert {text_of[i]: hangul for i, hangul in counts.select("id", "hangul").iter_rows()} == {
        "안": True, "녕": True, "▁café": False, "▁": False, "ㅋ": True,
    }  # fmt: skip


# Two sources of candidates


def test_training_goes_on_from_the_base_s_own_tokens(byte_level: ByName, texts: pl.Series, tmp_path: Path) -> None:
    base = byte_level("qwen2")
    words = count(texts, base)
    result = refine(words, base, dataclasses.replace(SETTINGS, candidates="continued"))
    record = result.save(tmp_path / "tokenizer")
    assert record["promises"]["new_tokens"] == record["new_tokens"] > 500
    own = tokens_of(base, HANGUL.in_bytes)
    assert len(own) == 961
    assert own[:3] == ["니다", "▁이", "▁수"]
    rows = [token for token in result.vocabulary["token"] if len(token) > 1]
    begin = list(takewhile(own.__contains__, rows))
    assert begin == [token for token in own if token in begin]  # in the base's order, before all that is learned
    assert len(begin) > 600
    assert record["promises"]["base_tokens_reachable"] == sum(token in base.texts for token in rows) >= len(begin)


def test_it_does_not_go_on_from_tokens_that_the_base_never_gives(byte_level: ByName) -> None:
    base = byte_level("qwen2")
    assert "ที่" in base.texts  # and its pattern parts it at the vowel sign
    thai = script_of("Thai").in_bytes
    own = tokens_of(base, thai)
    assert "ที่" not in own
    assert len(own) > 100
    encoded = as_library(base).encode([token.replace("▁", " ") for token in own])
    assert encoded == [[base.texts[token]] for token in own]
    assert "▁한국" in tokens_of(base, HANGUL.in_bytes)
    assert "▁한국" not in tokens_of(with_added(base, "한국", special=False), HANGUL.in_bytes)


def test_an_added_token_that_the_vocabulary_spells_in_bytes_too(
    byte_level: ByName, texts: pl.Series, tmp_path: Path
) -> None:
    base = with_added(byte_level("gpt2"), "\n\n", special=False)
    assert isinstance(base.model, BpeModel)
    assert [i for i, text in base.text_of.items() if text == "\n\n"] == [base.model.vocab["ĊĊ"], base.size - 1]
    result = refine(count(texts, base), base, SETTINGS)
    record = result.save(tmp_path / "tokenizer")
    saved = Reference(load_tokenizer(tmp_path / "tokenizer"))
    assert sum(map(len, saved.encode(texts.to_list()))) == record["rounds"][-1]["tokens"]
    assert record["new_tokens"] > 100


@pytest.mark.parametrize(("name", "added"), [("mistral_v1", "▁그리고"), ("gpt2", "▁"), ("gpt2", "▁그리고")])
def test_an_added_token_of_the_script(
    name: str, added: str, data: Path, byte_level: ByName, texts: pl.Series, tmp_path: Path
) -> None:
    """No new token has its name, and none is made of one that would; one with `▁` as it stands is no space."""
    plain = byte_level(name) if name == "gpt2" else load_tokenizer(data / "tokenizers" / name)
    base = with_added(plain, added)
    words = count(texts, base)
    record = refine(words, base, SETTINGS).save(tmp_path / "tokenizer")
    saved = load_tokenizer(tmp_path / "tokenizer")
    assert sum(map(len, Reference(saved).encode(texts.to_list()))) == record["rounds"][-1]["tokens"]
    new = {saved.text_of[i] for i in range(base.size, saved.size)}
    assert len(new) > 100
    assert any(token.startswith("▁그") for token in new)
    taken = {token for token in new if token.startswith(added)} if name == "mistral_v1" else set[str]()
    assert taken == set()
    assert saved.text_of[base.size - 1] == added


def test_on_a_base_that_has_only_characters_both_sources_are_one(mistral: Path, texts: pl.Series) -> None:
    words = count(texts, mistral)
    ours, theirs = (
        refine(words, mistral, dataclasses.replace(SETTINGS, candidates=source)).vocabulary
        for source in ("intermediate", "continued")
    )
    assert ours.equals(theirs)
