"""A place to write beside what is to be written: hidden, marked, locked while its process lives.

What is whole there takes its name by one rename or, where a folder stands in its place, by one exchange of the two.
Whoever is killed when, the next who writes beside finds the place: what is not kovocab's goes back to where it was, and
the rest goes.
"""

import ctypes
import errno
import logging
import os
import platform
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from kovocab.errors import KovocabError
from kovocab.ownership import changed, foreign, move
from kovocab.record import RECORD, files_of

try:
    import fcntl
except ImportError:  # Windows has no such lock: there nobody can tell whether a place is still used
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

_NAME = re.compile(r"\.(?P<of>.+)\.[0-9a-f]{12}\.part", re.DOTALL)
_MARK = "kovocab.txt"
_NEW, _OLD = "new", "old"
_EXCHANGING = b"exchanging "
_DAY = 86_400.0


class Place:
    """Where something is written until it is whole.

    Args:
        path: What it is to become.
        folder: Beside `path`, and marked.
        lock: The descriptor that holds the place's lock.
    """

    def __init__(self, path: Path, folder: Path, lock: int) -> None:
        self._path, self._folder, self._lock = path, folder, lock
        self.new, self._old = folder / _NEW, folder / _OLD

    def take(self) -> None:
        """Give the file or folder `new` its name, in place of a file or an empty folder that has it.

        Raises:
            OSError: as the system says it; a folder that is not empty is in the way, say.
        """
        sync(self.new)
        self.new.replace(self._path)
        _sync(self._path.parent)

    def exchange(self, stay: Iterable[str]) -> None:
        """Give the folder `new` the name of the artefact that has it, and remove that one's files.

        Args:
            stay: What in it is not kovocab's, and moves over.
        """
        sync(self.new)
        os.write(self._lock, _exchanging(self.new))
        os.fsync(self._lock)
        gone = self.new if swapped(self.new, self._path) else self._old
        if gone is self._old:
            self._path.rename(self._old)
            self.new.rename(self._path)
        _sync(self._path.parent)
        move(stay, gone, self._path)
        remove_files(gone, files_of(gone))
        if gone.is_dir():  # somebody put something there just now
            move(foreign(gone, ()), gone, self._path)

    def settle(self) -> None:
        """Put back what is not kovocab's, wherever the writing ended, and remove the place.

        What is found of an artefact that was replaced was not all moved; and between the two renames of a system that
        cannot exchange, it is all that there is.
        """
        with suppress(FileNotFoundError), closing(os.fdopen(self._lock)):  # somebody has removed it
            if self._old.exists() and not os.path.lexists(self._path):
                self._old.rename(self._path)
                log.warning("%s is again what it was before a run was stopped", self._path)
            with turn(self._path.parent):
                left = [name for folder in self._replaced() for name in self._put_back(folder)]
            if left:
                log.warning("%s is not kovocab's and stays there: %s has one of its name", left[0], self._path)
                return
            for inside in (self.new, self._old):
                remove(inside)
        # Only now that it is closed: a network file system keeps a file that is open, by another name.
        with suppress(OSError):  # not empty: what is in it is not ours
            (self._folder / _MARK).unlink(missing_ok=True)
            self._folder.rmdir()

    def _replaced(self) -> list[Path]:
        """The folders that were not written here, but stood where what was written is now."""
        said = (self._folder / _MARK).read_bytes()
        exchanged = _EXCHANGING in said and self.new.is_dir() and _exchanging(self.new) not in said
        return [self._old, self.new] if exchanged else [self._old]

    def _put_back(self, folder: Path) -> list[Path]:
        """Move what was somebody's in an artefact that was replaced to where it was; what could not be."""
        if not folder.is_dir() or not self._path.is_dir():
            return []
        try:
            written = files_of(folder)
        except KovocabError:  # one that was never whole
            return []
        if not written:
            return []
        theirs = [*changed(folder, written), *foreign(folder, [*written, RECORD])]
        left = [name for name in theirs if is_taken(self._path, name)]
        move([name for name in theirs if name not in left], folder, self._path)
        return [folder / name for name in left]


