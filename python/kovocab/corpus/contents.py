"""Contents: what identifies the files of a corpus, and whether they are still what they were.

A sample of each file is cheap and tells corpora apart; a hash of all of it misses no edit, and is read in parallel.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import blake2b
from os.path import commonpath
from pathlib import Path, PurePath
from threading import Event, Lock
from typing import Any, Literal, NamedTuple, TypeAlias

from kovocab.corpus.files import File
from kovocab.corpus.remote import Remote
from kovocab.errors import CorpusError, UsageError

log = logging.getLogger(__name__)

Fingerprint: TypeAlias = Literal["quick", "full"]
"""How a corpus is told from another: as cheaply as that can be sure, or by reading all of it."""

Hashes: TypeAlias = Callable[[Sequence[Path]], list[str]]
"""What gives a hash of all that each file holds: `whole_hashes`, or one that remembers."""

AT_ONCE = 8  # files that are hashed side by side, at most
PIECE = 4 << 20  # bytes at a time
EVERY = 10.0  # seconds between two lines of progress


class State(NamedTuple):
    """What the system says of a file without opening it; times in nanoseconds."""

    size: int
    modified: int
    inode: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> "State | None":
        """That of a file; None where it is gone."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)

    def stands(self, now: Sequence[int] | None) -> bool:
        """Whether what it says `now` is no sign of another content.

        The time of the last change moves where a file is renamed, linked or allowed to others too, and some network
        file systems give an untouched file another inode: only where both are new is it another file in its place.
        """
        if now is None or len(now) != len(self):
            return False
        size, modified, inode, changed = now
        return (self.size, self.modified) == (size, modified) and (self.inode == inode or self.changed == changed)


class Standing:
    """Files of a corpus as they stand at one moment.

    Args:
        files: The files.
        hashes: Gives a hash of all of each; None: a sample identifies a file.

    Attributes:
        states: Of each file that is here; None of a remote one, whose server says what it has to say in `identities`.
        identities: What identifies each, see `identities`.

    Raises:
        CorpusError: a file cannot be read.
    """

    def __init__(self, files: Sequence[File], hashes: Hashes | None = None) -> None:
        self.files, self._hashes = files, hashes
        self.states = [_state(path) for path in files]  # before they are read
        self.identities = identities(files, hashes)

    def check(self, when: str, *, whole: bool = False, listed: Sequence[File] | None = None) -> None:
        """Check that the files are what they were; those that somebody touched are read again, or all.

        Args:
            when: What has passed meanwhile, as a message is to say it: "while it was counted".
            whole: Whether all are read again.
            listed: The files of the corpus as they are listed now, if that is to be the same too.

        Raises:
            CorpusError: something is not; names the file.
        """
        if listed is not None:
            self._check_listed(when, listed)
        touched = []
        for path, before, row in zip(self.files, self.states, self.identities, strict=True):
            now = _state(path)
            if before is not None and now is None:
                raise _changed(path, when, "was removed")
            if before is not None and not before.stands(now):
                raise _changed(path, when)
            if before is not None and (whole or before != now):
                touched.append((path, row))
        again = _contents([path for path, _ in touched], self._hashes)
        for (path, row), now_row in zip(touched, again, strict=True):
            if {"name": row["name"], **now_row} != row:
                raise _changed(path, when)

    def _check_listed(self, when: str, listed: Sequence[File]) -> None:
        before, now = ({path: path for path in files} for files in (self.files, listed))
        for path in {**before, **now}:
            if path not in before:
                raise _changed(path, when, "was added")
            if path not in now:
                raise _changed(path, when, "was removed")
            then, here = before[path], now[path]
            if isinstance(then, Remote) and isinstance(here, Remote) and not then.is_same(here):
                raise _changed(path, when)


def identities(paths: Sequence[File], hashes: Hashes | None = None) -> list[dict[str, Any]]:
    """Say of each file what identifies it.

    Args:
        paths: The files.
        hashes: Gives a hash of all of each; None: its size, and a hash of that and of its first, middle and last
            64 KiB are enough.

    Returns:
        `{"name", "bytes", "blake2b"}`, or with `hashes` `{"name", "bytes", "contents"}`; of a remote file, which is
        not opened for it, `etag` or `modified` as its server has them in place of those, unless it has neither. Names
        are relative to the folder that the files share.

    Raises:
        CorpusError: a file cannot be read.
    """
    places: list[PurePath] = [path.path if isinstance(path, Remote) else path.absolute() for path in paths]
    # Local and remote files have no folder in common; each kind has its own.
    parents: dict[type, list[PurePath]] = {}
    for place in places:
        parents.setdefault(type(place), []).append(place.parent)
    roots = {type_: commonpath(of_type) for type_, of_type in parents.items()}
    names = [place.relative_to(roots[type(place)]).as_posix() for place in places]
    return [{"name": name} | row for name, row in zip(names, _contents(paths, hashes), strict=True)]


