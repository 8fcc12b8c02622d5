"""The reader: every format gives the same documents, and every fault is an error that names its place."""

import gzip
import json
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kovocab.corpus import Corpus, batches, corpus_files, fingerprint
from kovocab.errors import CorpusError, UsageError
from kovocab.files import SUFFIXES, files

SAMPLE = ["안녕하세요", "", "  두 칸  ", 'He said "hi", \\n, {"text": 5}', "5", "true", "null", "[1]", "끝"]


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd}


def write(folder: Path, suffix: str, documents: list[str]) -> Path:
    """The obvious writer of each format, with nothing of Polars in it."""
    path = folder / f"corpus{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"n": list(range(len(documents))), "text": pa.array(documents, pa.string())}), path)
        return path
    if SUFFIXES[suffix] == "json":
        lines = [json.dumps({"n": i, "text": text}, ensure_ascii=bool(i % 2)) for i, text in enumerate(documents)]
    else:
        lines = documents
    return raw(folder, suffix, "".join(line + "\n" for line in lines).encode())


def raw(folder: Path, suffix: str, data: bytes) -> Path:
    path = folder / f"corpus{suffix}"
    path.write_bytes(COMPRESS.get(path.suffix, bytes)(data))
    return path


def read(corpus: Corpus, **options: object) -> list[str]:
    return [text for batch in batches(corpus, **options) for text in batch]  # type: ignore[arg-type]


def fault(corpus: Corpus, *parts: str, **options: object) -> None:
    """Reading fails with a CorpusError whose message holds all `parts`."""
    with pytest.raises(CorpusError) as caught:
        read(corpus, **options)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


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


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != ".parquet"])
def test_invalid_utf8(tmp_path: Path, suffix: str) -> None:
    good, bad = b'{"text": "\xea\xb0\x80"}', b'{"text": "\xea\xb0"}'
    path = raw(tmp_path, suffix, b"\n".join([good, good, bad, good]))
    place = "at or after line 3: " if suffix.endswith(".zst") else "line 3: invalid UTF-8 at byte 10 of the line"
    fault(path, f"{path}: {place}", "wanted UTF-8")


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".json.gz", ".txt.gz", ".jsonl.zst", ".txt.zst"])
@pytest.mark.parametrize("kept", [0, 1, 3, 0.3, 0.999, -1])
def test_a_truncated_stream(tmp_path: Path, suffix: str, kept: float) -> None:
    data = write(tmp_path, suffix, [f"문서 {i} {i * 7919 % 10007}" for i in range(20_000)]).read_bytes()
    size = int(len(data) * kept) if isinstance(kept, float) else kept % len(data)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[:size])
    fault(path, str(path), "wanted a ", f"{path.suffix}", "byte")


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
        fault(path, f"{path}: cannot be read after row 0: ")
    pq.write_table(pa.table({"text": ["a"] * 70_000 + [None, "b"]}), path, row_group_size=1000)
    fault(path, f"{path}: row 70001: column 'text' is null; wanted a string")


def test_faulty_memory() -> None:
    fault(pl.DataFrame({"a": ["b"]}), "the frame: no column 'text'; it has a")
    fault(pl.DataFrame({"text": ["b", None]}), "the frame: row 2: column 'text' is null")
    fault(pl.Series([1, 2]), "the series: column 'text' is of type Int64; wanted String")
    fault(iter(["a", None]), "document 2 is of type NoneType; wanted a string")  # type: ignore[arg-type]
    fault(iter([Path("a.txt")]), "document 1 is of type ")  # type: ignore[arg-type]
    fault(iter(["a", "b\udc80"]), "document 2 holds \\udc80, half of a surrogate pair")


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != ".parquet"])
def test_byte_order_mark_and_carriage_returns(tmp_path: Path, suffix: str) -> None:
    lines = (
        ["가", '{"text": "나\ufeff"}'] if SUFFIXES[suffix] == "lines" else ['{"text": "가"}', '{"text": "나\ufeff"}']
    )
    path = raw(tmp_path, suffix, ("\ufeff" + "".join(line + "\r\n" for line in lines)).encode())
    assert read(path) == (lines if SUFFIXES[suffix] == "lines" else ["가", "나\ufeff"])


def test_a_null_character_is_not_half_a_pair(tmp_path: Path) -> None:
    path = raw(tmp_path, ".jsonl", b'{"text": "a\\u0000b"}\n{"text": "\\ud83d\\ude00"}\n')
    assert read(path) == ["a\0b", "😀"]


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
        "import sys, threading; from kovocab.corpus import batches\n"
        "stream = batches(sys.argv[1], batch_size=1000); next(stream); stream.close()\n"
        "kept = batches(sys.argv[1]); next(kept); assert threading.active_count() == 1\n"
        "assert 'torch' not in sys.modules and 'tokenizers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=20)
