"""Buckets, web addresses and the hub: what is not there, not allowed, or ends half way."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from kovocab.corpus import remote
from kovocab.corpus.faults import Fault, Skip
from kovocab.corpus.files import SUFFIXES, files
from kovocab.errors import CorpusError
from kovocab.reading import blocks
from kovocab.reading.documents import fingerprint
from kovocab.reading.formats import read_file
from support.corpora import SAMPLE, fault, numbered, read, write
from support.servers import SECRET, Half, put


def refused(corpus: str, **options: Skip) -> str:
    """What the CorpusError says with which reading fails; nothing that belongs to it holds the secret."""
    with pytest.raises(CorpusError) as caught:
        read(corpus, **options)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


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
    # How far Polars has read ahead is its own affair, a block of bzip2 is large, and a zip has its list at its end.
    assert len(found) > len(texts) // 10 or suffix.endswith((".parquet", ".feather", ".bz2", ".zip"))


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
