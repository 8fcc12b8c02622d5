"""Stores: what holds remote files, buckets (obstore), web addresses (obstore) and the hub (huggingface_hub), as one.

Each finds credentials where its users expect them, in the environment or in a profile. Libraries are imported where
they are used, and their errors pass; `said` puts any of them in a few words.
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from kovocab.errors import CorpusError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import RetryConfig, S3Store

# Through a short outage, and no longer: some ten seconds of each library, which Polars doubles.
_TRIES, _SECONDS, _FIRST_WAIT, _LONGEST_WAIT = 6, 10.0, 0.5, 3.0
POLARS_RETRIES = {
    "max_retries": _TRIES,
    "retry_timeout_ms": round(_SECONDS * 1e3),
    "retry_init_backoff_ms": round(_FIRST_WAIT * 1e3),
    "retry_max_backoff_ms": round(_LONGEST_WAIT * 1e3),
}
"""The `storage_options` of `pl.scan_*`: how long a request is tried again."""

Found = tuple[int, dict[str, str]]  # bytes, and what changes with the content


class Store(Protocol):
    """A bucket, a data set or the one file of a web page. Keys have no leading slash."""

    def below(self, folder: str) -> Iterator[tuple[str, Found]]:
        """All files below `folder`, whose name ends with a whole segment."""

    def head(self, key: str) -> Found:
        """Size and identity; FileNotFoundError where there is no such file."""

    def read(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`."""


class _Objects:
    """A bucket, or the one file of a web address, by obstore."""

    def __init__(self, store: Any) -> None:
        self._store: S3Store = store  # or another that has the same methods

    def below(self, folder: str) -> Iterator[tuple[str, Found]]:
        for some in self._store.list(folder or None):
            yield from ((meta["path"], _found(meta)) for meta in some)

    def head(self, key: str) -> Found:
        # A signed URL answers GET only; what it would send is left.
        return _found(self._store.head(key) if key else self._store.get(key).meta)

    def read(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._store.get_range(key, start=start, end=end))


def _found(meta: "ObjectMeta") -> Found:
    changed = meta["last_modified"]
    if meta["e_tag"]:
        return meta["size"], {"etag": meta["e_tag"]}
    return meta["size"], {"modified": changed.isoformat()} if changed > datetime.fromtimestamp(0, UTC) else {}


def _retries() -> "RetryConfig":
    waits = {"init_backoff": timedelta(seconds=_FIRST_WAIT), "max_backoff": timedelta(seconds=_LONGEST_WAIT), "base": 2}
    return {"max_retries": _TRIES, "retry_timeout": timedelta(seconds=_SECONDS), "backoff": waits}  # type: ignore[typeddict-item]


def bucket(scheme: str, url: str) -> tuple[str, Store, str]:
    """The bucket of an `s3` or `gs` URL: its own URL, the store, and the key in it."""
    from obstore.store import GCSStore, S3Store

    name, _, key = url.split("://", 1)[1].partition("/")
    root = f"{scheme}://{name}"
    if scheme == "gs":
        return root, _Objects(GCSStore(name, retry_config=_retries())), key
    provider = None if os.environ.get("AWS_SKIP_SIGNATURE", "false").lower() in ("true", "1") else _profile()
    return root, _Objects(S3Store(name, retry_config=_retries(), credential_provider=provider)), key


def _profile() -> Any:
    """What boto3 finds, a profile for one, as it does for Polars; None leaves it to obstore."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))  # boto3 knows AWS_DEFAULT_REGION only
    return Boto3CredentialProvider(session) if session.get_credentials() else None


def page(url: str) -> Store:
    """The one file, of the key "", at a web address."""
    from obstore.store import HTTPStore

    return _Objects(HTTPStore(url, client_options={"allow_http": True}, retry_config=_retries()))


class _Dataset:
    """A data set of the Hugging Face hub."""

    def __init__(self, name: str) -> None:
        from huggingface_hub import HfFileSystem

        self._files, self._root = HfFileSystem(skip_instance_cache=True), f"datasets/{name}"

    def below(self, folder: str) -> Iterator[tuple[str, Found]]:
        found: Any = self._files.find(f"{self._root}/{folder}".rstrip("/"), detail=True)
        yield from ((path.removeprefix(f"{self._root}/"), self._found(info)) for path, info in found.items())

    def head(self, key: str) -> Found:
        info = self._files.info(f"{self._root}/{key}")
        if info["type"] != "file":
            raise FileNotFoundError(key)
        return self._found(info)

    def read(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._files.cat_file(f"{self._root}/{key}", start=start, end=end))

    @staticmethod
    def _found(info: dict[str, Any]) -> Found:
        return info["size"], {"etag": (info.get("lfs") or {}).get("sha256") or info["blob_id"]}


def hub(scheme: str, url: str) -> tuple[str, Store, str]:
    """The data set of an `hf` URL: its own URL, the store, and the key in it."""
    parts = re.fullmatch(r"datasets/([^/]+/[^/]+)(?:/(.*))?", url.split("://", 1)[1])
    if parts is None:
        raise CorpusError(f"{url}: cannot be read; wanted hf://datasets/USER/NAME/FILE, folder or glob")
    return f"{scheme}://datasets/{parts[1]}", _Dataset(parts[1]), parts[2] or ""


def missing(error: BaseException) -> bool:
    """Whether a server answered that it has no such file, or no such part of it; else it was not reached."""
    return isinstance(error, FileNotFoundError) or _status(str(error))[:3] in ("404", "416")


def _status(text: str) -> str:
    """What a server answered, code and words, if it is told in `text`."""
    found = re.search(r"(?:status code: |Client error '|Server error ')(\d{3}[ A-Za-z]*)", text)
    return found[1].strip() if found else ""


def said(error: BaseException) -> str:
    """What went wrong on the way to a file, in a few words and without the URL that was asked for."""
    text = str(error)
    status = _status(text)
    code = status[:3]
    if re.search("/latest/(api/token|meta-data)|/computeMetadata/", text):  # what a machine in a cloud asks who it is
        return "no credentials were found; wanted them in the environment or in a profile"
    if isinstance(error, FileNotFoundError) or code == "404":
        return "no such file, folder or bucket"
    if isinstance(error, PermissionError) or code in ("401", "403"):
        return f"access denied ({status or 'no answer'}); wanted credentials that may read it"
    if status:
        return f"the server said {status}"
    if re.search("TimedOut|timed out|kind: Timeout", text):
        return "the server did not answer in time"
    if "Range request not supported" in text:
        return "the server sends no part of a file; wanted one that takes range requests"
    # The innermost cause, where it is given: in obstore's own words, else in those of Polars.
    deep = re.findall(r'(?:message|error): "([^"]+)"', text) or re.findall(r"^\s*\d+: (.+)$", text, re.MULTILINE)
    first = re.sub(r"\w+://\S+", "…", text.split("\n", 1)[0])
    return str(deep[-1]) if deep else re.sub(r"\?\S*", "", first) or type(error).__name__
