"""What is kept of a count while it runs, so that one that was stopped goes on where it was.

Beside the file to be written stands a hidden folder: the words that were spilled, and `progress.json`, which says
how far each file of the corpus was counted and how long each part is. That file is replaced at once, so it and the
first so many bytes of each part belong together; what a part has beyond them was written after, and goes.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.corpus.contents import State
from kovocab.corpus.faults import Fault
from kovocab.errors import ArtefactError, quantity
from kovocab.workplace import sync

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

PROGRESS = "progress.json"
MARK = "kovocab keeps the progress of a count here\n"
"""What the file `lock` says, by which such a folder is known."""

_PART = re.compile(r"\d{3}\.(words|sorted)")
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
    """

    files: dict[str, FileProgress] = field(default_factory=dict)
    skipped: list[Fault] = field(default_factory=list)
    faults: int = 0
    lost: int = 0
    words_between_space: int = 0

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
        self._synced: dict[str, int] = {}
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
        try:
            if not self._locked():
                raise ArtefactError(f"{out} is being counted by another process")
            self._mark()
            self._load()
        except BaseException:
            self._lock.close()
            raise

    def keep(self, done: Done, parts: Mapping[str, int]) -> None:
        """Note that what `done` says is in the first bytes of the parts, which are on the disk then."""
        state = {"identity": self._identity, "parts": dict(parts), "done": asdict(done)}
        beside = self.folder / f"{PROGRESS}.part"
        try:
            for name in (name for name, length in parts.items() if self._synced.get(name) != length):
                sync(self.folder / name)
            self._synced = dict(parts)
            beside.write_text(json.dumps(state), encoding="utf-8")  # in ASCII, since a file's name may be no UTF-8
            sync(beside)
            beside.replace(self.folder / PROGRESS)
        except OSError as error:
            raise ArtefactError(f"{self.folder / PROGRESS} cannot be written: {error.strerror}") from error
        self.done = done

    def close(self, *, forget: bool) -> None:
        """Let go of the folder; and remove it, if it is to be forgotten or holds no progress."""
        if forget or not (self.folder / PROGRESS).exists():
            with suppress(OSError):  # not empty, and the rest are wanted: what is in it, and what was made for this
                self._remove()
                for folder in self._made:
                    folder.rmdir()
        self._lock.close()

    def _remove(self) -> None:
        """Remove what was kept, and the folder if nothing else is in it."""
        (self.folder / PROGRESS).unlink(missing_ok=True)  # first: it says that the others are there
        for path in self.folder.iterdir():
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
        parts: dict[str, int] = {}
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            found, parts, done = difference(state["identity"], self._identity), state["parts"], state["done"]
            files = {name: FileProgress(**progress) for name, progress in done["files"].items()}
            skipped = [Fault(**fault) for fault in done["skipped"]]
            self.done = Done(files, skipped, *(done[key] for key in ("faults", "lost", "words_between_space")))
        except FileNotFoundError:
            found = None
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise ArtefactError(f"{path} cannot be read ({error}); {self._advice()}") from error
        if found:
            raise ArtefactError(f"a count of this was interrupted, and {found}; {self._advice()}")
        if missing := [name for name in parts if not (self.folder / name).exists()]:
            raise ArtefactError(f"{self.folder / missing[0]} is missing; {self._advice()}")
        lengths = {part: parts.get(part.name, 0) for part in self.folder.iterdir() if _PART.fullmatch(part.name)}
        if short := [part for part, length in lengths.items() if part.stat().st_size < length]:
            raise ArtefactError(f"{short[0]} is shorter than {lengths[short[0]]} bytes; {self._advice()}")
        for part, length in lengths.items():
            os.truncate(part, length)

    def _advice(self) -> str:
        return f"remove the folder {self.folder} to count anew"


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
