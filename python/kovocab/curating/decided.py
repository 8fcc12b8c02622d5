"""What a person decides, line by line at the end of the CSV that `refine --decisions` reads.

The file is the state: it is only ever appended to, under a lock that other servers heed, and is on the disk before a
decision counts as saved. A decision that is changed is an `undo` and the new one, so that every other reader of the
file finds one decision a token. Who else appends to it, or edits it, is seen at the next look.
"""

import csv
import io
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kovocab.errors import UsageError
from kovocab.refining.candidates import UNDO, Decisions, written

try:
    import fcntl
except ImportError:  # Windows: one server a file
    fcntl = None  # type: ignore[assignment]

Change = tuple[str, str | None]
"""A token, and what is decided of it: keep, drop, or None for nothing."""

COLUMNS = ["token", "decision"]


class Decided:
    """The decisions in a file, and how they came about while this process looked.

    Attributes:
        path: The CSV; it may not be there yet.
        by_token: keep or drop.
        changes: Each change seen, in order; their number is the version.

    Raises:
        UsageError: it is no CSV of decisions, or there is no folder to write it in.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix == ".parquet":
            raise UsageError(f"decisions: {path} cannot be appended to; wanted a CSV with the columns token,decision")
        if not path.parent.is_dir():
            raise UsageError(f"decisions: there is no folder {path.parent}; wanted one to write {path.name} in")
        self.path = path
        self.by_token: dict[str, str] = {}
        self.changes: list[Change] = []
        self._seen: tuple[int, ...] = ()
        self._lock = threading.Lock()
        self.look()
        self.changes.clear()

    def look(self) -> int:
        """Read the file again if somebody wrote to it, and give the version.

        Raises:
            UsageError: somebody made it a file of something else; names the row.
        """
        with self._lock:
            self._read()
            return len(self.changes)

    def decide(self, changes: Iterable[Change]) -> int:
        """Append what is decided and give the version; all of it is on the disk, or none of it is in the file.

        Raises:
            UsageError: as `look`.
            OSError: the system refused.
        """
        wanted = {written(token): decision for token, decision in changes}
        with self._lock:
            self._read()
            if not self._rows(wanted):
                return len(self.changes)
            with self._opened() as file:
                self._read()  # with what others appended until it was ours
                self._append(file, self._rows(wanted))
                now = {token: said for token, said in self.by_token.items() if token not in wanted}
                self._become(now | {token: said for token, said in wanted.items() if said is not None})
            return len(self.changes)

    def decisions(self) -> Decisions:
        """What refine goes by."""
        now = dict(self.by_token)
        sides = (frozenset(token for token, said in now.items() if said == side) for side in ("keep", "drop"))
        return Decisions(*sides)

    def _rows(self, wanted: Mapping[str, str | None]) -> list[tuple[str, str]]:
        """The rows that make the file say what is wanted."""
        rows: list[tuple[str, str]] = []
        for token, decision in wanted.items():
            before = self.by_token.get(token)
            if before not in (None, decision):
                rows.append((token, UNDO))
            if decision is not None and decision != before:
                rows.append((token, decision))
        return rows

    def _read(self) -> None:
        """Take up what the file says, if it is not as it was left."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen = ()
            self._become({})
            return
        seen = _seen(status)
        if seen == self._seen:
            return
        found = Decisions.load(self.path) if status.st_size else Decisions()
        self._become(dict.fromkeys(found.keep, "keep") | dict.fromkeys(found.drop, "drop"))
        self._seen = seen

    def _become(self, now: dict[str, str]) -> None:
        before = self.by_token
        gone: list[Change] = [(token, None) for token in before if token not in now]
        self.by_token = now
        self.changes += [*gone, *(change for change in now.items() if before.get(change[0]) != change[1])]

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, locked; the one that has the name now, for an editor may put another in its place."""
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                if self.path.exists() and os.path.samestat(os.fstat(file), self.path.stat()):
                    yield file
                    return
            finally:
                os.close(file)  # and the lock is free

    def _append(self, file: int, rows: list[tuple[str, str]]) -> None:
        if not rows:
            return
        size = os.fstat(file).st_size
        data, taken = self._lines(size, rows), 0
        try:
            if (taken := os.write(file, data)) < len(data):
                raise OSError(f"{self.path}: the disk took a part of a decision only")
            os.fsync(file)
            if not size:
                _sync_folder(self.path.parent)
        except OSError:
            # No half of a line, and nothing that nobody was told of; but nothing of who heeds no lock, either.
            if os.fstat(file).st_size == size + taken:
                os.ftruncate(file, size)
            raise
        status = os.fstat(file)
        # Somebody who heeds no lock may have written in between: then it is read again.
        self._seen = _seen(status) if status.st_size == size + len(data) else ()

    def _lines(self, size: int, rows: list[tuple[str, str]]) -> bytes:
        """Rows as the file has them: its columns, its ends of lines; a line that was left open is ended."""
        if not size:
            return _csv([COLUMNS, *map(list, rows)], "\n")
        with self.path.open("rb") as file:
            head = file.readline()
            file.seek(-1, os.SEEK_END)
            ended = file.read(1) == b"\n"
        end = "\r\n" if head.endswith(b"\r\n") else "\n"
        columns = next(csv.reader([head.decode("utf-8-sig")]))
        lines = [[dict(zip(COLUMNS, row, strict=True)).get(column, "") for column in columns] for row in rows]
        return (b"" if ended else end.encode()) + _csv(lines, end)


def _csv(rows: list[list[str]], end: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows(rows)
    return text.getvalue().encode()


def _seen(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _sync_folder(folder: Path) -> None:
    """Have a new file's name on the disk, where folders can be opened."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
