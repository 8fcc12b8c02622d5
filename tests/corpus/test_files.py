"""Which files a corpus is: globs, folders, what is not there; and what a run records of them."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from kovocab.corpus.files import SUFFIXES, files
from kovocab.errors import UsageError
from kovocab.reading.documents import fingerprint
from support.corpora import fault, read, write


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
    fault(tmp_path, str(tmp_path), "holds no file to read", ".jsonl", ".zst", ".parquet")
    fault(tmp_path / "notes.md", "notes.md", "unknown suffix", ".jsonl", ".zst", ".parquet")
    fault(f"{tmp_path}/*", "notes.md", "unknown suffix")
    fault([], "names no files")
    for url in ("ftp://a.b/c.txt", Path("s3://bucket/a.txt"), "s3:/bucket/a.txt"):
        fault(url, str(url), "wanted a URL, as a string, of s3, gs, hf, https")
    for wrong in (5, None, b"bytes", [5]):
        with pytest.raises(UsageError, match="wanted"):
            read(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="batch_size is 0"):
        read(iter(["a"]), batch_size=0)


@pytest.mark.parametrize("texts", [["안녕하세요 세계"], "안녕하세요 세계", ["안녕"], ["가 나.\n" * 200], ("a/b c",)])
def test_who_hands_over_texts_as_a_list_is_told_how(texts: list[str] | str) -> None:
    told = "a string names a file, folder, glob or URL, and texts are handed over as pl.Series(texts) or iter(texts)"
    fault(texts, f"; in Python, {told}")


def test_a_folder_is_counted_whole_or_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "far" / "deep").mkdir(parents=True)
    for name in ("in/b.txt", "far/deep/c.jsonl", "far/README.md", "far/SHA256SUMS", "in/_SUCCESS"):
        (tmp_path / name).touch()
    (tmp_path / "in" / "far").symlink_to("../far")
    (tmp_path / "in" / "round").symlink_to(".")
    assert files(tmp_path / "in") == [tmp_path / "in/b.txt", tmp_path / "in/far/deep/c.jsonl"]
    left = {Path(message.split(" is left out")[0]).name for message in caplog.messages}
    assert left == {"README.md", "SHA256SUMS", "_SUCCESS"}
    for name in ("in/a.xml", "far/deep/c.docx", "far/notes", "far/deep/x.txt.lz4"):
        (tmp_path / name).touch()
        fault(tmp_path / "in", "the folder holds ", Path(name).name, "unknown suffix; wanted one of .txt")
        fault(f"{tmp_path}/i*", "the glob holds ", Path(name).name, "unknown suffix; wanted one of .txt")
        (tmp_path / name).unlink()
    for name in ("a.docx", "c.xml", "d.md"):
        (tmp_path / "in" / name).touch()
    fault(tmp_path / "in", "in/a.docx, and 2 more, of an unknown suffix")


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "is_one"),
    [
        (os.mkfifo, "is a pipe"),
        (socket_at, "is a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (lambda path: path.symlink_to("nowhere"), "is a link to nothing; wanted files"),
        (lambda path: path.symlink_to("/dev/stdin"), ""),
    ],
)
def test_what_is_no_file_is_named_before_it_is_opened(
    make: Callable[[Path], None], is_one: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.txt").write_text("가\n")
    path = Path("c/x.jsonl")
    make(path)
    if not is_one and path.is_file():
        pytest.skip("a file is the standard input here")
    for corpus in ([path] if path.exists() else []) + [Path("c"), "c/*", "c/**", "c/*.jsonl", "*", ["c/a.txt", "c"]]:
        fault(corpus, f"c/x.jsonl: is {is_one[3:]}")
        if path.exists():
            fault(corpus, "which cannot be read twice", "wanted a file that holds what it gives")


def test_a_process_substitution_is_named() -> None:
    reading, writing = os.pipe()
    try:
        fault(f"/dev/fd/{reading}", f"/dev/fd/{reading}: is a pipe, which cannot be read twice")
    finally:
        os.close(reading)
        os.close(writing)


def test_an_empty_file_is_no_fault_but_an_empty_corpus_is(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = write(tmp_path, suffix, [])
        fault(path, str(path), "holds no documents")
    fault(pl.Series([], dtype=pl.String), "holds no documents")
    one = tmp_path / "one.txt"
    one.write_text("하나")
    assert read(tmp_path) == ["하나"]


def test_what_names_no_file_is_an_error_though_faults_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "only.jsonl").write_text("{}\n")
    for corpus in (tmp_path / "no.txt", f"{tmp_path}/*.txt", tmp_path / "only.jsonl"):
        fault(corpus, str(corpus), skip=lambda fault: None)


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
