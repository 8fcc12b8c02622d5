"""The reader: every format gives the same documents, and every fault is an error that names its place."""

import errno
import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kovocab.corpus import blocks, faults
from kovocab.corpus.documents import Corpus, batches, corpus_files, fingerprint, read_file
from kovocab.corpus.faults import Fault
from kovocab.corpus.files import SUFFIXES, files
from kovocab.errors import CorpusError, UsageError
from support.corpora import SAMPLE, TEXT, fault, numbered, raw, read, write
from support.reference import documents as documents_slowly
from support.reference import rows as rows_slowly

hangul = st.one_of(
    st.text(),
    st.text(st.characters(min_codepoint=0x1100, max_codepoint=0x11FF)),  # jamo
    st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)).map(lambda t: unicodedata.normalize("NFD", t)),
    st.sampled_from(
        [
            "👩‍👩‍👧",
            "\u200d",
            "e\u0301",
            '"',
            "\\",
            "\\u0041",
            "\ufeff",
            "\x00",
            "\u2028",
            "\x85",
            "\x0c",
            "\t",
            ",",
        ]
    ),
)
texts = st.lists(st.lists(hangul, max_size=4).map("".join), min_size=1, max_size=12)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=texts)
def test_every_format_gives_the_same_documents(tmp_path: Path, suffix: str, documents: list[str]) -> None:
    if SUFFIXES[suffix] == "lines":
        documents = [text.replace("\n", " ").rstrip("\r") for text in documents]
        documents[0] = documents[0].lstrip("\ufeff")
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
        dict.fromkeys(SAMPLE),
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


# ── real text: the same as a slow, obvious reader ──


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


# ── files: globs, folders, what is not there ──


def test_files_are_expanded_sorted_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "b" / ".hidden").mkdir(parents=True)
    for name in ("z.txt", "a.JSONL", "b/c.parquet", "b/.part.txt", "b/.hidden/x.txt", "README.md", "[x].txt"):
        (tmp_path / name).touch()
    everything = sorted(tmp_path / name for name in ("z.txt", "a.JSONL", "b/c.parquet", "[x].txt"))
    assert files(tmp_path) == everything
    assert files([tmp_path / "z.txt", str(tmp_path), tmp_path / "b" / ".." / "z.txt"]) == everything
    assert files(f"{tmp_path}/*.txt") == [tmp_path / "[x].txt", tmp_path / "z.txt"]
    assert files(f"{tmp_path}/**/*.parquet") == [tmp_path / "b/c.parquet"]
    assert files(tmp_path / "[x].txt") == [tmp_path / "[x].txt"]
    for suffix in SUFFIXES:
        path = write(tmp_path, suffix, ["대괄호"]).rename(tmp_path / f"[y]*?{suffix}")
        assert read([path, str(tmp_path / "z.txt")]) == ["대괄호"]


def test_what_is_not_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    fault(tmp_path / "no.txt", str(tmp_path / "no.txt"), "no such file")
    fault(f"{tmp_path}/*.txt", f"{tmp_path}/*.txt", "matches no file")
    fault(tmp_path, str(tmp_path), "holds no file to read", ".jsonl.zst")
    fault(tmp_path / "notes.md", "notes.md", "unknown suffix", ".jsonl.zst", ".parquet")
    fault(f"{tmp_path}/*", "notes.md", "unknown suffix")
    fault([], "names no files")
    for url in ("ftp://a.b/c.txt", Path("s3://bucket/a.txt"), "s3:/bucket/a.txt"):
        fault(url, str(url), "wanted a URL, as a string, of s3, gs, hf, https")
    for wrong in (5, None, b"bytes", [5]):
        with pytest.raises(UsageError, match="wanted"):
            read(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="batch_size is 0"):
        read(iter(["a"]), batch_size=0)


