"""Errors: numbers with their nouns, and values of another kind, told in a line."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest

import kovocab
from kovocab.errors import UsageError, quantity, whole
from kovocab.tokenizer.tokenizer_json import TokenizerJson

WORDS = pl.DataFrame({"word": ["▁가"], "count": [3]}, {"word": pl.String, "count": pl.UInt64})


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (quantity(1, "fault"), "1 fault"),
        (quantity(0, "fault"), "0 faults"),
        (quantity(2_000, "fault"), "2,000 faults"),
        (quantity(1, "file is", "files are"), "1 file is"),
        (quantity(3, "file is", "files are"), "3 files are"),
    ],
)
def test_a_number_with_its_noun(said: str, wanted: str) -> None:
    assert said == wanted


@pytest.mark.parametrize("value", [1, 7, np.int64(7), np.uint8(7), (1 << 64) - 1])
def test_a_whole_number_is_handed_back_as_pythons(value: Any) -> None:
    assert whole("n", value) == value
    assert type(whole("n", value)) is int
    assert whole("n", 1 << 99, most=None) == 1 << 99


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (True, "n is True; wanted a whole number"),
        (2.0, "n is 2.0; wanted a whole number"),
        (float("nan"), "n is nan; wanted a whole number"),
        (Fraction(4, 2), "wanted a whole number"),
        ("20", "n is '20'; wanted a whole number"),
        (None, "n is None; wanted a whole number"),
        (0, "n is 0; wanted 1 or more"),
        (np.int64(-1), "n is -1; wanted 1 or more"),
        (1 << 64, "wanted less than 2^64"),
    ],
)
def test_what_is_no_whole_number_is_told(value: Any, wanted: str) -> None:
    with pytest.raises(UsageError) as error:
        whole("n", value)
    assert wanted in str(error.value)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (lambda base: kovocab.count("", base), "a path of the corpus is empty"),
        (lambda base: kovocab.count(["", "a.txt"], base), "a path of the corpus is empty"),
        (lambda base: kovocab.count(pl.Series(["가"]), base, threads="2"), "threads is '2'"),
        (lambda base: kovocab.count(pl.Series(["가"]), base, column=None), "column is None; wanted a name"),
        (lambda base: kovocab.count(pl.Series(["가"]), base, template=5), "template is 5; wanted text"),
        (lambda _: kovocab.combine(WORDS, 2), "word counts are of type int"),
        (lambda base: kovocab.refine({}, base), "words are of type dict"),
        (lambda base: kovocab.refine(WORDS, base, {"min_count": 3}), "settings are {'min_count': 3}"),
        (lambda base: kovocab.refine(WORDS, base, None, {"가": "keep"}), "decisions {'가': 'keep'}"),
        (lambda _: kovocab.RefineSettings(min_count=2.5), "min_count is 2.5"),
        (lambda _: kovocab.ReplaceSettings(max_english_loss="1%"), "max_english_loss is '1%'"),
        (lambda _: kovocab.ReplaceSettings(max_new_tokens=True), "max_new_tokens is True"),
        (lambda _: kovocab.write_sample("a.jsonl", float("nan")), "bytes_ is nan"),
        (lambda _: next(kovocab.sample_documents(documents=-1)), "documents is -1; wanted 0 or more"),
    ],
)
def test_a_value_of_another_kind_is_told(
    asked: Callable[[TokenizerJson], Any], wanted: str, base: TokenizerJson, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        asked(base)
    assert wanted in str(error.value)
    assert not list(tmp_path.iterdir())
