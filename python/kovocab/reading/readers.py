"""Readers: the files of a corpus, several at a time, in whatever order they come or one after another."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Queue
from threading import Event, Thread
from typing import TypeAlias

import polars as pl

from kovocab.corpus.faults import Fault
from kovocab.corpus.files import File
from kovocab.corpus.settings import TEXT, Reading
from kovocab.reading.documents import BATCH_SIZE
from kovocab.reading.formats import read_file

READERS = 4  # files that are read at once, at most: each has some blocks of 8 MiB in memory
_AHEAD = 2  # parts of a file that wait

Item: TypeAlias = pl.Series | Fault | BaseException | None
"""Documents of a file, a fault in it, what ended its reading, or None at its end."""


def read_files(
    paths: Sequence[File],
    reading: Reading = TEXT,
    *,
    at_once: int,
    skip: bool = False,
    start: Callable[[File], int] = lambda _: 0,
) -> Iterator[tuple[File, pl.Series | Fault | None]]:
    """Read files, each in order, several at a time.

    Args:
        paths: The files.
        reading: How documents are found in them.
        at_once: How many files are open at a time. Each has some blocks of 8 MiB in memory.
        skip: Give faults, each where it is, and go on; else the first is an error.
        start: How many documents of a file to pass over.

    Yields:
        Each file with a series of documents or a fault, in its order, and with None when it was read to its end.

    Raises:
        CorpusError: as `read_file`.
    """
    waiting = iter(paths)
    items: Queue[tuple[File | None, Item]] = Queue(maxsize=max(2, at_once))
    stopped = Event()

    def put(path: File | None, item: Item) -> None:
        if stopped.is_set():
            raise GeneratorExit  # through `read_file` too, which takes an Exception for a fault
        items.put((path, item))

    def work() -> None:
        try:
            # An iterator over a list hands each item out once, whichever thread asks.
            for path in waiting:
                told = (lambda fault, path=path: put(path, fault)) if skip else None
                for part in read_file(path, reading, start=start(path), skip=told):
                    put(path, part)
                put(path, None)
        except GeneratorExit:
            return
        except BaseException as error:
            items.put((None, error))
        finally:
            items.put((None, None))

    threads = [Thread(target=work, daemon=True) for _ in range(min(at_once, len(paths)))]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            path, item = items.get()
            if isinstance(item, BaseException):
                raise item
            if path is None:
                running -= 1
            else:
                yield path, item
    finally:
        stopped.set()
        while running:  # room for each thread to end
            path, item = items.get()
            running -= path is None and item is None
        for thread in threads:
            thread.join()


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
