"""Remote files: what lies behind an `s3://`, `gs://`, `hf://` or `https://` URL, and how one is named and opened.

`stores` lists them and gives pieces of them, for heads and for the slow search for faults; the text itself is read by
Polars, from the same URL. What a URL has of secrets, a signature say, is in no message and no record.
"""

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from kovocab.errors import CorpusError
from kovocab.stores import Store, bucket, hub, page, said

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
            return self._store.read(self._key, start, end)
        except Exception as error:  # of libraries that share no root
            failed = CorpusError(f"{self}: cannot be read: {said(error)}")
            failed.strerror = said(error)  # what an OSError is asked for
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


def hidden(path: Remote, text: str) -> str:
    """`text`, of a library about `path`, without what its URL hides."""
    # Libraries name the URL in their own ways, all with the query after a question mark.
    return re.sub(r"\?\S*", "", text) if path.url != str(path) else text


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
        below = [
            (name, found)
            for name, found in store.below("/".join(pattern[:plain]))
            if (_matches if is_glob else _visible)(name.split("/")[plain:], pattern[plain:])
        ]
        # An empty key without a suffix marks a folder.
        inside = [(name, found) for name, found in below if known(name) or (is_glob and found[0])]
        if not inside:
            if is_glob:
                raise CorpusError(f"{shown(url)}: the glob matches no file")
            what = f"the folder holds no file to read; wanted {wanted}" if below else "no such file or folder"
            raise CorpusError(f"{shown(url)}: {what}")
        return [Remote(f"{root}/{name}", *found, store, name) for name, found in inside]


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
