"""Remote corpora, against a local S3 server: the same documents, counts and faults as the same files here."""

import dataclasses
import io
import json
import logging
import os
import posixpath
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kovocab.cli.main import main
from kovocab.corpus import blocks, remote, stores
from kovocab.corpus.documents import corpus_files, fingerprint, read_file
from kovocab.corpus.faults import Fault, Skip
from kovocab.corpus.files import SUFFIXES, files, identities
from kovocab.corpus.remote import Remote, shown
from kovocab.counting.count import count
from kovocab.errors import CorpusError
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.corpora import SAMPLE, fault, numbered, raw, read, write

wanted = "pip install kovocab[dev]"
boto3 = pytest.importorskip("boto3", reason=wanted)
pytest.importorskip("obstore", reason=wanted)
moto_server = pytest.importorskip("moto.server", reason=wanted)

SECRET = "geheim"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "who",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of a local S3 server with the empty buckets `corpus` and `tree`; the environment names the server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        url = "http://{}:{}".format(*server.get_host_and_port())
        patch.setenv("AWS_ENDPOINT_URL", url)
        client = boto3.client("s3", region_name="us-east-1", endpoint_url=url)
        for bucket in ("corpus", "tree"):
            client.create_bucket(Bucket=bucket)
        yield client
        client.close()
        server.stop()


def put(s3: Any, path: Path, key: str) -> str:
    s3.put_object(Bucket="corpus", Key=key, Body=path.read_bytes())
    return f"s3://corpus/{key}"


def signed(s3: Any, url: str) -> str:
    bucket, key = url.removeprefix("s3://").split("/", 1)
    link: str = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    assert "Signature=" in link
    return link


# ── the same documents, words and faults as here ──


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


# ── files, folders, globs ──

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


# ── what a run records ──


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


# ── what cannot be read ──


def test_what_is_not_there(s3: Any) -> None:
    fault("s3://corpus/no.txt", "s3://corpus/no.txt: no such file or folder")
    fault("s3://no-bucket/no.txt", "s3://no-bucket/no.txt: cannot be read: no such file, folder or bucket")
    fault("s3://corpus/no/*.txt", "s3://corpus/no/*.txt: the glob matches no file")
    fault("hf://datasets/a.txt", "hf://datasets/a.txt: ", "wanted hf://datasets/USER/NAME/FILE")
    endpoint = s3.meta.endpoint_url
    fault(f"{endpoint}/corpus/no.txt", f"{endpoint}/corpus/no.txt: cannot be read: ", "no such file")
    s3.put_object(Bucket="corpus", Key="private.txt", Body=b"a")
    fault(f"{endpoint}/corpus/private.txt", "access denied (403 Forbidden); wanted credentials")
    fault(f"{endpoint}/corpus/*.txt", "cannot be listed; wanted the URL of one file")
    fault(f"{endpoint}/corpus/", "cannot be listed; wanted the URL of one file")