def test_an_empty_file_is_no_fault_but_an_empty_corpus_is(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = write(tmp_path, suffix, [])
        fault(path, str(path), "holds no documents")
    fault(pl.Series([], dtype=pl.String), "holds no documents")
    one = tmp_path / "one.txt"
    one.write_text("하나")
    assert read(tmp_path) == ["하나"]


# ── faults in a file ──


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": null}', "found null"),
        (b'{"other": "a"}', "no such key in ['other']"),
        (b'{"text": 5}', "found 5"),
        (b'{"text": -1.5e3}', "found -1500.0"),
        (b'{"text": true}', "found true"),
        (b'{"text": ["a"]}', 'found ["a"]'),
        (b'{"text": {"a": "b"}}', 'found {"a": "b"}'),
        (b'{"text": "a"', "Expecting ',' delimiter at character 13"),
        (b'{"text": "a"} {"text": "b"}', "Extra data at character 15"),
        (b'{"text": "a"},{"text": "b"}', "Extra data at character 14"),
        (b"{'text': 'a'}", "Expecting property name"),
        (b'{"text": "a\tb"}', "Invalid control character at character 12"),
        (b'{"text": "a", "x": NaN}', "NaN is not JSON"),
        (b'["a"]', "found '[\"a\"]'"),
        (b"null", "found 'null'"),
        (b'{"text": "a\\ud83d"}', "\\ud83d is half of a surrogate pair"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_a_faulty_json_line(tmp_path: Path, suffix: str, line: bytes, said: str) -> None:
    path = raw(tmp_path, suffix, b'{"text": "fine"}\n\n' + line + b'\n{"text": "fine"}\n')
    fault(path, f"{path}: line 3: {said}", 'wanted a JSON object with a string in the key "text"')


def test_a_line_of_json_that_goes_on_in_the_next(tmp_path: Path) -> None:
    path = raw(tmp_path, ".jsonl", b'{"text": "a", "x": [1\n2]}\n')
    fault(path, f"{path}: line 1: ")


def test_the_fault_is_found_far_into_a_file(tmp_path: Path) -> None:
    lines = [b'{"text": "%d"}' % i for i in range(200_000)]
    lines[123_455] = b'{"text": 123455}'
    path = raw(tmp_path, ".jsonl.zst", b"\n".join(lines))
    fault(path, f"{path}: line 123456: found 123455")


@pytest.mark.parametrize("suffix", TEXT)
def test_invalid_utf8(tmp_path: Path, suffix: str) -> None:
    good, bad = b'{"text": "\xea\xb0\x80"}', b'{"text": "\xea\xb0"}'
    path = raw(tmp_path, suffix, b"\n".join([good, good, bad, good]))
    fault(path, f"{path}: line 3: invalid UTF-8 at byte 10 of the line; wanted UTF-8")


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".json.gz", ".txt.gz", ".jsonl.zst", ".txt.zst"])
@pytest.mark.parametrize("kept", [0, 1, 3, 0.3, 0.999, -1])
def test_a_truncated_stream(tmp_path: Path, suffix: str, kept: float) -> None:
    data = write(tmp_path, suffix, numbered(20_000)).read_bytes()
    size = int(len(data) * kept) if isinstance(kept, float) else kept % len(data)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[:size])
    fault(
        path,
        str(path),
        f"broken at byte {len(path.read_bytes())}: the stream ends too early; wanted a whole {path.suffix} file",
    )


def test_a_corrupt_gzip_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path, ".txt.gz", ["같은 글"] * 1000).read_bytes())
    data[-8] ^= 1
    path = tmp_path / "bad.txt.gz"
    path.write_bytes(data)
    fault(path, f"{path}: after line ", "wanted a whole .gz file")


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_joined_streams_are_read_to_the_end(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, SAMPLE)
    path.write_bytes(path.read_bytes() * 2)
    assert read(path) == SAMPLE * 2


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


def test_faulty_memory() -> None:
    fault(pl.DataFrame({"a": ["b"]}), "the frame: no column 'text'; it has a")
    fault(pl.DataFrame({"text": ["b", None]}), "the frame: row 2: column 'text' is null")
    fault(pl.Series([1, 2]), "the series: column 'text' is of type Int64; wanted String")
    fault(iter(["a", None]), "the iterable: document 2: found None; wanted a string")  # type: ignore[arg-type]
    fault(iter([Path("a.txt")]), "the iterable: document 1: found PosixPath(")  # type: ignore[arg-type]
    fault(iter(["a", "b\udc80"]), "the iterable: document 2: holds \\udc80, half of a surrogate pair")


