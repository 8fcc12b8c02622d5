"""Remote files: what lies behind an `s3://`, `gs://`, `hf://` or `https://` URL, and how one is named and opened.

`stores` lists them and gives pieces of them; Parquet is read by Polars, from the same URL. What a URL has of secrets,
a signature say, is in no message and no record. That a server is not reached, or refuses, is always an error: unlike
a file that is broken or gone it says nothing of the corpus, and is never skipped.
"""

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import ENOENT
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote

from kovocab.corpus.stores import Store, bucket, hub, missing, page, said
from kovocab.errors import CorpusError

PIECE = 4 << 20
"""Bytes of a remote file in a request: enough that its latency, some 30 ms, matters little."""

AHEAD = 3
"""Requests at a time for what follows: one stream alone is slower than the line."""

SCHEMES = ("s3", "gs", "hf", "https", "http")
_KEYED = ("s3:", "gs:", "hf:")  # where `?` and `#` are letters of a name, or of a glob


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
    _store: Store = field(compare=False, repr=False)
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

    def is_same(self, now: "Remote") -> bool:
        """Whether the server says `now` what it said of it."""
        return (self.size, self.identity) == (now.size, now.identity)

    def stat(self) -> os.stat_result:
        """Its size, as `st_size`; nothing else is known."""
        return os.stat_result((0, 0, 0, 0, 0, 0, self.size, 0, 0, 0))

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Open it for reading bytes; some requests ahead, where it is read on and on.

        Raises:
            FileNotFoundError: the file, or this part of it, is no longer there.
            CorpusError: the server cannot be reached, or refuses.
        """
        if mode != "rb":
            raise ValueError(f"mode is {mode!r}; a remote file is only read, as bytes")
        return io.BufferedReader(_Raw(self), 256 << 10)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`; errors are those of `open`."""
        try:
            data = self._store.read(self._key, start, end)
        except Exception as error:  # of libraries that share no root
            if missing(error):
                raise FileNotFoundError(ENOENT, said(error)) from None
            raise CorpusError(f"{self}: cannot be read: {said(error)}") from None
        if len(data) != end - start:
            raise CorpusError(f"{self}: changed while it was read; wanted {end - start} bytes, got {len(data)}")
        return data


class _Raw(io.RawIOBase):
    def __init__(self, remote: Remote) -> None:
        self._remote, self._at = remote, 0
        self._pool = ThreadPoolExecutor(AHEAD)
        self._number = -2  # of the piece that is read
        self._asked: dict[int, Future[bytes]] = {}  # it, and those that follow

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._asked = {}
        super().close()

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
        number, start = divmod(self._at, PIECE)
        if self._at >= self._remote.size:
            return 0
        piece = self._piece(number)
        data = memoryview(piece)[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _piece(self, number: int) -> bytes:
        """A piece, and requests for those that follow if the one before was read too."""
        if number != self._number:
            last = number + AHEAD if number == self._number + 1 else number
            wanted = range(number, min(last, (self._remote.size - 1) // PIECE) + 1)
            self._asked = {n: self._asked.get(n) or self._pool.submit(self._ask, n) for n in wanted}
            self._number = number
        return self._asked[number].result()

    def _ask(self, number: int) -> bytes:
        return self._remote.read(number * PIECE, min((number + 1) * PIECE, self._remote.size))


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


def hidden(path: Remote, text: str) -> str:
    """`text`, of a library about `path`, without what its URL hides."""
    # Libraries name the URL in their own ways, all with the query after a question mark.
    return re.sub(r"\?\S*", "", text) if path.url != str(path) else text


class Chosen(Protocol):
    """Says which files of a folder are a corpus."""

    def __call__(self, names: Iterable[str], where: str, *, empty: bool = False) -> list[str]:
        """See `files.corpus_of`."""


def expand(url: str, chosen: Chosen) -> list[Remote]:
    """The files that `url` stands for: itself, those below a folder, or those that match a glob.

    Args:
        url: Of a file, a folder or a glob with `*`, `?`, `[…]` and `**`; with http and https, of one file.
        chosen: What of a folder's files is a corpus.

    Raises:
        CorpusError: there is nothing, it cannot be reached or listed, or a library is missing; or as `chosen`.
    """
    scheme = url.split(":", 1)[0]
    if scheme not in SCHEMES or not re.match(r"[^:]+://[^/]", url):
        raise CorpusError(f"{shown(url)}: cannot be read; wanted a URL, as a string, of {', '.join(SCHEMES)}")
    if re.match(r"[^:]+://[^/]*@", url):
        raise CorpusError(f"{shown(url)}: user name and password in a URL are not used; wanted them in the environment")
    web = scheme.startswith("http")
    if web and (shown(url).endswith("/") or "*" in shown(url) or re.search(r"\s", url)):
        raise CorpusError(f"{shown(url)}: cannot be listed; wanted the URL of one file, %20 for a space")
    with _asking(url):
        if web:
            store = page(url)
            return [Remote(url, *store.head(""), store, "")]
        root, store, key = (hub if scheme == "hf" else bucket)(scheme, url)
        if key and not key.endswith("/"):
            try:
                return [Remote(url, *store.head(key), store, key)]
            except FileNotFoundError:
                pass  # a folder or a glob, perhaps
        is_glob = has_magic(key)
        pattern = key.split("/") if is_glob else [part for part in key.split("/") if part]
        plain = next((i for i, part in enumerate(pattern) if has_magic(part)), len(pattern))
        exact: list[Remote] = []
        below: dict[str, Remote] = {}
        there = False
        for name, found in store.below("/".join(pattern[:plain])):
            names, remote = name.split("/")[plain:], Remote(f"{root}/{name}", *found, store, name)
            there |= _visible(names)
            if not found[0] and not remote.suffix:  # an empty key without a suffix marks a folder
                continue
            if is_glob and _matches(names, pattern[plain:]):
                exact.append(remote)
            elif _inside(names, pattern[plain:]) if is_glob else _visible(names):
                below[str(remote)] = remote
        if not is_glob and not there:
            raise CorpusError(f"{shown(url)}: no such file or folder")
        where = f"{shown(url)}: the {'glob' if is_glob else 'folder'}"
        exact += [below[name] for name in chosen(below, where, empty=is_glob)]
        if not exact:
            raise CorpusError(f"{shown(url)}: the glob matches no file")
        return exact


def _visible(names: list[str]) -> bool:
    return not any(name.startswith(".") for name in names)


def _inside(names: list[str], pattern: list[str]) -> bool:
    """Whether the path of a file lies below a folder that matches a glob."""
    folders = (names[:end] for end in range(1, len(names)))
    return pattern[-1] != "**" and any(
        _matches(folder, pattern) and _visible(names[len(folder) :]) for folder in folders
    )


def _matches(names: list[str], pattern: list[str]) -> bool:
    """Whether the path of a file matches a glob, as Python's `glob` has it; both in segments."""
    if not names or not pattern:
        return not names and not pattern
    if pattern == ["**"]:
        return _visible(names)
    if pattern[0] == "**" and _matches(names, pattern[1:]):  # no folder; else at least one
        return True
    if names[0].startswith(".") and not pattern[0].startswith("."):
        return False
    if pattern[0] == "**":
        return _matches(names[1:], pattern)
    return fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


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
        raise CorpusError(f"{shown(url)}: cannot be read: {said(error)}") from None
