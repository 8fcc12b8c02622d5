"""The tally: word counts that keep within a bound of memory, on disk where they do not fit."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Generic, Self, TypeVar

import polars as pl

from kovocab import _core
from kovocab.corpus.faults import of_documents
from kovocab.errors import ArtefactError, UsageError
from kovocab.machine import memory

log = logging.getLogger(__name__)

ROWS = 1 << 20  # of a table at a time, and of a row group
_LEAST = 128 << 20  # bytes of tables that are worth spilling
_SORTED = 100  # bytes of memory, at most, that a word takes besides while words are sorted in memory
_PARTS = "[0-9][0-9][0-9].words"
# Bytes of memory that a byte of a spilled part takes when it is combined and sorted, of words as Korean text has them,
# 17 bytes each with their counts; 11 were seen where each word came once, and 23 where all had five letters.
COMBINED = 10


Engine = TypeVar("Engine", bound=_core.WordCounter | _core.TokenCounter)


class Bounded(ABC, Generic[Engine]):
    """Counts documents within a bound of memory.

    Args:
        counter: What counts them.
        bound: Bytes of memory that the process may use. It can pass it by what is read ahead and by one batch.
    """

    def __init__(self, counter: Engine, bound: int) -> None:
        self._counter = counter
        self._bound = bound

    def update(self, bpe: _core.Bpe, documents: pl.Series) -> int:
        """Count documents; returns how many words stand between white space, 0 where that is not counted."""
        with of_documents():
            return self._counter.update(bpe, documents) or 0

    def full(self) -> bool:
        """Whether what is held, or the next growth of its tables, passes the bound."""
        _, now, soon = self._counter.size()
        return now >= _LEAST and memory.used() + soon - now > self._bound

    @abstractmethod
    def spill(self) -> None:
        """Make room."""

    def parts(self) -> dict[str, int]:
        """The files of what was spilled, with their sizes in bytes."""
        return {}


class Tally(Bounded[_core.WordCounter]):
    """Counts words; spills them where they would pass the bound, and combines what was spilled at the end.

    Args:
        threads: How many threads count.
        bound: As for `Bounded`.
        folder: Where words are spilled; a temporary folder when None. What is there already is counted too.

    Attributes:
        spilled: Bytes of words on disk.
    """

    def __init__(self, threads: int, bound: int, folder: Path | None = None) -> None:
        super().__init__(_core.WordCounter(threads), bound)
        self._threads = threads
        self._own: TemporaryDirectory[str] | None = None
        self._folder = folder
        self.spilled = sum(self.parts().values())

    def __enter__(self) -> Self:
        """The tally; at the end of the block its temporary folder goes."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is not None:
            self._own.cleanup()

    def add(self, words: pl.DataFrame) -> None:
        """Add words that were counted before."""
        self._counter.add(words["word"], words["count"])

    def state(self) -> dict[str, int]:
        """Distinct words in memory, bytes of memory that the process uses, and bytes on disk."""
        return {"distinct_words": self.held, "memory": memory.used(), "spilled_bytes": self.spilled}

    @property
    def held(self) -> int:
        """Distinct words in memory."""
        return self._counter.size()[0]

    def spill(self) -> None:
        """Move the words to the disk.

        Raises:
            ArtefactError: they cannot be written; names the file.
        """
        with _named():
            self._counter.spill(self._where())
        self.spilled = sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """The files of spilled words, with their sizes in bytes."""
        if self._folder is None:
            return {}
        return {path.name: path.stat().st_size for path in sorted(self._folder.glob(_PARTS))}

    def finish(self) -> tuple[int, int, Iterator[pl.DataFrame]]:
        """How many distinct words there are, the sum of their counts, and the words in order, `ROWS` at a time."""
        if not self.spilled and memory.used() + _SORTED * self.held <= self._bound:
            words = self._counter.sorted()
            return *words.totals(), _tables(words)
        if sum(self.parts().values()) != self.spilled:
            raise _lost(self._where())
        self.spill()
        largest = max(1, *self.parts().values())
        threads = max(1, min(self._threads, self._bound // (COMBINED * largest)))
        with _named():
            totals = _core.sort_parts(self._where(), threads)
            return *totals, sorted_words(self._where(), totals)

    def _where(self) -> Path:
        if self._folder is None:
            self._own = TemporaryDirectory(prefix="kovocab-")
            self._folder = Path(self._own.name)
        return self._folder


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else error
        raise ArtefactError(f"words cannot be kept on disk: {said}") from error


def sorted_words(folder: Path, totals: tuple[int, int]) -> Iterator[pl.DataFrame]:
    """The words of the sorted files in `folder`, in order, `ROWS` at a time.

    Raises:
        ArtefactError: at the end, where there were not so many distinct words, or not of that sum, as `totals` says.
    """
    distinct, total = totals
    for table in _tables(_core.SortedWords.read(folder)):
        distinct, total = distinct - len(table), total - int(table["count"].sum())
        yield table
    if distinct or total:
        raise _lost(folder)


def _lost(folder: Path) -> ArtefactError:
    return ArtefactError(f"{folder}: words that were kept there are gone; wanted it left alone while they are counted")


def _tables(words: _core.SortedWords) -> Iterator[pl.DataFrame]:
    while (table := words.take(ROWS)) is not None:
        yield pl.DataFrame(table)


@contextmanager
def no_overflow() -> Iterator[None]:
    """Where the engine says that a count passes 2^64 - 1, say what is wanted.

    Raises:
        UsageError: it says so.
    """
    try:
        yield
    except OverflowError as error:
        raise UsageError(f"{error}; wanted counts that add up to less") from error
