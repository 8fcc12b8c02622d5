"""Remote corpora, against a local S3 server: the same documents, counts and faults as the same files here."""

import dataclasses
import io
import json
import logging
import os
import posixpath
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kovocab.cli.main import main
from kovocab.corpus import remote
from kovocab.corpus.contents import identities
from kovocab.corpus.faults import Fault
from kovocab.corpus.files import SUFFIXES, files
from kovocab.corpus.remote import Remote, shown
from kovocab.counting.count import count
from kovocab.errors import CorpusError
from kovocab.reading.documents import corpus_files, fingerprint
from kovocab.reading.formats import read_file
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.corpora import SAMPLE, fault, numbered, raw, read, write
from support.servers import SECRET, put, signed


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("key", ["a/corpus", "한 글/나 [1]*?%20#"])
def test_every_format_gives_the_same_documents(tmp_path: Path, s3: Any, suffix: str, key: str) -> None:
    documents = SAMPLE + numbered(20_000)
    url = put(s3, write(tmp_path, suffix, documents), key + suffix)
    assert read(url) == documents
    assert read(signed(s3, url)) == documents
    (file,) = corpus_files(url)
    assert str(file) == url
    assert file.name == posixpath.basename(key) + suffix
    with file.open("rb") as there, (tmp_path / f"corpus{suffix}").open("rb") as here:
        assert file.stat().st_size == len(here.read())
        for place in (0, 5, file.stat().st_size - 7, 1):
            assert there.seek(place) == here.seek(place)
            assert there.read(1000) == here.read(1000)
        assert there.read() == here.read()


def test_words_are_those_of_local_files(tmp_path: Path, s3: Any, base: TokenizerJson) -> None:
    for n, suffix in enumerate(SUFFIXES):
        put(s3, write(tmp_path, suffix, [f"문서 {i % (n + 5)}, text" for i in range(100)]), f"words/corpus{suffix}")
    here, there = count(tmp_path, base), count("s3://corpus/words", base)
    assert there.words.equals(here.words)
    assert there.record["documents"] == here.record["documents"] == 100 * len(SUFFIXES)


@pytest.mark.parametrize(
    ("suffix", "content", "said"),
    [
        (".jsonl", b'{"text": "a"}\n{"text": 5}\n', "line 2: found 5"),
        (".jsonl", b'\xef\xbb\xbf{"text": "a"}\n{"text": \n', "line 2: Expecting value at character 10"),
        (".jsonl.zst", b'{"text": "a"}\n\n{"other": "a"}\n', "line 3: no such key"),
        (".txt", b"a\n\xff\n", "line 2: invalid UTF-8 at byte 0"),
        (".txt.gz", b"a\n\xff\n", "line 2: invalid UTF-8 at byte 0"),
        (".txt.zst", b"a\n\xff\n", "line 2: invalid UTF-8 at byte 0"),
    ],
)
def test_a_faulty_line(tmp_path: Path, s3: Any, suffix: str, content: bytes, said: str) -> None:
    url = put(s3, raw(tmp_path, suffix, content), f"faulty/line{suffix}")
    fault(url, f"{url}: {said}")


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix.count(".") == 2 or suffix == ".parquet"])
@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.999])
def test_a_truncated_file_is_told_as_a_local_one(tmp_path: Path, s3: Any, suffix: str, kept: float) -> None:
    path = write(tmp_path, suffix, numbered(20_000))
    path.write_bytes(path.read_bytes()[: int(kept if kept == 1 else kept * path.stat().st_size)])
    url = put(s3, path, f"cut/corpus{suffix}")
    with pytest.raises(CorpusError) as here:
        read(path)
    expected = str(here.value).replace(str(path), url)
    if suffix == ".parquet":  # Polars has other words for a range that a server does not have
        expected = f"{url}: cannot be read"
    fault(url, url, expected)
    fault(signed(s3, url), signed(s3, url).split("?")[0])


