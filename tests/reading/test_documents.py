"""The reader: every format gives the same documents, and what a corpus in memory may be."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kovocab.corpus.faults import Fault
from kovocab.corpus.files import SUFFIXES
from kovocab.errors import CorpusError, UsageError
from kovocab.reading.documents import Corpus, batches, corpus_files, fingerprint
from kovocab.reading.formats import read_file
from support.corpora import SAMPLE, fault, read, write
from support.fuzzing import hangul, in_tabs, skipping

texts = st.lists(st.lists(hangul, max_size=4).map("".join), min_size=1, max_size=12)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=texts)
def test_every_format_gives_the_same_documents(tmp_path: Path, suffix: str, documents: list[str]) -> None:
    if SUFFIXES[suffix] == "lines":
        documents = [text.replace("\n", " ").rstrip("\r") for text in documents]
        documents[0] = documents[0].lstrip("\ufeff")
    if SUFFIXES[suffix] == "tsv":
        documents = in_tabs(documents)
    assert read(write(tmp_path, suffix, documents)) == documents


@settings(max_examples=50, deadline=None)
@given(documents=texts, batch_size=st.integers(1, 60))
def test_batches_are_bounded_and_lose_nothing(documents: list[str], batch_size: int) -> None:
    got = list(batches(iter(documents), batch_size=batch_size))
    assert [text for batch in got for text in batch] == documents
    for batch in got:
        assert batch.dtype == pl.String
        assert batch.name == "text"
        assert len(batch) == 1 or batch.str.len_bytes().sum() <= batch_size


@pytest.mark.parametrize(
    "corpus",
    [
        pl.Series(SAMPLE),
        pl.DataFrame({"text": SAMPLE}),
        pl.LazyFrame({"text": SAMPLE}),
        pl.Series("other", SAMPLE, dtype=pl.Categorical),
        (text for text in SAMPLE),
        map(str, SAMPLE),
        dict.fromkeys(SAMPLE).keys(),
    ],
    ids=lambda corpus: type(corpus).__name__,
)
def test_what_is_in_memory_is_a_corpus_too(corpus: Corpus) -> None:
    assert read(corpus) == SAMPLE
    assert corpus_files(corpus) == []
    assert fingerprint(corpus) == {"kind": "memory"}


def test_an_iterable_is_read_as_it_comes() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "가나다" * 1000

    assert len(next(batches(endless(), batch_size=1 << 20))) > 50


def test_real_zst_as_a_slow_reader(data: Path) -> None:
    with pa.input_stream(str(data / "ko_small.jsonl.zst"), compression="zstd") as stream:
        lines = stream.read().split(b"\n")
    assert read(data / "ko_small.jsonl.zst") == [json.loads(line)["text"] for line in lines if line]


def test_real_zst_by_another_key(data: Path) -> None:
    with pa.input_stream(str(data / "en_ko_pairs.jsonl.zst"), compression="zstd") as stream:
        lines = stream.read().split(b"\n")
    assert read(data / "en_ko_pairs.jsonl.zst", column="en") == [json.loads(line)["en"] for line in lines if line]


def test_real_parquet_as_pyarrow(data: Path) -> None:
    expected = pq.read_table(data / "ko.parquet", columns=["text"]).column("text")
    start = 0
    for batch in batches(data / "ko.parquet", batch_size=3_000_000):
        assert batch.str.len_bytes().sum() <= 3_000_000 or len(batch) == 1
        assert (
            batch.to_arrow()
            .cast(pa.large_string())
            .equals(expected.slice(start, len(batch)).combine_chunks().cast(pa.large_string()))
        )
        start += len(batch)
    assert start == len(expected) == 396_035


def test_faulty_memory() -> None:
    fault(pl.DataFrame({"a": ["b"]}), "the frame: no column 'text'; it has a")
    fault(pl.DataFrame({"text": ["b", None]}), "the frame: row 2: column 'text' is null")
    fault(pl.Series([1, 2]), "the series: column 'text' is of type Int64; wanted String")
    fault(iter(["a", None]), "the iterable: document 2: found None; wanted a string")  # type: ignore[arg-type]
    fault(iter([Path("a.txt")]), "the iterable: document 1: found PosixPath(")  # type: ignore[arg-type]
    fault(iter(["a", "b\udc80"]), "the iterable: document 2: holds \\udc80, half of a surrogate pair")


@pytest.mark.parametrize("corpus", [{"text": ["a"]}, {"a"}, frozenset(["a"])], ids=lambda corpus: type(corpus).__name__)
def test_what_is_in_no_order_or_has_names_is_no_corpus(corpus: Any) -> None:
    """Of a dict the names would be counted, in silence."""
    wanted = "a path, a glob, a list of them, a Polars frame or series, or an iterable of strings"
    if isinstance(corpus, dict):
        wanted += ', pl.Series(d["text"]) say; word counts, for count_tokens, a frame, word: String, count: UInt64'
    with pytest.raises(UsageError) as caught:
        read(corpus)
    assert str(caught.value) == f"a corpus cannot be of type {type(corpus).__name__}; wanted {wanted}"


def test_faulty_memory_is_skipped() -> None:
    faults: list[Fault] = []
    assert read(pl.Series(["a", None, "b"]), skip=faults.append) == ["a", "b"]
    assert read(iter(["a", None, "b\udc80", "c"]), skip=faults.append) == ["a", "c"]  # type: ignore[list-item]
    assert [(fault.file, fault.place, fault.documents) for fault in faults] == [
        ("the series", "row 2", 1),
        ("the iterable", "document 2", 1),
        ("the iterable", "document 3", 1),
    ]


def test_what_is_raised_by_skip_is_raised_on(tmp_path: Path) -> None:
    def full(fault: Fault) -> None:
        raise OSError(errno.ENOSPC, fault.place)

    table = pl.DataFrame({"text": ["a", None, "b"]})
    table.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n5\n')
    for corpus in (table, table.lazy(), tmp_path / "a.parquet", tmp_path / "b.jsonl", iter(["a", None])):
        with pytest.raises(OSError, match=r"Errno 28.* 2$"):
            read(corpus, skip=full)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_cannot_be_opened_is_one_fault(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    for path in (tmp_path / f"gone{suffix}", folder):
        (fault,) = skipping(path)[1]
        assert (fault.file, fault.place, fault.documents) == (str(path), "", None)
        with pytest.raises(CorpusError) as caught:
            list(read_file(path))
        assert str(caught.value) == str(fault)


def test_a_folder_that_vanishes_while_it_is_read(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n" * 9)

    faults: list[Fault] = []
    reading = batches(tmp_path, batch_size=1, skip=faults.append)
    found = list(next(reading))
    for name in ("b", "c"):
        (tmp_path / f"{name}.txt").unlink()
    assert found + [text for batch in reading for text in batch] == ["a"] * 9
    assert [str(fault) for fault in faults] == [
        f"{tmp_path}/{name}.txt: cannot be read: No such file or directory" for name in ("b", "c")
    ]


def test_a_reader_that_is_left_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write(tmp_path, ".jsonl.zst", ["가나다라 " * 20] * 50_000)
    code = (
        "import sys, threading; from kovocab.reading.documents import batches\n"
        "stream = batches(sys.argv[1], batch_size=1000); next(stream); stream.close()\n"
        "del stream; assert threading.active_count() == 1\n"
        "kept = batches(sys.argv[1]); next(kept)\n"
        "assert 'torch' not in sys.modules and 'tokenizers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=20)
