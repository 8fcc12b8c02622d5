"""Arrow's files: what `datasets` saves, streams and files, whole and damaged."""

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.reading import streams
from kovocab.reading.formats import read_file
from support.corpora import SAMPLE, archive, fault, numbered, raw, read
from support.fuzzing import fuzzed, hangul, skipping


def stream(path: Path, table: pa.Table, rows: int = 1000) -> Path:
    with pa.ipc.new_stream(str(path), table.schema) as out:
        out.write_table(table, max_chunksize=rows)
    return path


def saved(folder: Path, texts: list[str], shards: int = 2) -> Path:
    """As `Dataset.save_to_disk` leaves it."""
    folder.mkdir(parents=True)
    names = [f"data-{shard:05}-of-{shards:05}.arrow" for shard in range(shards)]
    size = -(-len(texts) // shards)
    for shard, name in enumerate(names):
        part = texts[shard * size : (shard + 1) * size]
        stream(folder / name, pa.table({"text": pa.array(part, pa.string()), "label": [0] * len(part)}))
    (folder / "dataset_info.json").write_text(
        json.dumps({"citation": "", "features": {"text": {"dtype": "string", "_type": "Value"}}})
    )
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "f", "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def test_a_saved_data_set(tmp_path: Path) -> None:
    texts = numbered(5_000)
    assert read(saved(tmp_path / "ko", texts)) == texts


def test_splits_are_not_mixed(tmp_path: Path) -> None:
    for split in ("train", "test"):
        saved(tmp_path / "ko" / split, numbered(10))
    (tmp_path / "ko" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    told = f"wanted the folder of one: {tmp_path}/ko/test, {tmp_path}/ko/train"
    fault(tmp_path / "ko", "holds the splits of a data set, which are not mixed; " + told)
    fault(f"{tmp_path}/*", told)
    fault(f"{tmp_path}/ko/*", "holds the splits of a data set")
    assert read(tmp_path / "ko" / "train") == numbered(10)


@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_streams_and_files_of_every_string(tmp_path: Path, new: object, type_: pa.DataType, codec: str | None) -> None:
    table = pa.table({"n": range(len(SAMPLE)), "text": pa.array(SAMPLE).cast(type_)})
    path = tmp_path / "a.feather"
    with new(str(path), table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as out:  # type: ignore[operator]
        out.write_table(table, max_chunksize=2)
    assert read(path) == SAMPLE
    assert [text for part in read_file(path, start=4) for text in part] == SAMPLE[4:]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_in_an_archive(tmp_path: Path, suffix: str, new: object) -> None:
    texts = numbered(30_000)  # more than what is read of it at once
    table = pa.table({"text": texts})
    with new(str(tmp_path / "a.arrow"), table.schema) as out:  # type: ignore[operator]
        out.write_table(table, max_chunksize=1000)
    data = (tmp_path / "a.arrow").read_bytes()
    assert read(raw(tmp_path, suffix, archive(suffix, {"a.arrow": data, "b.txt": b"b\n"}))) == [*texts, "b"]


def test_what_polars_writes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": SAMPLE})
    frame.write_ipc(tmp_path / "a.arrow", compression="zstd")
    frame.write_ipc_stream(tmp_path / "b.arrow")
    assert read(tmp_path) == SAMPLE * 2


@fuzzed
@given(
    texts=st.lists(st.none() | hangul, min_size=1, max_size=40),
    rows=st.integers(1, 9),
    kept=st.none() | st.floats(0, 1),
    start=st.integers(0, 12),
)
def test_a_cut_stream_gives_whole_batches(
    tmp_path: Path, texts: list[str | None], rows: int, kept: float | None, start: int
) -> None:
    path = stream(tmp_path / "a.arrow", pa.table({"text": pa.array(texts, pa.string())}), rows)
    if kept is not None:
        path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    found, faults = skipping(path)
    whole = [text for text in texts if text is not None]
    assert found == whole[: len(found)]
    if kept is None:
        assert found == whole
        assert [fault.place for fault in faults] == [f"row {n + 1}" for n, text in enumerate(texts) if text is None]
    assert skipping(path, start) == (found[start:], faults)


@fuzzed
@given(data=st.binary(max_size=80), magic=st.sampled_from([b"", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"FEA1"]))
def test_any_bytes(tmp_path: Path, data: bytes, magic: bytes) -> None:
    path = tmp_path / "a.arrow"
    path.write_bytes(magic + data)
    found, faults = skipping(path)
    assert found == []
    assert len(faults) == 1


def test_damage_is_named(tmp_path: Path) -> None:
    table = pa.table({"text": numbered(3_000)})
    path = stream(tmp_path / "a.arrow", table)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found, (lost,) = skipping(path)
    assert found == numbered(3_000)[:1_000]
    assert str(lost).startswith(f"{path}: after row 1000: broken at byte ")
    fault(path, "the stream ends too early; wanted a whole Arrow file")
    fault(stream(path, table), "a.arrow: no column 'body'; it has text", column="body")
    path.write_bytes(b"FEA1" + bytes(100))
    fault(path, "a Feather file of version 1; wanted version 2, or Parquet")
    path.write_bytes(whole[whole.index(b"\xff\xff\xff\xff", 8) :])
    fault(path, "no schema; wanted an Arrow file")


@fuzzed
@given(
    parts=st.lists(st.lists(st.sampled_from(["하나", "둘", "셋", ""]) | hangul, max_size=6), min_size=1, max_size=8),
    at_once=st.sampled_from([1, 900, 8 << 20]),
)
def test_a_dictionary_may_be_replaced_between_batches(
    tmp_path: Path, parts: list[list[str]], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_AT_ONCE", at_once)
    coded = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("source", coded), ("text", coded)])
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), schema) as out:
        for part in parts:  # each with a dictionary of its own
            texts = pa.array(part, pa.string()).dictionary_encode()
            sources = pa.array([text[:1] for text in part], pa.string()).dictionary_encode()
            out.write_batch(pa.record_batch([sources, texts], schema=schema))
    assert skipping(tmp_path / "a.arrow") == ([text for part in parts for text in part], [])