class Bytes:
    """A store of one file, which knows what it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content, self.asked = content, 0

    def read(self, key: str, start: int, end: int) -> bytes:
        assert 0 <= start < end <= len(self.content)
        self.asked += end - start
        return self.content[start:end]


steps = st.lists(st.tuples(st.none() | st.integers(0, 210), st.integers(0, 60)), max_size=12)


@settings(deadline=None)
@given(content=st.binary(max_size=200), steps=steps)
def test_any_place_of_a_file(content: bytes, steps: list[tuple[int | None, int]]) -> None:
    store: Any = Bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "PIECE", 7)
        raw = Remote("s3://a/b.txt", len(content), {}, store, "b.txt").open().detach()
        here = io.BytesIO(content)
        with io.BufferedReader(raw, 5) as there:
            for place, size in steps:
                if place is not None:
                    assert there.seek(place) == here.seek(place)
                assert there.read(size) == here.read(size)
                assert there.tell() == here.tell()


def test_requests_ahead_are_few_and_none_is_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PIECE", 1 << 20)
    store: Any = Bytes(os.urandom(20 << 20))
    before = threading.active_count()
    with Remote("s3://a/b.txt", len(store.content), {}, store, "b.txt").open() as file:
        file.read(1 << 10)
        assert store.asked == 1 << 20  # for a look at the beginning
        file.read(5 << 20)
        assert store.asked <= (6 + remote.AHEAD) << 20
        assert file.read() == store.content[(5 << 20) + (1 << 10) :]
        assert store.asked == len(store.content)
    while threading.active_count() > before:
        time.sleep(0.01)


def test_a_file_that_shrinks_while_it_is_read_is_an_error() -> None:
    store: Any = Bytes(b"12345")
    store.read = lambda key, start, end: b"123"
    file = Remote("s3://a/b.txt", 5, {}, store, "b.txt")
    with pytest.raises(CorpusError, match=r"s3://a/b.txt: changed while it was read; wanted 5 bytes, got 3"):
        list(read_file(file, skip=lambda fault: None))


TREE = [
    "z.txt", "a.JSONL", "b/c.parquet", "b/.part.txt", "b/.hidden/x.txt", "README.md", "[x].txt", "b/d/e.txt",
    "b/d/한 글.jsonl.zst", "bb/c.txt", "c.txt/d.txt",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same files as the bucket `tree`, which also has the marks of folders."""
    folder = tmp_path_factory.mktemp("tree")
    for name in TREE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name in [*TREE, "b/", "empty/"]:
        s3.put_object(Bucket="tree", Key=name, Body=b"" if name.endswith("/") else name.encode())
    (folder / "empty").mkdir()
    return folder


segment = st.lists(st.sampled_from([*"abcdexz*?.[]!", "**", "txt", ".txt"]), min_size=1, max_size=3).map("".join)


@settings(max_examples=100, deadline=None)
@given(pattern=st.lists(segment | st.just("**"), min_size=1, max_size=4).map("/".join))
@example("**")
@example("**/*.txt")
@example("*/**")
@example("b")
@example("b/")
@example("b/d/*")
@example("c.txt")
@example("empty")
@example("README.md")
@example("b/.*")
@example("no")
@example("z.txt/**")
def test_a_bucket_is_expanded_as_a_folder_is(tree: Path, pattern: str) -> None:
    if any(part in (".", "..") for part in pattern.split("/")):
        return  # steps, which keys have not
    try:
        here = [path.relative_to(tree).as_posix() for path in files(f"{tree}/{pattern}")]
    except CorpusError as error:
        fault(f"s3://tree/{pattern}", str(error).replace(str(tree), "s3://tree"))
    else:
        assert [str(path).removeprefix("s3://tree/") for path in files(f"s3://tree/{pattern}")] == sorted(here)


