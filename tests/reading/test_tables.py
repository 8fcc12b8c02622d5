"""Parquet files and frames: nulls, other types, and damage that is read round."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kovocab.errors import CorpusError
from kovocab.reading.formats import read_file
from support.corpora import SAMPLE, fault, numbered, read, write
from support.fuzzing import FUZZ, fuzzed, hangul, skipping
from support.reference import rows as rows_slowly


def test_faulty_parquet(tmp_path: Path) -> None:
    path = write(tmp_path, ".parquet", SAMPLE)
    fault(path, f"{path}: no column 'body'; it has n, text", column="body")
    fault(path, f"{path}: column 'n' is of type Int64; wanted String", column="n")
    data = path.read_bytes()
    for kept in (0, 3, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:kept])
        fault(path, f"{path}: cannot be read: ")
    pq.write_table(pa.table({"text": ["a"] * 70_000 + [None, "b"]}), path, row_group_size=1000)
    fault(path, f"{path}: row 70001: column 'text' is null; wanted a string")


def test_a_null_is_told_once(tmp_path: Path) -> None:
    table = pl.DataFrame({"text": ["a", None, "b"]})
    table.write_parquet(tmp_path / "a.parquet")
    for corpus, name in ((table, "the frame"), (tmp_path / "a.parquet", f"{tmp_path}/a.parquet")):
        with pytest.raises(CorpusError) as caught:
            read(corpus)
        assert str(caught.value) == f"{name}: row 2: column 'text' is null; wanted a string"


def break_group(path: Path, *groups: int) -> None:
    """Break the first page of a row group, so that it cannot be decompressed."""
    # Other damage may do worse: a number in a page's header can make Polars ask for so much memory that it aborts.
    data = bytearray(path.read_bytes())
    for group in groups:
        chunk = pq.ParquetFile(path).metadata.row_group(group).column(0)
        data[data.index(b"\x28\xb5\x2f\xfd", chunk.dictionary_page_offset or chunk.data_page_offset)] ^= 1
    path.write_bytes(data)


@settings(fuzzed, max_examples=max(10, FUZZ // 4))
@given(
    texts=st.lists(st.none() | hangul, min_size=1, max_size=40),
    group=st.integers(1, 12),
    broken=st.none() | st.integers(0, 40),
    start=st.integers(0, 12),
)
def test_damaged_parquet_is_read_round_the_damage(
    tmp_path: Path, texts: list[str | None], group: int, broken: int | None, start: int
) -> None:
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, row_group_size=group, compression="zstd")
    if broken is not None:
        break_group(path, broken % pq.ParquetFile(path).metadata.num_row_groups)
    documents, lost = rows_slowly(path, "text")
    found, faults = skipping(path)
    assert found == documents
    assert sum(fault.documents or 0 for fault in faults) == len(lost)
    assert {fault.place for fault in faults if "null" in fault.what} == {f"row {n}" for n, why in lost if why == "null"}
    assert skipping(path, start) == (documents[start:], faults)
    if lost:
        with pytest.raises(CorpusError, match=str(path)):
            list(read_file(path))
    else:
        assert [text for part in read_file(path, start=start) for text in part] == documents[start:]


@pytest.mark.parametrize("lacking", [[3, 4, 5, 6, 7, 8, 9], [3], range(10)])
def test_batches_that_just_end_are_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: Sequence[int]
) -> None:
    path = tmp_path / "corpus.parquet"  # some damage makes Polars panic, and collect_batches then just ends
    texts = [f"문서 {i}" for i in range(100)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10, compression="zstd")
    all_batches = pl.LazyFrame.collect_batches

    def some(query: pl.LazyFrame, **options: bool) -> Iterator[pl.DataFrame]:
        batches = list(all_batches(query, chunk_size=10, **options))
        return (batch for i, batch in enumerate(batches) if i not in lacking)

    monkeypatch.setattr(pl.LazyFrame, "collect_batches", some)
    assert skipping(path) == (texts, [])
    fault(pl.scan_parquet(path), "the frame: ", "cannot be read: ")


def test_damage_in_a_large_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    texts = numbered(200_000)
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10_000, compression="zstd")
    break_group(path, 3, 4, 6, 19)
    found, faults = skipping(path)
    assert [fault.place for fault in faults] == ["rows 30001 to 50000", "rows 60001 to 70000", "rows 190001 to 200000"]
    assert [fault.documents for fault in faults] == [20_000, 10_000, 10_000]
    assert found == texts[:30_000] + texts[50_000:60_000] + texts[70_000:190_000]
    assert skipping(path, 45_000)[0] == found[45_000:]


@settings(fuzzed)
@given(data=st.binary(max_size=60), cut=st.none() | st.integers(0))
def test_any_bytes_as_parquet(tmp_path: Path, data: bytes, cut: int | None) -> None:
    path = write(tmp_path, ".parquet", SAMPLE)
    whole = path.read_bytes()
    path.write_bytes(data if cut is None else whole[: cut % len(whole)] + data)
    found, (lost,) = skipping(path)
    assert (found, lost.place, lost.documents) == ([], "", None)
    with pytest.raises(CorpusError) as caught:
        list(read_file(path))
    assert str(caught.value) == str(lost)
