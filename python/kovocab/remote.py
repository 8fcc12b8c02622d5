"""Remote files: what lies behind an `s3://`, `gs://`, `hf://` or `https://` URL, and how one is named and opened.

Listing and the slow search for faults go through obstore (`hf://`: huggingface_hub); the text itself is read by
Polars, from the same URL. Both find credentials where their users expect them, in the environment or in a profile,
and a URL's own secrets, a signature say, are in no message and no record.
"""

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from kovocab.errors import CorpusError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import RetryConfig, S3Store

SCHEMES = ("s3", "gs", "hf", "https", "http")
_KEYED = ("s3:", "gs:", "hf:")  # where `?` and `#` are letters of a name, or of a glob

# Through a short outage, and no longer: some ten seconds of each library, which Polars doubles.
_TRIES, _SECONDS, _FIRST_WAIT, _LONGEST_WAIT = 6, 10.0, 0.5, 3.0
POLARS_RETRIES = {
    "max_retries": _TRIES,
    "retry_timeout_ms": round(_SECONDS * 1e3),
    "retry_init_backoff_ms": round(_FIRST_WAIT * 1e3),
    "retry_max_backoff_ms": round(_LONGEST_WAIT * 1e3),
}
"""The `storage_options` of `pl.scan_*`: how long a request is tried again."""

_Found = tuple[int, dict[str, str]]  # bytes, and what changes with the content


