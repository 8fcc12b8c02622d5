"""The intermediate tokenizer: the merges of `tokenizers`' trainer, in its order, from word counts."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab import _core
from kovocab.counting.word_counts import Counted
from kovocab.errors import UsageError
from kovocab.example.text import sample_documents
from kovocab.refining.intermediate import train, training_words
from kovocab.tokenizer.script import HANGUL, script_of
from support import reference
from support.vocabularies import words_of

# Few letters and small counts: ties everywhere, runs of one letter, and tokens that can be made in two ways.
COUNTS = st.sampled_from(["a", "ab", "abc", "▁ab", "가나다", "ㅋ▁"]).flatmap(
    lambda letters: st.dictionaries(st.text(letters, min_size=1, max_size=16), st.integers(1, 4), max_size=12)
)


def merges(trained: pl.DataFrame) -> list[tuple[str, str]]:
    return trained.filter(pl.col("left").is_not_null()).select("left", "right").rows()


@settings(max_examples=400, deadline=None)
@given(counts=COUNTS, size=st.sampled_from([3, 8, 20, 70]), min_count=st.integers(1, 4))
def test_merges_and_their_order_are_those_of_tokenizers(counts: dict[str, int], size: int, min_count: int) -> None:
    expected = reference.train_by_tokenizers(counts, size, min_count)
    assert merges(train(words_of(counts), size, min_count)) == expected


@settings(max_examples=200, deadline=None)
@given(counts=COUNTS, size=st.sampled_from([8, 20, 70]), min_count=st.integers(1, 4))
def test_merges_are_those_of_counting_anew(counts: dict[str, int], size: int, min_count: int) -> None:
    assert merges(train(words_of(counts), size, min_count)) == reference.train(counts, size, min_count)


def learned(
    words: pl.DataFrame, size: int, memory: int, threads: int = 2, rows: int = 1_000
) -> tuple[pl.DataFrame, int]:
    """What is learned within so many bytes, which may be too few for anything, and how often the words were read."""
    none = pl.Series([], dtype=pl.String)
    learner = _core.Learner(none, "", vocab_size=size, min_count=1, threads=threads, memory=memory)
    times = 0
    while learner.again():
        times += 1
        for batch in words.iter_slices(rows):
            learner.feed(batch["word"], batch["count"])
    return pl.DataFrame(learner.learned()), times


@settings(max_examples=200, deadline=None)
@given(
    counts=COUNTS,
    size=st.sampled_from([8, 20, 70]),
    memory=st.sampled_from([0, 200, 2_000, 3 << 20]),
    threads=st.integers(1, 3),
)
def test_less_memory_is_more_reading_and_the_same_merges(
    counts: dict[str, int], size: int, memory: int, threads: int
) -> None:
    words = words_of(counts)
    assert learned(words, size, memory, threads, rows=5)[0].equals(train(words, size))


def test_less_memory_is_more_reading_and_the_same_merges_on_real_text(counted: Counted) -> None:
    words = training_words(counted.words)
    whole, times = learned(words, 12_000, 1 << 30)
    assert times == 2  # what was read the second time is kept
    for memory in (100_000, 3 << 20, 8 << 20):
        little, more_times = learned(words, 12_000, memory)
        assert memory > 100_000 or more_times > times
        assert little.equals(whole)


def test_words_in_a_file_are_read_piece_by_piece(counted: Counted, tmp_path: Path) -> None:
    counted.words.write_parquet(tmp_path / "words.parquet", row_group_size=10_000)
    lazy = pl.scan_parquet(tmp_path / "words.parquet")
    expected = train(training_words(counted.words), 6_000)
    assert train(lazy, 6_000, script=HANGUL).equals(expected)
    assert train(counted.words, 6_000, script=HANGUL).equals(expected)


@settings(max_examples=100, deadline=None)
@given(counts=st.dictionaries(st.text("▁a가나ㅋ漢字あ한", min_size=1, max_size=9), st.integers(1, 9), max_size=9))
@pytest.mark.parametrize("names", ["Hangul", "Han", ["Hiragana", "Han"]])
def test_words_are_cut_as_training_words_are(counts: dict[str, int], names: str | list[str]) -> None:
    script = script_of(names)
    words = words_of(counts)
    assert train(words, 30, script=script).equals(train(training_words(words, script), 30))


@pytest.mark.parametrize("min_count", [2, 100])
def test_merges_of_real_text_are_those_of_tokenizers(counted: Counted, min_count: int) -> None:
    words = training_words(counted.words)
    trained = train(words, 12_000, min_count)
    expected = reference.train_by_tokenizers(dict(words.iter_rows()), 12_000, min_count)
    characters = trained["left"].null_count()
    assert (len(trained) < 12_000) == (min_count == 100)
    assert len(expected) == len(trained) - characters > 2_000
    assert merges(trained) == expected


def test_merges_of_sample_text_are_those_of_tokenizers() -> None:
    runs = Counter(run for text in sample_documents(500_000) for run in reference.RUN.findall(text))
    assert merges(train(words_of(runs), 4_000)) == reference.train_by_tokenizers(runs, 4_000)


def test_the_order_of_the_words_does_not_matter() -> None:
    runs = Counter(run for text in sample_documents(100_000) for run in reference.RUN.findall(text))
    words = words_of(runs)
    assert train(words, 2_000).equals(train(words.sample(fraction=1.0, shuffle=True, seed=1), 2_000))


def test_characters_come_first_by_code_point_with_their_counts() -> None:
    trained = train(words_of({"나가": 3, "▁가": 2, "가": 1}), 5)
    assert trained.schema == {"token": pl.String, "left": pl.String, "right": pl.String, "count": pl.UInt64}
    assert trained.rows() == [
        ("▁", None, None, 2),
        ("가", None, None, 6),
        ("나", None, None, 3),
        ("나가", "나", "가", 3),
        ("▁가", "▁", "가", 2),
    ]


def test_counts_are_64_bit() -> None:
    # 3.7e9 is what byte-level Korean reaches at 100 GB; tokenizers counts pairs in 32 bits.
    words = {"가나": 5_000_000_000, "다라": 4_000_000_000, "가나다": 3_000_000_000, "라다": 2**62}
    trained = train(words_of(words), 7)
    assert trained["count"].to_list() == [
        8_000_000_000, 8_000_000_000, 2**62 + 7_000_000_000, 2**62 + 4_000_000_000,
        2**62, 8_000_000_000, 4_000_000_000,
    ]  # fmt: skip
    assert merges(trained) == [("라", "다"), ("가", "나"), ("다", "라")]
    with pytest.raises(OverflowError, match=r"a count passes 2\^64 - 1"):
        train(words_of({"가나": 2**63, "나다": 2**63}), 9)


def test_a_min_count_beyond_32_bits() -> None:
    words = words_of({"가나": 2**40, "다라": 2**33, "마바": 2**32 - 1})
    for min_count, merged in ((2**33, ["가나", "다라"]), (2**33 + 1, ["가나"]), (2**40, ["가나"]), (2**40 + 1, [])):
        assert ["".join(pair) for pair in merges(train(words, 20, min_count))] == merged


def test_an_alphabet_larger_than_the_vocabulary_is_kept_whole() -> None:
    trained = train(words_of({"가나다라마": 9}), 3)
    assert trained["token"].to_list() == ["가", "나", "다", "라", "마"]
    assert merges(trained) == reference.train_by_tokenizers({"가나다라마": 9}, 3) == []


def test_training_ends_where_pairs_do() -> None:
    assert train(words_of({}), 10).is_empty()
    assert merges(train(words_of({"가나": 2, "다라": 1}), 99)) == [("가", "나"), ("다", "라")]
    assert merges(train(words_of({"가나": 2, "다라": 1}), 99, min_count=2)) == [("가", "나")]
    assert merges(train(words_of({"가나": 0, "다": 5}), 99)) == []


@pytest.mark.parametrize(("size", "min_count"), [(0, 1), (10, 0), (-1, -1)])
def test_sizes_below_one(size: int, min_count: int) -> None:
    with pytest.raises(UsageError, match=f"vocab_size is {size} and min_count is {min_count}; wanted 1 or more"):
        train(words_of({"가": 1}), size, min_count)


def test_training_words_are_optional_space_and_hangul() -> None:
    words = words_of({"▁▁안녕": 1, "▁안녕": 2, "▁JSON": 9, "을": 4, "▁a을ㅋㅋ!안": 3, "\u1100\u1161": 5})
    assert training_words(words).rows() == [("▁안녕", 3), ("안", 3), ("을", 4), ("을ㅋㅋ", 3)]
    assert training_words(words_of({"a": 1})).is_empty()


def test_training_words_of_real_text_are_those_of_the_definition(counted: Counted) -> None:
    runs: Counter[str] = Counter()
    for word, n in counted.words.iter_rows():
        for run in reference.RUN.findall(word):
            runs[run] += n
    assert dict(training_words(counted.words).iter_rows()) == runs