@pytest.mark.parametrize("suffix", TEXT)
def test_byte_order_mark_and_carriage_returns(tmp_path: Path, suffix: str) -> None:
    lines = (
        ["가", '{"text": "나\ufeff"}'] if SUFFIXES[suffix] == "lines" else ['{"text": "가"}', '{"text": "나\ufeff"}']
    )
    path = raw(tmp_path, suffix, ("\ufeff" + "".join(line + "\r\n" for line in lines)).encode())
    assert read(path) == (lines if SUFFIXES[suffix] == "lines" else ["가", "나\ufeff"])


def test_a_null_character_is_not_half_a_pair(tmp_path: Path) -> None:
    path = raw(tmp_path, ".jsonl", b'{"text": "a\\u0000b"}\n{"text": "\\ud83d\\ude00"}\n')
    assert read(path) == ["a\0b", "😀"]


# ── faults, skipped: the same as a slow twin, for whatever a file holds ──

FUZZ = int(os.environ.get("KOVOCAB_FUZZ", "20"))  # inputs of each kind
fuzzed = settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck))

WRONG = [
    b"", b" \t", b"null", b"[]", b'"text"', b"5", b"{}", b'{"text": null}', b'{"text": 5}', b'{"text": ["a"]}',
    b'{"text": "a"', b'{"text": "a"}}', b'{"text": "a", "text": "b"}', b'{"text": null, "text": "b"}', b"{'text': 1}",
    b'{"text": "\\ud800"}', b'{"text": "\\u0000"}', b'{"text": "a", "x": NaN}', b'{"text": "\xff"}', b"\xff",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\x0b", b"\r", b"\r\r", b"x\x01", b"x^2", b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd", b'{"text": "a", "x": 1e999, "y": 123456789012345678901234567890}',
]  # fmt: skip
right = hangul.map(lambda text: json.dumps({"text": text}, ensure_ascii="\ufeff" in text).encode())
line = st.one_of(right, st.sampled_from(WRONG), hangul.map(str.encode), st.binary(max_size=12))
content = st.lists(line, max_size=30).map(b"\n".join)
damage = st.one_of(
    st.none(),
    st.tuples(st.just("cut"), st.integers(0, 400)),
    st.tuples(st.just("flip"), st.integers(0, 400)),
    st.tuples(st.just("end"), st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("pad"), st.integers(1, 9)),
)


def damaged(data: bytes, how: tuple[str, object] | None) -> bytes:
    match how:
        case None:
            return data
        case "cut", int(at):
            return data[: at % (len(data) + 1)]
        case "flip", int(at):
            at %= max(1, len(data))
            return data[:at] + bytes(byte ^ 0x55 for byte in data[at : at + 1]) + data[at + 1 :]
        case "end", bytes(more):
            return data + more
        case _, int(count):
            return data + b"\0" * count
    raise AssertionError(how)


def skipping(path: Path, start: int = 0) -> tuple[list[str], list[Fault]]:
    faults: list[Fault] = []
    return [text for part in read_file(path, "text", start=start, skip=faults.append) for text in part], faults


def agrees_with_its_twin(path: Path, suffix: str, data: bytes, start: int) -> None:
    path.write_bytes(data)
    documents, lost = documents_slowly(data, path.suffix, SUFFIXES[suffix] == "json")
    found, faults = skipping(path)
    assert found == documents
    assert [(fault.place, fault.documents) for fault in faults] == lost
    assert all(fault.file == str(path) and fault.what and "\n" not in str(fault) for fault in faults)
    assert skipping(path, start) == (documents[start:], faults)
    if faults:
        with pytest.raises(CorpusError) as caught:
            list(read_file(path))
        assert str(caught.value) == str(faults[0])
    else:
        assert [text for part in read_file(path, start=start) for text in part] == documents[start:]


