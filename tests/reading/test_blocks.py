"""Files of lines, compressed or not, whole or damaged: read as a slow twin reads them, up to the damage."""

import errno
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.corpus.files import SUFFIXES
from kovocab.errors import CorpusError
from kovocab.reading import blocks, formats
from kovocab.reading.formats import read_file
from support.corpora import SAMPLE, TEXT, fault, numbered, raw, read, write
from support.fuzzing import WRONG, fuzzed, hangul, skipping
from support.reference import documents as documents_slowly


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_joined_streams_are_read_to_the_end(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, SAMPLE)
    path.write_bytes(path.read_bytes() * 2)
    assert read(path) == SAMPLE * 2


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


leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    hangul,
    st.text(max_size=9),
)
value = st.recursive(
    leaf, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(hangul, inner, max_size=3))
)
member = st.tuples(st.sampled_from(["text", "text", "te\\u0078t", "id", "본문"]), value.map(json.dumps))
odd = st.sampled_from(
    ['"\\ud83d\\ude00"', '"\\ud83d"', '"\\/\\b\\u00e9"', '"\t"', "01", "1e999", "NaN", "-", '"\\x"', "[1,]"]
)
row = st.lists(st.one_of(member, st.tuples(st.just("text"), odd)), max_size=4)
space = st.sampled_from(["", " ", "\t", "\r", "\ufeff"])
written = st.tuples(row, space, space).map(
    lambda parts: (
        parts[1] + "{" + ("," + parts[2]).join(f'"{key}":{parts[1]}{value}' for key, value in parts[0]) + "}" + parts[2]
    )
)


@pytest.mark.parametrize("block", [8, 90, blocks.BLOCK])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
@fuzzed
@given(
    lines=st.lists(st.one_of(written.map(str.encode), right), max_size=12),
    how=damage,
    ends=st.sampled_from([b"\n", b"\r\n"]),
)
def test_the_engine_reads_json_lines_as_polars_and_python_do(
    tmp_path: Path, suffix: str, block: int, lines: list[bytes], how: tuple[str, object] | None, ends: bytes
) -> None:
    path = raw(tmp_path, suffix, ends.join(lines))
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        found = skipping(path)
        patch.setattr(formats, "_plain", lambda *_: None)
        assert found == skipping(path)


@pytest.mark.parametrize("suffix", TEXT)
@fuzzed
@given(data=st.binary(max_size=60), magic=st.booleans())
def test_any_bytes_are_documents_or_faults(tmp_path: Path, suffix: str, data: bytes, magic: bool) -> None:
    path = tmp_path / f"fuzz{suffix}"
    head = {".gz": b"\x1f\x8b\x08\x00", ".zst": b"\x28\xb5\x2f\xfd"}.get(path.suffix, b'{"text":') if magic else b""
    agrees_with_its_twin(path, suffix, head + data, 1)


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
    path = tmp_path / f"failing{suffix}"  # the engine finds none
    found, (fault,) = skipping(path)
    assert found == texts[: len(found)]
    assert 10_000 < len(found) < 40_000
    assert str(fault) == f"{path}: after line {len(found)}: cannot be read: Input/output error"
