"""The files of a corpus, several read at a time and given one after another: documents come in one order."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Queue
from threading import Event, Thread

import polars as pl

from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.reading.documents import BATCH_SIZE
from kovocab.reading.formats import read_file

READERS = 4  # files that are read at once, at most: each has some blocks of 8 MiB in memory
_AHEAD = 2  # parts of a file that wait


@dataclass(frozen=True, slots=True)
class Position:
    """How far a corpus was read: whole files, and documents and bytes of text of the next one."""

    files: int = 0
    documents: int = 0
    bytes: int = 0


def read_in_order(
    files: Sequence[File], reading: Reading, at_once: int, start: Position
) -> Generator[tuple[list[pl.Series], Position]]:
    """Read files, some megabytes of documents at a time.

    Args:
        files: The files.
        reading: How documents are found in them.
        at_once: How many are read at a time.
        start: Where to begin.

    Yields:
        Documents, and how far that is. At the end of each file comes its end, with documents or without.

    Raises:
        CorpusError: as `read_file`.
    """
    held: list[pl.Series] = []
    size, at = 0, start
    for number, part in _parts(files, reading, max(1, min(at_once, READERS)), start):
        if part is None:
            yield held, Position(number + 1)
            held, size, at = [], 0, Position(number + 1)
            continue
        for piece in _pieces(part):
            bytes_ = int(piece.str.len_bytes().sum())
            held.append(piece)
            size += bytes_
            at = Position(number, at.documents + len(piece), at.bytes + bytes_)
            if size >= BATCH_SIZE:
                yield held, at
                held, size = [], 0


def _pieces(part: pl.Series) -> Iterator[pl.Series]:
    """A series cut where it is far more than is worked on at once."""
    if len(part) < 2 or part.str.len_bytes().sum() <= 2 * BATCH_SIZE:
        yield part
        return
    yield from _pieces(part[: len(part) // 2])
    yield from _pieces(part[len(part) // 2 :])


@dataclass
class _Reader:
    """A file that is being read."""

    number: int
    parts: "Queue[pl.Series | BaseException | None]" = field(default_factory=lambda: Queue(_AHEAD))
    stopped: Event = field(default_factory=Event)

    def read(self, file: File, reading: Reading, start: int) -> None:
        try:
            for part in read_file(file, reading, start=start):
                self.parts.put(part)
                if self.stopped.is_set():
                    return
            self.parts.put(None)
        except BaseException as error:
            self.parts.put(error)


def _parts(
    files: Sequence[File], reading: Reading, at_once: int, start: Position
) -> Iterator[tuple[int, pl.Series | None]]:
    """What is read of each file, with its number, and None at its end."""
    running: deque[tuple[_Reader, Thread]] = deque()
    waiting = iter(range(start.files, len(files)))

    def begin() -> None:
        for number in waiting:
            reader = _Reader(number)
            documents = start.documents if number == start.files else 0
            thread = Thread(target=reader.read, args=(files[number], reading, documents), daemon=True)
            thread.start()
            running.append((reader, thread))
            return

    try:
        for _ in range(at_once):
            begin()
        while running:
            reader, _ = running[0]
            part = reader.parts.get()
            if isinstance(part, BaseException):
                raise part
            yield reader.number, part
            if part is None:
                running.popleft()
                begin()
    finally:
        for reader, _ in running:
            reader.stopped.set()
        for reader, thread in running:
            while thread.is_alive():  # room for it to end
                while not reader.parts.empty():
                    reader.parts.get()
                thread.join(0.01)
