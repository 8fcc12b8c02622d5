"""Readers: the files of a corpus, several at a time, in whatever order they come."""

from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from threading import Event, Thread
from typing import TypeAlias

import polars as pl

from kovocab.corpus.faults import Fault
from kovocab.corpus.files import File
from kovocab.corpus.settings import TEXT, Reading
from kovocab.reading.formats import read_file

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
