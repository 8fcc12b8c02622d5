"""Archives, encodings and normal forms: each on a file as Korean teams have it."""

import gzip
import io
import json
import unicodedata
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError, UsageError
from kovocab.reading import formats
from kovocab.reading.formats import read_file
from support.corpora import archive, fault, numbered, raw, read, write
from support.fuzzing import fuzzed, hangul, skipping

PAIR = {"sn": "INTSALES", "ko": "안녕하세요", "en": "Hello"}


def small(number: int) -> bytes:
    """A file of AI-Hub: one small object."""
    return json.dumps({"info": {"id": number}, "data": [PAIR | {"ko": f"문장 {number}"}]}, ensure_ascii=False).encode()


def of_windows(members: dict[str, bytes]) -> bytes:
    """A zip of a Korean Windows: names in cp949, and no mark that says so."""

    class Info(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # as such a program does
            return self.filename.encode("cp949"), 0

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in members.items():
            info = Info(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(info, data)
    return out.getvalue()


def test_a_zip_of_many_small_files(tmp_path: Path) -> None:
    path = tmp_path / "라벨링데이터.zip"
    path.write_bytes(of_windows({f"일상대화/번역_{number:04}.json": small(number) for number in range(3_000)}))
    texts = [f"문장 {number}" for number in range(3_000)]
    assert read(path, column="data[].ko") == texts
    parts = list(read_file(path, Reading("data[].ko"), start=2_500))
    assert [text for part in parts for text in part] == texts[2_500:]


def test_names_are_told_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(
        of_windows({"말뭉치/하나.json": b'{"data": [{"ko": "\xea\xb0\x80"}]}', "말뭉치/둘.json": b'{"data": 5}'})
    )
    fault(path, f"{path}!말뭉치/둘.json: line 1: found 5; wanted an array", column="data[].ko")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2", ".tgz"])
def test_members_of_every_kind_in_their_order(tmp_path: Path, suffix: str) -> None:
    members = {
        "b/000.txt": "하나\n둘\n".encode(),
        "a/001.json": '{"text": "셋", "url": ""}'.encode(),
        "README.md": b"#",
        ".hidden": b"",
        "__MACOSX/x.txt": b"no",
        "a/002.jsonl.gz": gzip.compress('{"text": "넷"}\n'.encode()),
        "a/003.tsv": "text\n다섯\n".encode(),
        "a/empty.jsonl": b"",
    }
    assert read(raw(tmp_path, suffix, archive(suffix, members))) == ["하나", "둘", "셋", "넷", "다섯"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
@pytest.mark.parametrize("small", [True, False])
def test_members_are_read_as_files_are(
    tmp_path: Path, suffix: str, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(formats, "SMALL", -1)
    members = {
        "a.jsonl": b'{"text": "a"}\n{"text": 5}\n',
        "b.txt": b"b\n\xff\nc\n",
        "c.json": b'[{"text": "d"}, {"text": null}]',
        "d.csv": b"text\ne\nf,g\n",
    }
    path = raw(tmp_path, suffix, archive(suffix, members))
    found, faults = skipping(path)
    assert found == ["a", "b", "c", "d", "e"]
    assert [(fault.file, fault.place) for fault in faults] == [
        (f"{path}!a.jsonl", "line 2"),
        (f"{path}!b.txt", "line 2"),
        (f"{path}!c.json", "line 1"),
        (f"{path}!d.csv", "line 3"),
    ]
    assert skipping(path, 3) == (found[3:], faults)


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_what_is_no_corpus_in_an_archive(tmp_path: Path, suffix: str) -> None:
    path = raw(tmp_path, suffix, archive(suffix, {"a.txt": b"a\n", "b.jpg": b"?"}))
    fault(path, "the archive holds ", "b.jpg, of an unknown suffix")
    path = raw(tmp_path, suffix, archive(suffix, {"a.txt": b"a\n", "b.zip": b"?"}))
    fault(path, f"{path}!b.zip: is an archive in an archive; wanted it unpacked")
    assert skipping(path)[0] == ["a"]
    fault(raw(tmp_path, suffix, archive(suffix, {})), "holds no documents")


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    path = raw(tmp_path, ".zip", archive(".zip", {"a.txt": b"a\n", "b.txt": b"b\n"}))
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    fault(path, f"{path}!a.txt: is encrypted; wanted it unpacked")
    assert skipping(path)[0] == ["b"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.9])
def test_a_cut_archive_gives_what_stands_before(tmp_path: Path, suffix: str, kept: float) -> None:
    texts = numbered(30_000)
    members = {
        f"{at}.txt": "".join(f"{text}\n" for text in texts[at : at + 3_000]).encode() for at in range(0, 30_000, 3_000)
    }
    path = raw(tmp_path, suffix, archive(suffix, members))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    found, faults = skipping(path)
    assert found == texts[: len(found)]
    assert faults
    assert all(str(path) in fault.file for fault in faults)
    assert len(found) > 20_000 or kept < 0.9 or suffix in (".zip", ".tar.bz2")
    fault(path, str(path))


@fuzzed
@given(data=st.binary(max_size=80), at=st.integers(0), suffix=st.sampled_from([".zip", ".tar", ".tar.gz"]))
def test_a_damaged_archive_is_a_fault_or_whole(tmp_path: Path, data: bytes, at: int, suffix: str) -> None:
    path = raw(tmp_path, suffix, archive(suffix, {"a.txt": b"a\nb\n", "b.txt": b"c\n"}))
    whole = path.read_bytes()
    at %= len(whole)
    path.write_bytes(whole[:at] + data + whole[at + len(data) :])
    skipping(path)  # nothing but faults comes of it


def test_a_file_in_an_archive_that_is_not_read_is_skipped_where_that_is_asked_for(tmp_path: Path) -> None:
    path = raw(tmp_path, ".zip", archive(".zip", {"a.txt": b"a\n", "b.pdf": b"%", "c.txt": b"c\n"}))
    texts, faults = skipping(path)
    assert texts == ["a", "c"]
    assert [str(fault).startswith(f"{path}: the archive holds b.pdf, of an unknown suffix") for fault in faults] == [
        True
    ]


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".zip"])
@pytest.mark.parametrize("encoding", ["cp949", "utf-16"])
def test_what_predates_utf8(tmp_path: Path, suffix: str, encoding: str) -> None:
    texts = ["똠방각하 펲시콜라", "한글 English 漢字"]
    kind = ".jsonl" if "jsonl" in suffix or suffix == ".zip" else suffix
    if kind == ".jsonl":
        text = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    elif kind == ".json":
        text = json.dumps([{"text": text} for text in texts], ensure_ascii=False)
    else:
        text = "\n".join([*(["text"] if kind != ".txt" else []), *texts, ""])
    data = text.encode(encoding)
    path = raw(tmp_path, suffix, archive(suffix, {"a.jsonl": data}) if suffix == ".zip" else data)
    assert read(path, encoding=encoding) == texts
    if encoding == "cp949" or suffix != ".json":
        fault(path, f"encoding: {encoding} (--encoding {encoding})")


def test_bytes_that_are_none_of_the_encoding_have_a_place(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("가\n".encode("cp949") + b"\xff\xff\n" + "나\n".encode("cp949"))
    faults: list[str] = []
    assert read(path, encoding="cp949", skip=lambda fault: faults.append(str(fault))) == ["가", "나"]
    assert faults == [f"{path}: line 2: invalid cp949 at byte 0 of the line; wanted cp949"]
    path.write_bytes("가\n나\n".encode("utf-16") + b"\x00\xd8\n\0")
    fault(path, "after line 2: invalid utf-16 at byte 10; wanted utf-16", encoding="utf-16")
    for data in ("가\n나\n".encode("utf-16-le"), "가\n나\n".encode(), b"abcd" * 9):
        path.write_bytes(data)
        fault(path, "no byte-order mark at its beginning; wanted utf-16 with one", encoding="utf-16")
    path.write_bytes(b"ok\n\xff\xfe \xc0\n")  # no mark, in the middle of a file
    with pytest.raises(CorpusError, match=r"line 2: invalid UTF-8 at byte 0 of the line; wanted UTF-8$"):
        read(path)
    (tmp_path / "a.json").write_bytes('[{"text": "가"},\n{"text": "'.encode("cp949") + b'\xff\xff"}]')
    fault(tmp_path / "a.json", "line 2: invalid cp949 at byte 27; wanted cp949", encoding="cp949")


def test_an_encoding_that_is_none(tmp_path: Path) -> None:
    for name, value in (("encoding", "latin-1"), ("normalize", "nfkc")):
        with pytest.raises(UsageError, match=f"{name} is '{value}'; wanted "):
            Reading(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".zip", ".json", ".csv"])
def test_what_macos_leaves_becomes_syllables(tmp_path: Path, suffix: str) -> None:
    texts = ["각 e\u0301", "ﾡ \ue0a0", "가"]
    path = write(tmp_path, suffix, [unicodedata.normalize("NFD", text) for text in texts])
    got = read(path, normalize="nfc")
    assert sorted(got) == sorted(["각 é", "ﾡ \ue0a0", "가"])  # halfwidth and private use stay as they are
    assert sorted(read(path)) == sorted(unicodedata.normalize("NFD", text) for text in texts)


@fuzzed
@given(texts=st.lists(hangul, max_size=9))
def test_nfc_is_that_of_python(tmp_path: Path, texts: list[str]) -> None:
    texts = [text for text in texts if unicodedata.normalize("NFC", text).isprintable()]
    assert read(pl.Series([*texts, "가"]), normalize="nfc") == [
        *(unicodedata.normalize("NFC", text) for text in texts),
        "가",
    ]


@pytest.mark.parametrize("start", ["x^", "x\x01"])
@pytest.mark.parametrize(("suffix", "form"), [(".txt", "{}2\n가나\n"), (".csv", '{}2,text\n1,가\n2,"나\n다"\n')])
def test_text_that_begins_as_a_compressed_stream_does_is_text(
    tmp_path: Path, start: str, suffix: str, form: str
) -> None:
    path = tmp_path / f"a{suffix}"  # see findings/text-taken-for-zlib.sh
    path.write_text(form.format(start), encoding="utf-8")
    assert read(path) == ([f"{start}2", "가나"] if suffix == ".txt" else ["가", "나\n다"])
