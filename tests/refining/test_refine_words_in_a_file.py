"""Words that stay in their file: what comes out is the same bytes as of words in memory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kovocab import RefineSettings, _core, refine
from kovocab.cli.main import main
from kovocab.counting import tables, word_counts
from kovocab.counting.count import count_to
from kovocab.counting.tables import CountedFile, Held, Stored, opened
from kovocab.counting.token_counts import count_ids
from kovocab.counting.word_counts import Counted, load_counted
from kovocab.errors import CorpusError, UsageError
from kovocab.refining.refined import texts_of
from kovocab.tokenizer.engine import bpe_of
from kovocab.tokenizer.script import HANGUL
from kovocab.tokenizer.tokenizer import load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson

SETTINGS = RefineSettings(20, 20, 4_000, max_new_tokens=700)


@pytest.fixture
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word counts are written and read some thousand at a time."""
    monkeypatch.setattr(word_counts, "ROWS", 3_000)


@pytest.fixture
def in_file(monkeypatch: pytest.MonkeyPatch, small_tables: None) -> None:
    """Words are taken to be larger than any memory."""
    monkeypatch.setattr(tables, "_WORD", 1 << 40)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2", "qwen2", "llama3"])
def test_refine_leaves_the_same_bytes(
    data: Path,
    byte_level: Callable[[str], TokenizerJson],
    ko_small: pl.Series,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_tables: None,
    name: str,
) -> None:
    base = data / "tokenizers" / name if name == "mistral_v1" else byte_level(name)  # llama3 takes some words whole
    words = tmp_path / "words.parquet"
    count_to(words, ko_small.gather_every(12), base)
    assert isinstance(opened(words), Counted)
    refine(words, base, SETTINGS).save(tmp_path / "memory")
    monkeypatch.setattr(tables, "_WORD", 1 << 40)
    assert isinstance(opened(words), CountedFile)
    refine(words, base, SETTINGS, memory="512MiB").save(tmp_path / "file")
    assert contents(tmp_path / "file") == contents(tmp_path / "memory")


VERBS = {
    "refine": "--min_count 3 --min_syllable_count 3 --out {out}",
    "replace": "--tokenizer {street}/tokenizer --keep {street}/english.parquet --max_english_loss 0.05 --out {out}",
    "thresholds": "--out {out}.svg",
}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_leaves_the_same_bytes(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    found = []
    for where, size in (("memory", 1), ("file", 1 << 40)):
        monkeypatch.setattr(tables, "_WORD", size)
        (tmp_path / where).mkdir()
        line = f"{verb} --words {street}/words.parquet --base {street}/base --memory 600MB " + VERBS[verb]
        assert main(line.format(street=street, out=tmp_path / where / "out").split()) == 0
        out = tmp_path / where
        found.append(contents(out if verb == "thresholds" else out / "out"))
        said = capsys.readouterr().out.replace(where, "")
    assert found[0] == found[1]
    assert said


def test_words_and_counts_are_those_of_the_file(street: Path, in_file: None) -> None:
    path, base = street / "words.parquet", load_tokenizer(street / "base")
    counted, stored = load_counted(path), opened(path)
    assert isinstance(stored, CountedFile)
    for rows in (pl.col("word").str.contains("[가-힣]"), pl.col("count") > 1, pl.lit(True)):
        for held, read in zip(Held(counted.words).parted(rows), tables.tables(stored).parted(rows), strict=True):
            assert pl.concat(read).equals(held.words)
            assert pl.concat(read).equals(held.words)  # as often as they are asked for
            assert count_ids(read, base).equals(count_ids(held, base))
            inner = pl.col("word").str.len_chars() > 3
            assert [pl.concat(part).rows() for part in read.parted(inner)] == [
                part.words.rows() for part in held.parted(inner)
            ]
    assert texts_of(tables.tables(stored), HANGUL, 7, 3) == texts_of(Held(counted.words), HANGUL, 7, 3)
    without = replace(stored, record={key: value for key, value in stored.record.items() if key != "bytes"})
    size = (counted.words["word"].str.len_bytes() * counted.words["count"]).sum()
    assert tables.bytes_of(Counted(counted.words, without.record)) == size
    assert tables.bytes_of(stored) == counted.record["bytes"]


def test_the_bound_says_where_words_are(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, words = street / "words.parquet", load_counted(street / "words.parquet").words
    size = int(words["word"].str.len_bytes().sum())
    for a_word, a_byte in ((600_000_000 // 4 // len(words), 0), (0, 600_000_000 // 4 // size)):
        monkeypatch.setattr(tables, "_WORD", a_word)
        monkeypatch.setattr(tables, "_BYTE", a_byte)
        assert isinstance(opened(path, 600_000_000), Counted)
        assert isinstance(opened(path, 600_000_000, files=2), CountedFile)
        monkeypatch.setattr(tables, "_WORD", a_word + (a_word > 0))
        monkeypatch.setattr(tables, "_BYTE", a_byte + (a_byte > 0))
        assert isinstance(opened(path, 600_000_000), CountedFile)
        assert isinstance(opened(path, "1GB"), Counted)


def test_a_file_that_is_replaced_meanwhile_is_an_error(street: Path, tmp_path: Path, in_file: None) -> None:
    path, base = tmp_path / "words.parquet", street / "base"
    count_to(path, pl.Series(["가나 다라"] * 9), base)
    stored = opened(path)
    words = tables.tables(stored)
    assert isinstance(words, Stored)
    assert sum(map(len, words)) == 1  # nothing is cut for this base
    path.unlink()
    count_to(path, pl.Series(["마바 다라"] * 9), base)  # of a record that is no other
    with pytest.raises(CorpusError, match=r"words\.parquet was replaced while it was read; begin again"):
        list(words)
    path.unlink()
    with pytest.raises(CorpusError, match=r"words\.parquet"):
        refine(stored, base)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ("much", "wanted bytes, or a size such as 4GB"),
        ("5MB", "at least 512MiB"),
        ("9" * 400, "wanted less than 1,024PiB"),
        ("99999999TB", "wanted less than 1,024PiB"),
    ],
    ids=["no size", "little", "no number", "much"],
)
def test_a_memory_that_is_no_size(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, memory: str, said: str
) -> None:
    line = f"{verb} --words {street}/words.parquet --base {street}/base --memory {memory} " + VERBS[verb]
    assert main(line.format(street=street, out=tmp_path / "out").split()) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_no_word_counts(street: Path, tmp_path: Path) -> None:
    (tmp_path / "other.parquet").write_bytes(b"x")
    wrong: list[tuple[Any, type[Exception], str]] = [
        (tmp_path / "none.parquet", CorpusError, "none.parquet"),
        (tmp_path / "other.parquet", CorpusError, "other.parquet cannot be read"),
        (pl.DataFrame({"word": ["가"]}), UsageError, "wanted"),
        (Counted(pl.DataFrame({"word": ["가"]}), {}), UsageError, "wanted"),
    ]
    for words, error, said in wrong:
        with pytest.raises(error, match=said):
            refine(words, street / "base")


def test_segments_are_given_once(street: Path) -> None:
    segmenter = _core.Segmenter(bpe_of(load_tokenizer(street / "base")), "", 1)
    none = pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.UInt64)
    assert len(segmenter.segments()) == 0
    for again in (segmenter.segments, lambda: segmenter.feed(*none)):
        with pytest.raises(ValueError, match="the segments were given already"):
            again()
