"""What is kept of a count while it runs, so that one that was stopped goes on where it was.

Beside the file to be written stands a hidden folder: the words that were spilled, and `progress.json`, which says
how far each file of the corpus was counted and how long each part is. That file is replaced at once, so it and the
first so many bytes of each part belong together; what a part has beyond them was written after, and goes. A checksum of
each part's bytes stands in it, and a seal of all that it says: damage would go on into the counts.
"""

import json
import os
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.corpus.contents import State
from kovocab.corpus.faults import Fault
from kovocab.errors import ArtefactError, quantity
from kovocab.forms import Counting
from kovocab.record import Record, parsed
from kovocab.workplace import sync

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

PROGRESS = "progress.json"
MARK = "kovocab keeps the progress of a count here\n"
"""What the file `lock` says, by which such a folder is known."""

SEEN = "documents.seen"
"""The hashes of documents, where copies are left out."""

_PART = re.compile(r"\d{3}\.(words|sorted)|documents\.seen")
_OURS = re.compile(rf"lock|progress\.json(\.part)?|{_PART.pattern}")
"""What kovocab writes into it."""

LISTED = 100_000  # faults


@dataclass
class FileProgress:
    """How far a file was counted: documents and faults that were seen, bytes of text, and whether that is all."""

    documents: int = 0
    bytes: int = 0
    faults: int = 0
    done: bool = False

    def add(self, documents: pl.Series) -> int:
        """Note documents; how many bytes of text they are."""
        size = int(documents.str.len_bytes().sum())
        self.documents += len(documents)
        self.bytes += size
        return size


@dataclass
class Done:
    """How far a corpus was counted.

    Attributes:
        files: Each file, by name.
        skipped: The first faults that were skipped.
        faults: How many there were.
        lost: Documents that were lost by them, where that is known.
        words_between_space: Runs of characters that are not white space: what people call words.
        repeated: Documents that stood in the corpus before and were left out.
        repeated_bytes: Their text.
    """

    files: dict[str, FileProgress] = field(default_factory=dict)
    skipped: list[Fault] = field(default_factory=list)
    faults: int = 0
    lost: int = 0
    words_between_space: int = 0
    repeated: int = 0
    repeated_bytes: int = 0

    def skip(self, fault: Fault) -> None:
        """Note a fault; so many are listed, and those beyond are counted."""
        self.faults += 1
        self.lost += fault.documents or 0
        if len(self.skipped) < LISTED:
            self.skipped.append(fault)

    def add(self, more: "Done") -> None:
        """Add what was counted elsewhere, of other files."""
        self.files |= more.files
        self.faults += more.faults
        self.lost += more.lost
        self.words_between_space += more.words_between_space
        self.skipped = (self.skipped + more.skipped)[:LISTED]

    def of(self, name: str) -> FileProgress:
        """How far the file was counted."""
        return self.files.setdefault(name, FileProgress())


