"""The tally: what is spilled and combined again is what was counted, and the bound is kept."""

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab import _core
from kovocab.counting import one_pass, tally, word_counts
from kovocab.counting.count import combine, combine_to, count, count_to, count_words
from kovocab.counting.tally import Tally
from kovocab.counting.token_counts import count_tokens
from kovocab.counting.word_counts import WORDS, load_counted
from kovocab.errors import ArtefactError
from kovocab.example.text import sample_documents, write_sample
from kovocab.machine import memory
from kovocab.reading import blocks, documents
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.vocabularies import words_of

SPILLS = {"memory": 1}
"""Settings with which every batch is spilled; see `low`."""


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Bounds and batches so low that a few megabytes spill many times; the sizes of what was spilled, as it was."""
    monkeypatch.setattr(memory, "LEAST", 1)
    monkeypatch.setattr(tally, "_LEAST", 0)
    monkeypatch.setattr(one_pass, "BATCH_SIZE", 100_000)
    monkeypatch.setattr(documents, "BATCH_SIZE", 100_000)
    monkeypatch.setitem(documents.batches.__kwdefaults__, "batch_size", 100_000)
    monkeypatch.setattr(blocks, "BLOCK", 50_000)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    spilled: list[int] = []
    spill = Tally.spill

    def watched(self: Tally) -> None:
        spill(self)
        spilled.append(self.spilled)

    monkeypatch.setattr(Tally, "spill", watched)
    return spilled


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """3 MB in files of several kinds."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for seed, name in enumerate(["a.txt", "b.jsonl", "c.parquet", "d.txt"]):
        write_sample(folder / name, 750_000, seed=seed)
    return folder


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_run_that_spills_ends_as_one_that_does_not(
    base: TokenizerJson, texts: Path, tmp_path: Path, low: list[int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (tally, word_counts):
        monkeypatch.setattr(room, "ROWS", 10_000)  # so that there are many tables and row groups
    whole, whole_record = tmp_path / "whole", count_to(tmp_path / "whole", texts, base, threads=1)[0]
    assert low == []
    spilled = tmp_path / "spilled"
    record, _ = count_to(spilled, texts, base, threads=threads, **SPILLS)
    assert len(low) > 10
    assert low == sorted(low)
    assert record == whole_record
    assert spilled.read_bytes() == whole.read_bytes()
    frame = count_words(texts, base, threads=threads, **SPILLS)
    assert len(low) > 20
    assert frame.equals(load_counted(whole).words)
    assert len(frame) > 60_000
    assert list((tmp_path / "temporary").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"temporary", "texts", "whole", "spilled"}


def test_real_text_that_spills(ko_small: pl.Series, mistral: Path, counted: Any, low: list[int]) -> None:
    again = count(ko_small, mistral, threads=2, **SPILLS)
    assert len(low) > 50
    assert again.words.equals(counted.words)
    assert again.record == counted.record


def test_tokens_within_a_bound(base: TokenizerJson, texts: Path, tmp_path: Path, low: list[int]) -> None:
    expected = count_tokens(texts, base)
    for threads in (1, 3):
        assert count_tokens(texts, base, threads=threads, **SPILLS).equals(expected)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_files_are_combined_within_a_bound(
    base: TokenizerJson, texts: Path, tmp_path: Path, low: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_counts, "ROWS", 5_000)
    paths = []
    for path in sorted(texts.iterdir()):
        paths.append(tmp_path / f"{path.stem}.words")
        count_to(paths[-1], path, base)
    expected = combine_to(tmp_path / "whole", paths)
    assert low == []
    assert combine_to(tmp_path / "spilled", paths, **SPILLS) == expected
    assert len(low) > 3
    assert (tmp_path / "spilled").read_bytes() == (tmp_path / "whole").read_bytes()
    assert load_counted(tmp_path / "whole").words.equals(combine(*(load_counted(path).words for path in paths)))
    # And yesterday's, of which there is more than fits.
    record, _ = count_to(tmp_path / "added", texts / "a.txt", base, add_to=paths[1:], **SPILLS)
    assert load_counted(tmp_path / "added").words.equals(load_counted(tmp_path / "whole").words)
    assert record["words"] == expected["words"]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_error_leaves_no_temporary_folder(base: TokenizerJson, tmp_path: Path, low: list[int]) -> None:
    def broken() -> Any:
        yield from sample_documents(500_000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        count_words(broken(), base, **SPILLS)
    assert len(low) > 2
    assert list((tmp_path / "temporary").iterdir()) == []


def test_it_is_full_when_what_is_used_would_pass_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    used = 1000
    monkeypatch.setattr(memory, "used", lambda: used)
    monkeypatch.setattr(tally, "_LEAST", 0)
    with Tally(1, 2000) as words:
        assert not words.full()
        used = 2001
        assert words.full()
        used = 2000
        assert not words.full()
        # Tables that are nearly full will double.
        while words._counter.size()[2] == words._counter.size()[1]:
            at = words.held
            words.add(words_of({str(number): 1 for number in range(at, at + 20_000)}))
        assert words.full()
        monkeypatch.setattr(tally, "_LEAST", 1 << 40)
        assert not words.full()


WORD = st.text(st.sampled_from("ab▁가\0😀"), min_size=1, max_size=40).filter(lambda word: " " not in word)
TABLE = st.dictionaries(WORD, st.integers(1, 1 << 40), max_size=30)


@settings(max_examples=40, deadline=None)
@given(tables=st.lists(TABLE, min_size=1, max_size=4), threads=st.integers(1, 3), spills=st.sets(st.integers(0, 3)))
def test_words_that_are_added_and_spilled_are_summed(
    tables: list[dict[str, int]], threads: int, spills: set[int]
) -> None:
    expected: dict[str, int] = {}
    with Tally(threads, 1 << 40) as words:
        for at, table in enumerate(tables):
            words.add(words_of(table))
            for word, number in table.items():
                expected[word] = expected.get(word, 0) + number
            if at in spills:
                words.spill()
                assert words.held == 0
        distinct, total, found = words.finish()
        result = pl.concat([pl.DataFrame(schema=WORDS), *found])
    assert (distinct, total) == (len(expected), sum(expected.values()))
    assert result.rows() == sorted(expected.items(), key=lambda row: (-row[1], row[0].encode()))


@pytest.mark.parametrize("when", ["before they are sorted", "after"])
def test_words_that_are_gone_from_the_disk_are_told(when: str, base: TokenizerJson, tmp_path: Path) -> None:
    with Tally(2, 1 << 40, tmp_path) as words:
        words.update(_core.Bpe(base.text), pl.Series([" ".join(f"가{number}" for number in range(1000))]))
        words.spill()
        if when == "after":
            *_, tables = words.finish()
            (tmp_path / "017.sorted").unlink()
            with pytest.raises(ArtefactError, match=rf"^{tmp_path}: words that were kept there are gone"):
                list(tables)
        else:
            (tmp_path / "017.words").unlink()
            with pytest.raises(ArtefactError, match=rf"^{tmp_path}: words that were kept there are gone"):
                words.finish()


def test_a_folder_that_cannot_be_written_to_is_named(base: TokenizerJson, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with Tally(2, 1 << 40, gone) as words:
        words.update(_core.Bpe(base.text), pl.Series(["가나다 라마바"]))
        with pytest.raises(ArtefactError, match=rf"words cannot be kept on disk: {gone}/\d+\.words: No such file"):
            words.spill()
        gone.mkdir()
        words.spill()  # nothing was lost
        broken = max(gone.iterdir(), key=lambda path: path.stat().st_size)
        broken.write_bytes(b"\xff" * broken.stat().st_size)
        with pytest.raises(ArtefactError, match=rf"words cannot be kept on disk: {broken}: "):
            words.finish()