_turns = threading.local()
"""The folders in which it is this thread's turn."""


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Let others wait who want to replace something in `folder`, while one looks at it and then does so.

    Who has the turn already keeps it. Where a folder cannot be locked, nobody waits. A file can stand for a folder.
    """
    mine: set[tuple[int, int]] = _turns.__dict__.setdefault("mine", set())
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
    if descriptor is None or fcntl is None:
        yield
        return
    found = os.fstat(descriptor)
    key = (found.st_dev, found.st_ino)
    try:
        if key in mine:
            yield
            return
        if _locked(descriptor) is False:
            log.info("waiting for another process that writes in %s", folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        mine.add(key)
        try:
            yield
        finally:
            mine.remove(key)
    finally:
        os.close(descriptor)


def is_taken(folder: Path, name: str) -> bool:
    """Whether `name` cannot be put into the folder: it is there, or one of its own folders is a file there."""
    above = [parent for parent in (folder / name).parents if folder in parent.parents]
    return os.path.lexists(folder / name) or any(os.path.lexists(path) and not path.is_dir() for path in above)


@contextmanager
def place_beside(path: Path) -> Iterator[Place]:
    """Make a place beside `path`, and settle it in the end."""
    place = _make(path)
    try:
        yield place
    finally:
        place.settle()


def tidy(folder: Path) -> None:
    """Settle the places in `folder` whose processes are gone.

    A place is known by its mark, not its name alone; where the system has no locks, all are left alone.
    """
    try:
        found = [name for entry in os.scandir(folder) if (name := _NAME.fullmatch(entry.name))]
    except OSError:
        return
    for name in sorted(found, key=lambda name: name.string):
        path, place = folder / name["of"], folder / name.string
        with suppress(OSError):
            if not place.is_symlink() and (lock := _found(path, place)) is not None:
                log.info("removing %s, which a run that was killed has left", place)
                Place(path, place, lock).settle()


def remove_files(folder: Path, written: Iterable[str]) -> None:
    """Remove an artefact's files, and the folder if nothing else is in it."""
    for name in [RECORD, *written]:
        (folder / name).unlink(missing_ok=True)
    for inside in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):  # not empty: what is in it is not ours
            inside.rmdir()
    with suppress(OSError):
        folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; another process may be at that too."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the system write a file, or all of a folder, to the disk: a power cut after the rename may not undo it."""
    for inside in sorted(path.rglob("*"), reverse=True) if path.is_dir() else []:
        if not inside.is_symlink() and (inside.is_file() or inside.is_dir()):
            _sync(inside)
    _sync(path)


def swapped(one: Path, other: Path) -> bool:
    """Exchange the names of two files or folders in one step; False, and nothing done, where the system cannot."""
    function = _renameat2()
    if function is None:
        return False
    if function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):  # not by this file system
        return False
    raise OSError(number, os.strerror(number), str(other))


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _renameat2() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return function


def _make(path: Path) -> Place:
    while True:
        folder = path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")
        folder.mkdir()
        try:
            lock = os.open(folder / _MARK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:  # `tidy` of another process took it for a left one
            continue
        except OSError:
            folder.rmdir()
            raise
        try:
            if _locked(lock) is not False and (folder / _MARK).exists():
                os.write(lock, _mark(path) + _machine())  # only now: what has no mark is nobody's to remove
                return Place(path, folder, lock)
        except BaseException:  # a full disk, Ctrl-C
            (folder / _MARK).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
            os.close(lock)
            raise
        os.close(lock)


def _found(path: Path, folder: Path) -> int | None:
    """The lock of a place that nobody works in any more; None if it is none, or somebody does."""
    mark, inside = folder / _MARK, list(folder.iterdir())
    if not inside:
        folder.rmdir()
        return None
    if not mark.is_file() or mark.is_symlink():
        return None
    lock, found = os.open(mark, os.O_RDWR), False
    try:
        said = os.read(lock, 1 << 12)
        # A mark that is empty is of a process that was killed before it could write anything.
        ours = said.startswith(_mark(path)) or (not said and inside == [mark])
        here = not said or said.startswith(_mark(path) + _machine()) or _is_old(folder)
        if ours and not here:
            log.info(
                "%s is of another machine, or of before this one was started: it goes when it is a day old", folder
            )
        found = ours and here and _locked(lock) is True
    finally:
        if not found:
            os.close(lock)
    return lock if found else None


def _mark(path: Path) -> bytes:
    return b"kovocab writes " + os.fsencode(path.name) + b" here, and moves it beside this folder when it is whole\n"


def _machine() -> bytes:
    """This machine since it was started: a lock of another need not be seen here, on a network's disk."""
    try:
        return b"on " + Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return f"on {platform.node()}\n".encode()


def _is_old(folder: Path) -> bool:
    """Whether nothing in a place was written for a day, by the clock of its disk as well as that can be told."""
    newest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time() - newest > _DAY


def _exchanging(folder: Path) -> bytes:
    """What a place's mark says before an exchange: a folder keeps its number, whatever it is called."""
    return b"%b%d\n" % (_EXCHANGING, folder.stat().st_ino)


def _locked(descriptor: int) -> bool | None:
    """Lock a file; False where another process has it, None where the system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # written for others' eyes, or a folder of Windows
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # not to be had there
            raise
    finally:
        os.close(descriptor)