class Half(BaseHTTPRequestHandler):
    """A server whose files are all there, and of which it sends no range that begins in `refused`.

    What it answers instead stands in the path: /404/.
    """

    content: ClassVar[bytes] = b" " * 100
    refused: ClassVar[range] = range(1 << 60)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        if asked is None and "Signature" in self.path:
            self.do_HEAD()
            self.wfile.write(self.content)
            return
        first, last = (asked or "=0-").split("=")[1].split("-")
        size = len(self.content)
        start, end = (int(first), int(last or size - 1) + 1) if first else (max(0, size - int(last)), size)
        if start in self.refused:
            self.send_error(int(self.path.split("/")[-2]))
            return
        self.send_response(206)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
        self.end_headers()
        self.wfile.write(self.content[start:end])

    do_PUT = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """S3 at such a server, and little patience."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stores, "_TRIES", 0)
    monkeypatch.setitem(stores.POLARS_RETRIES, "max_retries", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Half) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def refused(corpus: str, **options: Skip) -> str:
    """What the CorpusError says with which reading fails; nothing that belongs to it holds the secret."""
    with pytest.raises(CorpusError) as caught:
        read(corpus, **options)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("name", [*(f"corpus{suffix}" for suffix in SUFFIXES), "x[1].jsonl"])
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (503, "the server said 503 Service Unavailable"),
        (403, "access denied (403 Forbidden); wanted credentials that may read it"),
    ],
)
def test_a_server_that_refuses_half_way_is_an_error_though_faults_are_skipped(
    half: None, name: str, code: int, said: str
) -> None:
    faults: list[Fault] = []
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{code}/{quote(name)}"
    for corpus, shown_as in ((f"s3://{code}/{name}", f"s3://{code}/{name}"), (f"{url}?Signature={SECRET}", url)):
        if code == 503 and name == "corpus.parquet" and corpus != shown_as:
            continue  # Polars asks again and again: its retries cannot be set for a web address
        assert refused(corpus) == refused(corpus, skip=faults.append) == f"{shown_as}: cannot be read: {said}"
    assert faults == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_read_before_an_outage_comes_first(
    tmp_path: Path, half: None, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = numbered(50_000)
    path = write(tmp_path, suffix, texts)
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": texts}), path, row_group_size=5_000, compression="zstd")
    content = path.read_bytes()
    monkeypatch.setattr(remote, "PIECE", len(content) // 9)
    monkeypatch.setattr(blocks, "BLOCK", len(content) // 9)
    monkeypatch.setattr(blocks, "PIECE", 1000)
    monkeypatch.setattr(Half, "content", content)
    monkeypatch.setattr(Half, "refused", range(len(content) // 2, len(content) * 3 // 4))
    found: list[str] = []
    faults: list[Fault] = []
    (file,) = files(f"s3://503/corpus{suffix}")
    with pytest.raises(CorpusError) as caught:
        found.extend(text for part in read_file(file, skip=faults.append) for text in part)
    assert str(caught.value) == f"{file}: cannot be read: the server said 503 Service Unavailable"
    assert faults == []
    assert found == texts[: len(found)]
    assert len(found) < len(texts)
    assert len(found) > len(texts) // 10 or suffix == ".parquet"  # how far Polars has read ahead is its own affair


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


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("code", [404, 416])
def test_a_file_that_is_gone_half_way_is_a_fault(half: None, suffix: str, code: int) -> None:
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{code}/corpus{suffix}"
    (file,) = files(f"{url}?Signature={SECRET}")
    found: list[Fault] = []
    assert not [text for part in read_file(file, skip=found.append) for text in part]
    said = {404: "no such file, folder or bucket", 416: "the server said 416 Range Not Satisfiable"}[code]
    assert found == [Fault(url, "", f"cannot be read: {said}")]
    assert refused(f"{url}?Signature={SECRET}") == str(found[0])


def test_a_server_that_does_not_answer(half: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fault("s3://503/*.txt", "s3://503/*.txt: cannot be read: the server said 503 Service Unavailable")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    fault("s3://503/a.txt", "s3://503/a.txt: cannot be read: Connection refused")
    fault("http://127.0.0.1:9/a.txt", "http://127.0.0.1:9/a.txt: cannot be read: Connection refused")


def test_credentials(tmp_path: Path, half: None, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.meta.endpoint_url)
    url = put(s3, write(tmp_path, ".txt", SAMPLE), "credentials.txt")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fault(url, f"{url}: cannot be read: no credentials were found; wanted them in the environment or in a profile")
    (tmp_path / "profiles").write_text(f"[mine]\naws_access_key_id = who\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "profiles"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert len(files(url)) == 1
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    fault(url, "access denied (403 Forbidden)")


@pytest.mark.parametrize(
    "url", ["s3://corpus/a.txt", "gs://corpus/a.txt", "https://127.0.0.1/a.txt", "hf://datasets/a/b"]
)
def test_a_missing_library(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("obstore.store", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    fault(url, f"{url}: ", " is missing; wanted remote corpora installed: pip install 'kovocab[remote]'")


# ── the hub, as far as it goes without it ──


class Hub(MemoryFileSystem):  # type: ignore[misc]
    """The hub's file system in memory: what a file's `info` says more."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        found = super().info(path, **options)
        found["name"] = found["name"].lstrip("/")
        if found["type"] == "file":
            found |= {"blob_id": "b1", "lfs": {"sha256": "s1"} if path.endswith(".parquet") else None}
        return found

    def find(self, path: str, **options: Any) -> dict[str, Any]:
        return {name.lstrip("/"): self.info(name) for name in super().find(path)}


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfFileSystem", Hub)
    hub = Hub()
    for name in ("a.parquet", "b/c.jsonl", "b/.d.txt", "README.md"):
        hub.pipe(f"/datasets/user/name@main/{name}", name.encode())
    root = "hf://datasets/user/name@main"
    assert [str(path) for path in files(root)] == [f"{root}/a.parquet", f"{root}/b/c.jsonl"]
    assert [str(path) for path in files(f"{root}/b/*")] == [f"{root}/b/c.jsonl"]
    assert fingerprint(root)["files"] == [
        {"name": "a.parquet", "bytes": 9, "etag": "s1"},
        {"name": "b/c.jsonl", "bytes": 9, "etag": "b1"},
    ]
    (file,) = files(f"{root}/b/c.jsonl")
    with file.open("rb") as stream:
        assert stream.read() == b"b/c.jsonl"
    fault(f"{root}/README.md", "README.md: unknown suffix")
    fault(f"{root}/no.txt", f"{root}/no.txt: ", "no such file")