class Kept:
    """The folder of a count that is under way.

    Args:
        out: The file that the count will write.
        identity: What the count is of: an interrupted one goes on only if it was of the same.

    Attributes:
        folder: Where words are spilled.
        done: What was counted when progress was last kept.

    Raises:
        ArtefactError: an interrupted count was of something else (says what), another process is at it, or a folder
            of that name is somebody else's.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self.folder = out.with_name(f".{out.name}.counting")
        self._identity = json.loads(json.dumps(identity))
        self.done = Done()
        self._parts: dict[str, dict[str, int]] = {}  # as they were last kept: `bytes`, and the `crc32` of those
        self._made = [folder for folder in out.absolute().parents if not folder.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "lock").is_file():
                self._check_empty()
            self._lock = (self.folder / "lock").open("a+", encoding="utf-8")
        except ArtefactError:
            raise
        except OSError as error:
            raise ArtefactError(f"{out} cannot be written: {error.strerror}") from error
        ours = False
        try:
            if not self._locked():
                raise ArtefactError(f"{out} is being counted by another process")
            self._mark()
            ours = True
            self._load()
        except ArtefactError:
            self._lock.close()
            raise
        except BaseException:  # Ctrl-C
            if ours:
                self.close(forget=False)
            else:
                self._lock.close()
            raise

    def keep(self, done: Done, parts: Mapping[str, int]) -> None:
        """Note that what `done` says is in the first bytes of the parts, which are on the disk then."""
        beside = self.folder / f"{PROGRESS}.part"
        try:
            for name, length in parts.items():
                before = self._parts.get(name, {"bytes": 0, "crc32": 0})
                if name not in self._parts or before["bytes"] != length:  # parts only grow
                    sync(self.folder / name)
                    sum_ = _crc32(self.folder / name, before["bytes"], length, before["crc32"])
                    self._parts[name] = {"bytes": length, "crc32": sum_}
            state = {"identity": self._identity, "parts": self._parts, "done": asdict(done)}
            text = json.dumps({"seal": _seal(state), **state})
            beside.write_text(text, encoding="utf-8")  # in ASCII, since a file's name may be no UTF-8
            sync(beside)
            beside.replace(self.folder / PROGRESS)
        except OSError as error:
            raise ArtefactError(f"{self.folder / PROGRESS} cannot be written: {error.strerror}") from error
        self.done = done

    def close(self, *, forget: bool) -> None:
        """Let go of the folder; and remove it, if it is to be forgotten or holds no progress."""
        try:
            if forget or not (self.folder / PROGRESS).exists():
                with suppress(OSError):  # not empty, and the rest are wanted: what is in it, and what was made for this
                    self._remove()
                    for folder in self._made:
                        folder.rmdir()
        finally:
            self._lock.close()

    def _remove(self) -> None:
        """Remove what was kept, and the folder if nothing else is in it."""
        (self.folder / PROGRESS).unlink(missing_ok=True)  # first: it says that the others are there
        # The lock last: it says whose the others are.
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == "lock"):
            if _OURS.fullmatch(path.name):
                path.unlink()
        self.folder.rmdir()

    def _mark(self) -> None:
        """Make the folder known as ours, unless it is somebody else's."""
        self._lock.seek(0)
        if (said := self._lock.read(len(MARK) + 1)) == MARK:
            return
        if said:
            raise self._foreign("lock")
        self._check_empty()
        self._lock.write(MARK)
        self._lock.flush()

    def _check_empty(self) -> None:
        if others := sorted({path.name for path in self.folder.iterdir()} - {"lock"}):
            raise self._foreign(others[0])

    def _foreign(self, name: str) -> ArtefactError:
        return ArtefactError(f"{self.folder / name} is not kovocab's and is in the way; move it, or choose another out")

    def _locked(self) -> bool:
        """Lock the folder; another process may be at it, or may have removed it meanwhile."""
        try:
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(self._lock.fileno()), (self.folder / "lock").stat())
        except OSError:
            return False

    def _load(self) -> None:
        path = self.folder / PROGRESS
        state: Record = {"parts": {}}
        try:
            state = parsed(path.read_bytes(), path, Counting)
        except FileNotFoundError:
            pass
        except ArtefactError as error:  # is an OSError too
            raise ArtefactError(f"{error}; {self._advice()}") from error
        except OSError as error:
            raise ArtefactError(f"{path} cannot be read: {error.strerror}; {self._advice()}") from error
        else:
            if state.pop("seal") != _seal(state):
                raise ArtefactError(f"{path} is damaged: it is not what its seal is of; {self._advice()}")
            if found := difference(state["identity"], self._identity):
                raise ArtefactError(f"a count of this was interrupted, and {found}; {self._advice()}")
            done = state["done"]
            done["files"] = {name: FileProgress(**progress) for name, progress in done["files"].items()}
            self.done = Done(**done | {"skipped": [Fault(**fault) for fault in done["skipped"]]})
        self._parts = state["parts"]
        for name, kept in self._parts.items():
            self._check(self.folder / name, kept["bytes"], kept["crc32"])
        for part in self.folder.iterdir():
            if _PART.fullmatch(part.name):
                os.truncate(part, self._parts.get(part.name, {"bytes": 0})["bytes"])

    def _check(self, part: Path, length: int, crc32: int) -> None:
        """See that a part begins with the bytes that were kept."""
        try:
            size, found = part.stat().st_size, _crc32(part, 0, length)
        except FileNotFoundError:
            raise ArtefactError(f"{part} is missing; {self._advice()}") from None
        except OSError as error:
            raise ArtefactError(f"{part} cannot be read: {error.strerror}; {self._advice()}") from error
        if size < length:
            raise ArtefactError(f"{part} is shorter than {length} bytes; {self._advice()}")
        if found != crc32:
            raise ArtefactError(f"{part} is damaged: its bytes are not those that were kept; {self._advice()}")

    def _advice(self) -> str:
        return f"remove the folder {self.folder} to count anew"


def _crc32(path: Path, begin: int, end: int, crc32: int = 0) -> int:
    """The checksum of a file's bytes up to `end`, where that of those before `begin` is known."""
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (data := file.read(min(1 << 20, end - begin))):
            crc32 = zlib.crc32(data, crc32)
            begin += len(data)
    return crc32


def _seal(state: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(state).encode(), digest_size=16).hexdigest()


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Say what is no longer as it was, on one line; None if all is."""
    if before.get("fingerprint") != now.get("fingerprint"):  # then no file's is as it was
        return f"fingerprint was {before.get('fingerprint')!r} and is {now.get('fingerprint')!r}"
    old, new = ({row["name"]: row for row in each["files"]} for each in (before, now))
    changes = [f"{name} has changed since" for name in new if name in old and not _is_same(old[name], new[name])]
    changes += [f"{name} is new since" for name in new if name not in old]
    changes += [f"{name} is gone since" for name in old if name not in new]
    if changes:
        others = quantity(len(changes) - 1, "other file is", "other files are")
        return changes[0] + (f", and {others} not as before" if len(changes) > 1 else "")
    if before.get("on_error") == "fail":  # nothing was skipped yet: a count that failed may go on, skipping
        before = {**before, "on_error": now["on_error"]}
    keys = [key for key in now if key != "files" and before.get(key) != now[key]]
    return f"{keys[0]} was {before.get(keys[0])!r} and is {now[keys[0]]!r}" if keys else None


def _is_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a file, as `Pass.stood` tells it, is what it was."""
    state, state_now = before.get("state"), now["state"]
    stands = state is state_now is None or (state_now is not None and State(*state_now).stands(state))
    return stands and {**before, "state": None} == {**now, "state": None}
