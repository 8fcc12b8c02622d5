"""Copies of documents left out: exactly, counted, within memory."""

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.errors import UsageError
from kovocab.reading.repeats import Seen
from support.corpora import read, write
from support.fuzzing import fuzzed, hangul


@fuzzed
@given(texts=st.lists(hangul, max_size=30), size=st.integers(1, 9))
def test_the_first_of_each_stays(texts: list[str], size: int) -> None:
    seen, kept, left = Seen(), [], 0
    for at in range(0, len(texts), size):
        some, bytes_ = seen.first(pl.Series(texts[at : at + size], dtype=pl.String))
        kept += some.to_list()
        left += bytes_
    assert kept == list(dict.fromkeys(texts))
    assert left == sum(len(text.encode()) for text in texts) - sum(len(text.encode()) for text in kept)


def test_it_goes_on_where_it_was_kept(tmp_path: Path) -> None:
    texts = [f"문서 {number}" for number in range(100_000)]
    seen = Seen()
    assert len(seen.first(pl.Series(texts[:60_000]))[0]) == 60_000
    assert seen.keep(tmp_path / "seen") == 60_000 * 16
    assert len(seen.first(pl.Series(texts[:70_000]))[0]) == 10_000
    assert seen.keep(tmp_path / "seen") == 70_000 * 16
    again = Seen()
    again.load(tmp_path / "seen")
    assert again.first(pl.Series(texts))[0].to_list() == texts[70_000:]


def test_what_passes_the_memory_is_refused() -> None:
    seen = Seen()
    seen.limit = 100_000
    seen.first(pl.Series([str(number) for number in range(100)]))
    with pytest.raises(UsageError, match=r"deduplicate: .* 100,100 documents .* wanted a larger --memory"):
        seen.first(pl.Series([f"x{number}" for number in range(100_000)]))


def test_across_files_and_normal_forms(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a", ".jsonl", ["가", "나", "가", "\u1100\u1161"])
    write(tmp_path / "b", ".parquet", ["다", "나"])
    assert read(tmp_path, deduplicate=True) == ["가", "나", "\u1100\u1161", "다"]
    assert read(tmp_path, deduplicate=True, normalize="nfc") == ["가", "나", "다"]
    order = random.Random(5).sample(range(1_000), 1_000)
    assert read(iter([str(n % 300) for n in order]), deduplicate=True) == list(
        dict.fromkeys(str(n % 300) for n in order)
    )