class _Place(Protocol):
    """A bucket, a data set or the one file of a web page. Keys have no leading slash."""

    def below(self, folder: str) -> Iterator[tuple[str, _Found]]:
        """All files below `folder`, whose name ends with a whole segment."""

    def head(self, key: str) -> _Found:
        """Size and identity; FileNotFoundError where there is no such file."""

    def read(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`."""


@dataclass(frozen=True, order=True)
class Remote:
    """A remote file; the part of a `Path` that readers use. As a string it is its URL, without secrets.

    Attributes:
        url: The whole URL, query and all: for reading only.
        size: In bytes.
        identity: `etag` or `modified`, which change with the content; empty where the server says neither.
    """

    url: str = field(repr=False)
    size: int = field(compare=False)
    identity: dict[str, str] = field(compare=False)
    _place: _Place = field(compare=False, repr=False)
    _key: str = field(compare=False, repr=False)

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def path(self) -> PurePosixPath:
        """Where it lies: host or bucket, then folders and name, percent-encoding undone where it is one."""
        scheme, rest = str(self).split("://", 1)
        return PurePosixPath(unquote(rest) if scheme.startswith("http") else rest)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.name

    @property
    def suffix(self) -> str:
        """What follows the last dot of its name, with the dot."""
        return self.path.suffix

    @property
    def like_a_glob(self) -> bool:
        """Whether its key holds `*`, `?` or `[`."""
        return has_magic(self._key)

    def stat(self) -> os.stat_result:
        """Its size, as `st_size`; nothing else is known."""
        return os.stat_result((0, 0, 0, 0, 0, 0, self.size, 0, 0, 0))

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Open it for reading bytes, a MiB a request.

        Raises:
            CorpusError: reading fails.
        """
        if mode != "rb":
            raise ValueError(f"mode is {mode!r}; a remote file is only read, as bytes")
        return io.BufferedReader(_Raw(self), 1 << 20)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`; errors are those of `open`."""
        try:
            return self._place.read(self._key, start, end)
        except Exception as error:  # of libraries that share no root
            failed = CorpusError(f"{self}: cannot be read: {_said(error)}")
            failed.strerror = _said(error)  # what an OSError is asked for
            raise failed from None


class _Raw(io.RawIOBase):
    def __init__(self, remote: Remote) -> None:
        self._remote, self._at = remote, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._remote.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._remote.size)
        if end <= self._at:
            return 0
        data = self._remote.read(self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def is_url(item: object) -> bool:
    """Whether `item` is a URL or a path made from one: `Path("s3://a")` is `s3:/a`. A letter is a Windows drive."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(item)) is not None


def shown(corpus: object) -> str:
    """A URL as it may be shown and recorded: without user name, password and query; anything else as `str` has it."""
    if isinstance(corpus, Sequence) and not isinstance(corpus, str):
        return f"[{', '.join(map(shown, corpus))}]"
    if not is_url(text := str(corpus)):
        return text
    text = re.sub(r"^([^:]+:/+)[^/]*@", r"\1", text)
    return text if text.startswith(_KEYED) else re.split(r"[?#]", text)[0]


@contextmanager
def discreet(path: object) -> Iterator[None]:
    """Errors of reading `path` in the block show nothing that its URL hides, nor what they were raised from."""
    try:
        yield
    except CorpusError as error:
        if not isinstance(path, Remote):
            raise
        if outage(error.__cause__):
            raise CorpusError(f"{path}: cannot be read: {_said(error.__cause__)}") from None
        # Libraries name the URL in their own ways, all with the query after a question mark.
        said = re.sub(r"\?\S*", "", str(error)) if path.url != str(path) else str(error)
        raise CorpusError(said) from None


def outage(error: BaseException | None) -> bool:
    """Whether it is the way to a file that failed Polars, so that reading the file again would say no more."""
    return "object-store error" in str(error)


def expand(url: str, known: Callable[[str], bool], wanted: str) -> list[Remote]:
    """The files that `url` stands for: itself, those below a folder, or those that match a glob.

    Args:
        url: Of a file, a folder or a glob with `*`, `?`, `[…]` and `**`; with http and https, of one file.
        known: Whether a file in a folder is read, by its name.
        wanted: What such a name would be, in words.

    Raises:
        CorpusError: there is nothing, it cannot be reached or listed, or a library is missing.
    """
    scheme = url.split(":", 1)[0]
    if scheme not in SCHEMES or not re.match(r"[^:]+://[^/]", url):
        raise CorpusError(f"{shown(url)}: cannot be read; wanted a URL, as a string, of {', '.join(SCHEMES)}")
    if re.match(r"[^:]+://[^/]*@", url):
        raise CorpusError(f"{shown(url)}: user name and password in a URL are not used; wanted them in the environment")
    with _asking(url):
        if scheme.startswith("http"):
            return [_page(url)]
        root, place, key = (_hub if scheme == "hf" else _bucket)(scheme, url)
        if key and not key.endswith("/"):
            try:
                return [Remote(url, *place.head(key), place, key)]
            except FileNotFoundError:
                pass  # a folder or a glob, perhaps
        is_glob = has_magic(key)
        pattern = key.split("/") if is_glob else [part for part in key.split("/") if part]
        plain = next((i for i, part in enumerate(pattern) if has_magic(part)), len(pattern))
        below = [
            (name, found)
            for name, found in place.below("/".join(pattern[:plain]))
            if (_matches if is_glob else _visible)(name.split("/")[plain:], pattern[plain:])
        ]
        # An empty key without a suffix marks a folder.
        inside = [(name, found) for name, found in below if known(name) or (is_glob and found[0])]
        if not inside:
            if is_glob:
                raise CorpusError(f"{shown(url)}: the glob matches no file")
            what = f"the folder holds no file to read; wanted {wanted}" if below else "no such file or folder"
            raise CorpusError(f"{shown(url)}: {what}")
        return [Remote(f"{root}/{name}", *found, place, name) for name, found in inside]


def _visible(names: list[str], _pattern: list[str]) -> bool:
    return not any(name.startswith(".") for name in names)


def _matches(names: list[str], pattern: list[str]) -> bool:
    """Whether the path of a file matches a glob, as Python's `glob` has it; both in segments."""
    if not names or not pattern:
        return not names and not pattern
    if pattern == ["**"]:
        return _visible(names, pattern)
    if pattern[0] == "**" and _matches(names, pattern[1:]):  # no folder; else at least one
        return True
    if names[0].startswith(".") and not pattern[0].startswith("."):
        return False
    if pattern[0] == "**":
        return _matches(names[1:], pattern)
    return fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


class _Store:
    """A bucket, or the one file of a web address, by obstore."""

    def __init__(self, store: Any) -> None:
        self._store: S3Store = store  # or another that has the same methods

    def below(self, folder: str) -> Iterator[tuple[str, _Found]]:
        for page in self._store.list(folder or None):
            yield from ((meta["path"], _found(meta)) for meta in page)

    def head(self, key: str) -> _Found:
        # A signed URL answers GET only; what it would send is left.
        return _found(self._store.head(key) if key else self._store.get(key).meta)

    def read(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._store.get_range(key, start=start, end=end))


def _found(meta: "ObjectMeta") -> _Found:
    changed = meta["last_modified"]
    if meta["e_tag"]:
        return meta["size"], {"etag": meta["e_tag"]}
    return meta["size"], {"modified": changed.isoformat()} if changed > datetime.fromtimestamp(0, UTC) else {}


def _retries() -> "RetryConfig":
    waits = {"init_backoff": timedelta(seconds=_FIRST_WAIT), "max_backoff": timedelta(seconds=_LONGEST_WAIT), "base": 2}
    return {"max_retries": _TRIES, "retry_timeout": timedelta(seconds=_SECONDS), "backoff": waits}  # type: ignore[typeddict-item]


def _bucket(scheme: str, url: str) -> tuple[str, _Place, str]:
    from obstore.store import GCSStore, S3Store

    name, _, key = url.split("://", 1)[1].partition("/")
    root = f"{scheme}://{name}"
    if scheme == "gs":
        return root, _Store(GCSStore(name, retry_config=_retries())), key
    provider = None if os.environ.get("AWS_SKIP_SIGNATURE") else _profile()
    return root, _Store(S3Store(name, retry_config=_retries(), credential_provider=provider)), key


def _profile() -> Any:
    """What boto3 finds, a profile for one, as it does for Polars; None leaves it to obstore."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))  # boto3 knows AWS_DEFAULT_REGION only
    return Boto3CredentialProvider(session) if session.get_credentials() else None


def _page(url: str) -> Remote:
    from obstore.store import HTTPStore

    path = re.split(r"[?#]", url)[0]
    if path.endswith("/") or "*" in path or re.search(r"\s", url):
        raise CorpusError(f"{shown(url)}: cannot be listed; wanted the URL of one file, %20 for a space")
    place = _Store(HTTPStore(url, client_options={"allow_http": True}, retry_config=_retries()))
    return Remote(url, *place.head(""), place, "")


class _Dataset:
    """A data set of the Hugging Face hub."""

    def __init__(self, name: str) -> None:
        from huggingface_hub import HfFileSystem

        self._files, self._root = HfFileSystem(skip_instance_cache=True), f"datasets/{name}"

    def below(self, folder: str) -> Iterator[tuple[str, _Found]]:
        found: Any = self._files.find(f"{self._root}/{folder}".rstrip("/"), detail=True)
        yield from ((path.removeprefix(f"{self._root}/"), self._found(info)) for path, info in found.items())

    def head(self, key: str) -> _Found:
        info = self._files.info(f"{self._root}/{key}")
        if info["type"] != "file":
            raise FileNotFoundError(key)
        return self._found(info)

    def read(self, key: str, start: int, end: int) -> bytes:
        return bytes(self._files.cat_file(f"{self._root}/{key}", start=start, end=end))

    @staticmethod
    def _found(info: dict[str, Any]) -> _Found:
        return info["size"], {"etag": (info.get("lfs") or {}).get("sha256") or info["blob_id"]}


def _hub(scheme: str, url: str) -> tuple[str, _Place, str]:
    parts = re.fullmatch(r"datasets/([^/]+/[^/]+)(?:/(.*))?", url.split("://", 1)[1])
    if parts is None:
        raise CorpusError(f"{url}: cannot be read; wanted hf://datasets/USER/NAME/FILE, folder or glob")
    return f"{scheme}://datasets/{parts[1]}", _Dataset(parts[1]), parts[2] or ""


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Whatever a library says of `url` becomes one line."""
    try:
        yield
    except CorpusError:
        raise
    except ModuleNotFoundError as error:
        raise CorpusError(
            f"{shown(url)}: {error.name} is missing; wanted remote corpora installed: pip install 'kovocab[remote]'"
        ) from None
    except Exception as error:  # of libraries that share no root
        raise CorpusError(f"{shown(url)}: cannot be read: {_said(error)}") from None


def _said(error: BaseException | None) -> str:
    """What went wrong on the way to a file, in a few words and without the URL that was asked for."""
    text = str(error)
    status = re.search(r"(?:status code: |Client error '|Server error ')(\d{3}[ A-Za-z]*)", text)
    code = status[1][:3] if status else ""
    if re.search("/latest/(api/token|meta-data)|/computeMetadata/", text):  # what a machine in a cloud asks who it is
        return "no credentials were found; wanted them in the environment or in a profile"
    if isinstance(error, FileNotFoundError) or code == "404":
        return "no such file, folder or bucket"
    if isinstance(error, PermissionError) or code in ("401", "403"):
        return f"access denied ({status[1].strip() if status else 'no answer'}); wanted credentials that may read it"
    if status:
        return f"the server said {status[1].strip()}"
    if re.search("TimedOut|timed out|kind: Timeout", text):
        return "the server did not answer in time"
    if "Range request not supported" in text:
        return "the server sends no part of a file; wanted one that takes range requests"
    # The innermost cause, where it is given: in obstore's own words, else in those of Polars.
    deep = re.findall(r'(?:message|error): "([^"]+)"', text) or re.findall(r"^\s*\d+: (.+)$", text, re.MULTILINE)
    first = re.sub(r"\w+://\S+", "…", text.split("\n", 1)[0])
    return str(deep[-1]) if deep else re.sub(r"\?\S*", "", first) or type(error).__name__