def test_buckets_and_lists(tree: Path) -> None:
    everything = [str(path).replace(str(tree), "s3://tree") for path in files(tree)]
    assert sorted(everything) == [str(path) for path in files("s3://tree")]
    mixed = files(["s3://tree/z.txt", str(tree), "s3://tree/*.txt", tree / "z.txt"])
    assert mixed == [*files(tree), *files("s3://tree/*.txt")]
    rows = fingerprint(["s3://tree/b/d", str(tree / "b" / "d")])["files"]
    assert [row["name"] for row in rows] == ["e.txt", "한 글.jsonl.zst"] * 2


def test_a_changed_object_changes_the_fingerprint(tmp_path: Path, s3: Any) -> None:
    prints = []
    for text in ("가나", "나가", "가나"):  # of the same size
        (tmp_path / "a.txt").write_text(text)
        for key in ("print/b/한 글.txt", "print/a.txt"):
            put(s3, tmp_path / "a.txt", key)
        prints.append(fingerprint("s3://corpus/print"))
        assert prints[-1] == fingerprint("s3://corpus/print/**/*.txt")
        rows = prints[-1]["files"]
        assert [(row["name"], row["bytes"]) for row in rows] == [("a.txt", 6), ("b/한 글.txt", 6)]
    assert prints[0] == prints[2]
    for row, changed in zip(prints[0]["files"], prints[1]["files"], strict=True):
        assert row["etag"] != changed["etag"]


def test_without_an_etag_the_content_identifies(tmp_path: Path, s3: Any) -> None:
    path = write(tmp_path, ".txt", [str(i) for i in range(100_000)])
    (file,) = files(put(s3, path, "plain/corpus.txt"))
    assert identities([dataclasses.replace(file, identity={})]) == identities([path])


def test_secrets_are_neither_shown_nor_recorded(
    tmp_path: Path, s3: Any, base: TokenizerJson, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link = signed(s3, put(s3, write(tmp_path, ".jsonl", SAMPLE), "secret/한 글.jsonl"))
    counted = count(link, base)
    assert counted.record["corpus"]["files"][0]["name"] == "한 글.jsonl"
    told = [json.dumps(counted.record), caplog.text, repr(files(link)), str(files(link)[0])]
    for url in (
        link.replace("secret", "no"),
        link.replace("jsonl?", "md?"),
        signed(s3, put(s3, raw(tmp_path, ".jsonl", b'{"text": 5}'), "secret/5.jsonl")),
        signed(s3, put(s3, raw(tmp_path, ".txt", b""), "secret/0.txt")),
        signed(s3, put(s3, raw(tmp_path, ".parquet", b"PAR1"), "secret/0.parquet")),
        signed(s3, put(s3, raw(tmp_path, ".jsonl.gz", b""), "secret/0.gz")).replace("0.gz", "1.jsonl.gz"),
        link.replace("http://", f"http://who:{SECRET}@"),
        f"s3://who:{SECRET}@corpus/a.txt",
        f"ftp://who:{SECRET}@corpus/a.txt?Signature=x",
        "http://127.0.0.1:9/*?Signature=x",
    ):
        with pytest.raises(CorpusError) as caught:
            read(url)
        assert "\n" not in str(caught.value)
        told.append("".join(traceback.format_exception(caught.value)))
        faults: list[Fault] = []
        try:
            read(url, skip=faults.append)
        except CorpusError as error:
            told.append(str(error))
        told += map(str, faults)
    for text in told:
        assert "Signature" not in text
        assert SECRET not in text
    link = link.replace("secret", "no")
    assert shown([link, "a.txt"]) == f"[{link.split('?')[0]}, a.txt]"


def test_the_quickstart_records_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for url in (f"https://a.b/c.txt?Signature={SECRET}", f"s3://who:{SECRET}@corpus/a.txt"):
        assert main(["quickstart", "--corpus", url]) == 2
        said = capsys.readouterr().err
        assert "wanted it without, and credentials in the environment or in a profile" in said
        assert SECRET not in said
    assert not list(tmp_path.iterdir())