def whole_hashes(paths: Sequence[Path]) -> list[str]:
    """Hash all that each file holds, blake2b of 16 bytes, several files at a time.

    Raises:
        CorpusError: a file cannot be read, or changes meanwhile.
    """
    found: dict[Path, tuple[State, str]] = {}
    hash_into(found, paths)
    return [found[path][1] for path in paths]


def hash_into(found: dict[Path, tuple[State, str]], paths: Iterable[Path]) -> None:
    """`whole_hashes` into a dictionary, with the state of each file that a hash is of; what fails leaves the others."""
    each = list(dict.fromkeys(paths))
    waiting, stopped, progress = iter(each), Event(), _Progress()

    def work() -> None:
        buffer = memoryview(bytearray(PIECE))
        # An iterator over a list hands each item out once, whichever thread asks.
        for path in waiting:
            known = _hash(path, buffer, stopped, progress)
            if known is not None:
                found[path] = known
            if stopped.is_set():
                return

    threads = max(1, min(AT_ONCE, os.cpu_count() or 1, len(each)))
    with ThreadPoolExecutor(threads) as pool:
        try:
            for ended in as_completed([pool.submit(work) for _ in range(threads)]):
                ended.result()
        finally:  # one failed, or Ctrl-C
            stopped.set()


def check_fingerprint(name: str, value: str) -> None:
    """Check the value of a setting.

    Raises:
        UsageError: it is neither `quick` nor `full`.
    """
    if value not in ("quick", "full"):
        raise UsageError(f"{name} is {value!r}; wanted quick or full")


def _state(path: File) -> State | None:
    return None if isinstance(path, Remote) else State.of(path)


def _changed(path: File, when: str, how: str = "changed") -> CorpusError:
    return CorpusError(f"{path} {how} {when}; wanted files that stand still")


def _contents(paths: Sequence[File], hashes: Hashes | None) -> list[dict[str, Any]]:
    """The rows of `identities` without the names."""
    here = [path for path in paths if isinstance(path, Path)]
    whole = {} if hashes is None else dict(zip(here, hashes(here), strict=True))
    rows = []
    for path in paths:
        try:
            size = path.stat().st_size
            known = path.identity if isinstance(path, Remote) else {"contents": whole[path]} if path in whole else {}
            rows.append({"bytes": size, **(known or {"blake2b": _sample(path, size)})})
        except CorpusError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from error
    return rows


def _sample(path: File, size: int) -> str:
    """Hash the size of a file and its first, middle and last 64 KiB."""
    digest = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for start in (0, max(0, size // 2 - (32 << 10)), max(0, size - (64 << 10))):
            file.seek(start)
            digest.update(file.read(64 << 10))
    return digest.hexdigest()


def _hash(path: Path, buffer: memoryview, stopped: Event, progress: "_Progress") -> tuple[State, str] | None:
    """A file's state and hash; None where it was stopped."""
    digest, before = blake2b(digest_size=16), State.of(path)
    try:
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                digest.update(buffer[:size])
                progress.add(size)
                if size == len(buffer) and stopped.is_set():  # a shorter piece is the last: it is read
                    return None
    except OSError as error:
        raise _unreadable(path, error) from error
    if before is None or not before.stands(State.of(path)):
        raise _changed(path, "while it was read")
    return before, digest.hexdigest()


def _unreadable(path: File, error: OSError) -> CorpusError:
    return CorpusError(f"{path}: cannot be read: {error.strerror}")


class _Progress:
    """A line every few seconds, whichever thread is at it."""

    def __init__(self) -> None:
        self._lock, self._bytes = Lock(), 0
        self._start = self._last = time.monotonic()

    def add(self, size: int) -> None:
        """Count bytes that were read, and say how many there were if it is time."""
        with self._lock:
            self._bytes += size
            now = time.monotonic()
            if now - self._last >= EVERY:
                self._last = now
                read = self._bytes / 1e9
                log.info("reading all to tell it from another: %.1f GB, %.2f GB/s", read, read / (now - self._start))