@pytest.mark.parametrize("block", [8, 90, blocks.BLOCK])
@pytest.mark.parametrize("suffix", TEXT)
@fuzzed
@given(content=content, damage=damage, start=st.integers(0, 12))
def test_skipping_loses_and_doubles_nothing(
    tmp_path: Path, suffix: str, block: int, content: bytes, damage: tuple[str, object] | None, start: int
) -> None:
    path = raw(tmp_path, suffix, content)
    data = damaged(path.read_bytes(), damage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        patch.setattr(blocks, "PIECE", min(block, blocks.PIECE))
        agrees_with_its_twin(path, suffix, data, start)


@pytest.mark.parametrize("suffix", TEXT)
@fuzzed
@given(data=st.binary(max_size=60), magic=st.booleans())
def test_any_bytes_are_documents_or_faults(tmp_path: Path, suffix: str, data: bytes, magic: bool) -> None:
    path = tmp_path / f"fuzz{suffix}"
    head = {".gz": b"\x1f\x8b\x08\x00", ".zst": b"\x28\xb5\x2f\xfd"}.get(path.suffix, b'{"text":') if magic else b""
    agrees_with_its_twin(path, suffix, head + data, 1)


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


def test_a_line_that_polars_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "LONGEST", 3)
    found: list[Fault] = []
    assert list(faults.line_documents(b"abc\nabcd\nab", 7, "f.txt", None, found.append)) == ["abc", "ab"]
    assert found == [Fault("f.txt", "line 8", "a line of 4 bytes; wanted at most 3", 1)]


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


# ── faults of the system ──


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


@pytest.mark.parametrize("suffix", TEXT)
def test_a_disk_that_fails_in_the_middle(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{i} {i * 7919 % 10007}" for i in range(50_000)]
    data = write(tmp_path, suffix, texts).read_bytes()

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > len(data) // 2:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(min(size or 0, 5000))

    monkeypatch.setattr(Path, "open", lambda self, mode: Failing(data))
    path = tmp_path / f"corpus{suffix}"
    found, (fault,) = skipping(path)
    assert found == texts[: len(found)]
    assert 10_000 < len(found) < 40_000
    assert str(fault) == f"{path}: after line {len(found)}: cannot be read: Input/output error"


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


def test_what_names_no_file_is_an_error_though_faults_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "only.jsonl").write_text("{}\n")
    for corpus in (tmp_path / "no.txt", f"{tmp_path}/*.txt", tmp_path / "only.jsonl"):
        fault(corpus, str(corpus), skip=lambda fault: None)


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


def test_a_null_is_told_once(tmp_path: Path) -> None:
    table = pl.DataFrame({"text": ["a", None, "b"]})
    table.write_parquet(tmp_path / "a.parquet")
    for corpus, name in ((table, "the frame"), (tmp_path / "a.parquet", f"{tmp_path}/a.parquet")):
        with pytest.raises(CorpusError) as caught:
            read(corpus)
        assert str(caught.value) == f"{name}: row 2: column 'text' is null; wanted a string"


# ── what a run records ──


def test_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "a.txt").write_text("가" * 100_000)
        (tmp_path / name / "sub" / "b.txt").write_text("나")
    here = fingerprint(tmp_path / "here")
    assert here == fingerprint(f"{tmp_path}/there/**/*.txt")
    assert [row["name"] for row in here["files"]] == ["a.txt", "sub/b.txt"]
    assert here["bytes"] == 300_003
    assert str(tmp_path) not in json.dumps(here)
    for position in (0, 150_000, 299_999):
        data = bytearray(("가" * 100_000).encode())
        data[position] ^= 1
        (tmp_path / "there" / "a.txt").write_bytes(data)
        assert fingerprint(tmp_path / "there") != here


def test_a_reader_that_is_left_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write(tmp_path, ".jsonl.zst", ["가나다라 " * 20] * 50_000)
    code = (
        "import sys, threading; from kovocab.corpus.documents import batches\n"
        "stream = batches(sys.argv[1], batch_size=1000); next(stream); stream.close()\n"
        "del stream; assert threading.active_count() == 1\n"
        "kept = batches(sys.argv[1]); next(kept)\n"
        "assert 'torch' not in sys.modules and 'tokenizers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=20)
