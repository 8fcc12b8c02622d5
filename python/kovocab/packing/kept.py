"""What is kept of token files while they are written, so that packing that was killed goes on where it was.

Beside the folder to be written stands a hidden one: the token files so far, and `progress.json`, which says how far the
corpus was read, what `Split` needs to carry on, and how long each file was then, with a checksum. That file is replaced
at once; what a token file has beyond it was written after, and goes. A seal stands in it: what is damaged is not gone
on with. Where copies are left out, the hashes of the documents in the files stand beside them.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from kovocab.artefact import scratch_beside
from kovocab.errors import ArtefactError, KovocabError
from kovocab.packing.splitting import HASH, NAMES
from kovocab.reading.readers import Position
from kovocab.workplace import sync

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

PROGRESS, LOCK = "progress.json", "lock"
MARK = "kovocab keeps token files here that are not whole yet\n"
"""What the file `lock` says, by which such a folder is known."""

SEEN = "documents.seen"
"""The hashes of documents, where copies are left out."""

_WRITTEN = (*NAMES, SEEN)

EVERY = 10.0  # seconds of packing, at least, between two times that progress is kept
_WORTH = 20  # and so many times as long as keeping it took
_PIECE = 4 << 20


class Kept:
    """The token files of a source that is being packed.

    Args:
        folder: Where they are.

    Attributes:
        position: How far the corpus is in them.
        state: What `Split` needs to carry on; None where nothing is kept.
        with_special_tokens: Documents so far that hold the text of a special token.
        hashes: Of what each file holds, to be gone on with.
        repeated: Documents so far that were left out, and their bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.position, self.state, self.with_special_tokens, self.repeated = Position(), None, 0, (0, 0)
        self.hashes = {name: blake2b(digest_size=HASH) for name in _WRITTEN}
        self._last, self._took = time.monotonic(), 0.0
        if (said := self._read()) is not None:
            self.position, self.state = Position(**said["position"]), said["state"]
            self.with_special_tokens = said["with_special_tokens"]
            self.repeated = said["repeated"][0], said["repeated"][1]
        for name in _WRITTEN:
            with (folder / name).open("ab") as file:
                file.truncate(0 if said is None else said["sizes"][name])

    def is_time(self) -> bool:
        """Whether progress is to be kept again."""
        return time.monotonic() - self._last >= max(EVERY, _WORTH * self._took)

    def add_seen(self, hashes: bytes) -> None:
        """Write the hashes of documents that are in the files, or will be when progress is kept next."""
        if hashes:
            with (self.folder / SEEN).open("ab") as file:
                file.write(hashes)
            self.hashes[SEEN].update(hashes)

    def keep(
        self, position: Position, state: dict[str, Any], with_special_tokens: int, repeated: tuple[int, int]
    ) -> None:
        """Note how far the corpus is in the files, which are on the disk then.

        Raises:
            OSError: it cannot be written.
        """
        begun = time.monotonic()
        for name in _WRITTEN:
            sync(self.folder / name)
        said = {
            "position": asdict(position),
            "state": state,
            "sizes": {name: (self.folder / name).stat().st_size for name in _WRITTEN},
            "hashes": {name: hash_.hexdigest() for name, hash_ in self.hashes.items()},
            "with_special_tokens": with_special_tokens,
            "repeated": repeated,
        }
        beside = self.folder / f"{PROGRESS}.part"
        beside.write_text(json.dumps({"seal": _seal(said), **said}), encoding="utf-8")
        sync(beside)
        beside.replace(self.folder / PROGRESS)
        self._last = time.monotonic()
        self._took = self._last - begun

    def give(self, to: Path) -> None:
        """Move the files, which are whole, to the folder `to`."""
        self.forget()
        for name in NAMES:
            (self.folder / name).replace(to / name)

    def forget(self) -> None:
        """Let nobody go on from here."""
        (self.folder / PROGRESS).unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        """What is kept; None where nothing is, or what is there is damaged."""
        path = self.folder / PROGRESS
        if not path.exists():
            return None
        try:
            said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            whole = said.pop("seal") == _seal(said)
            for name, size in said["sizes"].items() if whole else ():
                self.hashes[name] = _hash(self.folder / name, size)
                whole &= self.hashes[name].hexdigest() == said["hashes"][name]
        except (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError):
            whole = False
        if not whole:
            log.warning("%s: what was kept there is damaged; packing begins anew", self.folder)
            self.hashes = {name: blake2b(digest_size=HASH) for name in _WRITTEN}
            self.forget()
            return None
        return said


@contextmanager
def kept(out: Path) -> Iterator[Kept]:
    """What is kept of the token files that are to be the folder `out`, for one process at a time.

    What was kept stays where the block ends in an error, unless it was forgotten.

    Raises:
        ArtefactError: a folder of its name is somebody else's, or cannot be written to.
    """
    folder = out.with_name(f".{out.name}.packing")
    lock = None if fcntl is None else _lock(folder)
    if lock is None:  # nobody can tell whether another is at it
        with scratch_beside(out) as beside:
            yield Kept(beside)
        return
    try:
        try:
            yield Kept(folder)
        except KovocabError:
            raise
        except OSError as error:  # a full disk
            raise ArtefactError(f"{out} cannot be written: {error.strerror or error}") from error
        finally:
            if not (folder / PROGRESS).exists():
                for name in (*_WRITTEN, f"{PROGRESS}.part", LOCK):
                    (folder / name).unlink(missing_ok=True)
                with suppress(OSError):  # somebody put something there
                    folder.rmdir()
    finally:
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Make the folder and lock it, waiting for another process; None where there are no locks."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # of /proc even that there is no such file
            raise ArtefactError(f"{folder} cannot be written: {error.strerror}") from error
        try:
            if not (folder / LOCK).is_file() and (others := sorted(folder.iterdir())):
                raise ArtefactError(f"{others[0]} is not kovocab's and is in the way; move it")
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # whoever was there has just removed it
            continue
        except KovocabError:
            raise
        except OSError as error:
            raise ArtefactError(f"{folder} cannot be written: {error.strerror}") from error
        ours = None
        try:
            ours = _locked(folder, lock)
        finally:
            if not ours:
                os.close(lock)
        if ours is None or ours:
            return lock if ours else None


def _locked(folder: Path, lock: int) -> bool | None:
    """Wait for the lock and mark the folder; False where it was removed meanwhile, None where there are no locks."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("waiting for another process that packs the same into %s", folder)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        return None
    try:
        if not os.path.samestat(os.fstat(lock), (folder / LOCK).stat()):
            return False
    except FileNotFoundError:
        return False
    if (said := os.read(lock, len(MARK) + 1)) not in (b"", MARK.encode()):
        raise ArtefactError(f"{folder / LOCK} is not kovocab's and is in the way; move it")
    if not said:
        os.write(lock, MARK.encode())
    return True


def _seal(said: dict[str, Any]) -> str:
    return blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()


def _hash(path: Path, size: int) -> blake2b:
    """The hash of the first bytes of a file.

    Raises:
        EOFError: there are not so many.
    """
    found = blake2b(digest_size=HASH)
    with path.open("rb") as file:
        while size:
            if not (data := file.read(min(_PIECE, size))):
                raise EOFError
            found.update(data)
            size -= len(data)
    return found