def test_batches_beside_a_dictionary_that_goes_on_are_read(tmp_path: Path) -> None:
    words = ["하나", "둘", "셋"]
    schema = pa.schema([("text", pa.dictionary(pa.int32(), pa.string()))])
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(
        str(path), schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    ) as out:  # the second goes on with the first, and the third replaces them
        for known, codes in ((words[:2], [1, 0]), (words, [2, 1]), (["끝"], [0])):
            texts = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(known))
            out.write_batch(pa.record_batch([texts], schema=schema))
    found, (lost,) = skipping(path)
    assert found == ["둘", "하나", "끝"]  # Polars reads none that goes on, and says so
    assert str(lost) == f"{path}: rows 3 to 4: cannot be read: delta dictionary batches not supported"


@pytest.mark.parametrize("names", [["text", "text"], ["text", "n", "n"]])
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_two_columns_of_one_name(
    tmp_path: Path, new: object, names: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    table = pa.Table.from_arrays([pa.array(["하나"])] * len(names), names=names)
    with new(str(tmp_path / "a.arrow"), table.schema) as out:  # type: ignore[operator]
        out.write_table(table)
    pq.write_table(table, tmp_path / "a.parquet")
    for name in ("a.arrow", "a.parquet"):
        fault(tmp_path / name, f"{name}: cannot be read: column with name '{names[-1]}' has more than one occurrence")
    assert capfd.readouterr().err == ""


def test_streams_that_were_joined(tmp_path: Path) -> None:
    path = stream(tmp_path / "a.arrow", pa.table({"text": SAMPLE}))
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100))
    assert read(path) == SAMPLE
    path.write_bytes(whole + whole)
    found, (lost,) = skipping(path)
    assert found == SAMPLE
    told = f"more follows the end of the stream, at byte {len(whole)}; wanted one stream"
    assert str(lost) == f"{path}: after row {len(SAMPLE)}: {told}"
