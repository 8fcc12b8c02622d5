"""Refine for other scripts than Hangul: real Thai and Greek through all promises, on every kind of base."""

import logging
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from kovocab import RefineSettings, refine
from kovocab.counting.count import count
from kovocab.errors import UsageError
from kovocab.refining.candidates import Decisions
from kovocab.tokenizer.script import script_of
from kovocab.tokenizer.tokenizer import Source, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.reference import as_library

LANGUAGES = {"Thai": "th", "Greek": "el"}


@pytest.fixture(scope="module")
def other(data: Path) -> pl.DataFrame:
    return pl.read_ndjson(data / "other.jsonl.zst")


@pytest.fixture(scope="module")
def source(data: Path, byte_level: Callable[[str], TokenizerJson]) -> Callable[[str], Source]:
    return lambda name: data / "tokenizers" / name if name == "mistral_v1" else byte_level(name)


@pytest.fixture(scope="module")
def by_base(other: pl.DataFrame, source: Callable[[str], Source]) -> Callable[[str], dict[str, list[int]]]:
    """A third of the texts, each with what a base makes of it."""
    texts = other["text"].gather_every(3).to_list()
    return cache(lambda name: dict(zip(texts, as_library(load_tokenizer(source(name))).encode(texts), strict=True)))


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2", "qwen2"])
@pytest.mark.parametrize("script", LANGUAGES)
def test_a_script_through_all_promises(
    other: pl.DataFrame,
    source: Callable[[str], Source],
    by_base: Callable[[str], dict[str, list[int]]],
    tmp_path: Path,
    script: str,
    name: str,
) -> None:
    base = source(name)
    texts = other.filter(pl.col("lang") == LANGUAGES[script])["text"]
    result = refine(count(texts, base), base, RefineSettings(5, 5, 1_500, script=script))
    record = result.save(tmp_path / "tokenizer")
    saved = load_tokenizer(tmp_path / "tokenizer")
    emitted = Counter(i for ids in as_library(saved).encode(texts.to_list()) for i in ids)
    assert sum(emitted.values()) == record["rounds"][-1]["tokens"]
    assert record["rounds"][-1]["tokens_per_word"] < 0.8 * record["base_tokens_per_word"]
    rows = result.vocabulary.filter(~pl.col("token").str.starts_with("<0x"))
    assert dict(rows.select("id", "count").iter_rows()) == {i: emitted[i] for i in rows["id"]}
    assert all(map(script_of(script).can_be_new, rows["token"]))
    assert record["promises"]["new_tokens"] == record["new_tokens"] > 200
    assert record["promises"]["texts_with_hangul"] > 10  # of the script, that is
    assert ("texts_in_model" in record["promises"]) == (name == "mistral_v1")
    without = {t: ids for t, ids in by_base(name).items() if not script_of(script).holds(t) and "฿" not in t}
    assert len(without) > 1_000
    assert as_library(saved).encode(list(without)) == list(without.values())


def test_two_scripts_at_once(other: pl.DataFrame, source: Callable[[str], Source]) -> None:
    base = source("gpt2")
    texts = other.filter(pl.col("lang").is_in(["th", "el"]))["text"]
    result = refine(count(texts, base), base, RefineSettings(20, 20, 2_000, script=["Thai", "Greek"]))
    tokens = result.vocabulary["token"].to_list()
    assert any(map(script_of("Thai").can_be_new, tokens))
    assert any(map(script_of("Greek").can_be_new, tokens))
    assert result.record["settings"]["script"] == ["Thai", "Greek"]


def test_what_the_syllable_step_does_is_said(
    other: pl.DataFrame, source: Callable[[str], Source], caplog: pytest.LogCaptureFixture
) -> None:
    base, texts = source("mistral_v1"), other.filter(pl.col("lang") == "th")["text"]
    caplog.set_level(logging.INFO)
    result = refine(count(texts, base), base, RefineSettings(10**6, 50, 1_500, script="Thai"))
    assert "min_syllable_count is of single characters of Thai as they are: it has no syllables" in caplog.text
    frequent = Counter("".join(texts))
    new = {c for c, seen in frequent.items() if seen >= 50 and script_of("Thai").can_be_new(c)}
    assert set(result.vocabulary["token"]) == new - load_tokenizer(base).texts.keys()


def test_what_is_refused(other: pl.DataFrame, source: Callable[[str], Source]) -> None:
    base, texts = source("gpt2"), other.filter(pl.col("lang") == "el")["text"]
    words = count(texts, base)
    with pytest.raises(UsageError, match=r"script is 'Greeek', and Unicode has none of that name; .*such as Greek"):
        refine(words, base, RefineSettings(5, 5, script="Greeek"))
    with pytest.raises(UsageError, match=r"the word counts hold no word with Thai that a token can be made of"):
        refine(words, base, RefineSettings(5, 5, script="Thai"))
    with pytest.raises(UsageError, match="no word with Gothic that a token can be made of"):
        refine(words, base, RefineSettings(5, 5, script="Gothic"))
    with pytest.raises(UsageError, match=r"'가' is to be kept .*, for it has U\+AC00 .*; wanted characters of Greek"):
        refine(words, base, RefineSettings(5, 5, script="Greek"), Decisions(frozenset(["가"])))
