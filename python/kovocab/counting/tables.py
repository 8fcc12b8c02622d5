"""Word counts table by table, as often as they are asked for: from memory, or from a file that need not fit it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from kovocab.counting.word_counts import WORDS, Counted, check_words, of_frame, read_counted, tables_of
from kovocab.errors import CorpusError, UsageError
from kovocab.machine.memory import bound
from kovocab.record import Record

_WORD, _BYTE = 110, 3
"""Bytes of memory that a word and a byte of it take, read and parted: 147 a word of 1.26 million Korean ones."""


@dataclass(frozen=True, eq=False)
class Held:
    """Word counts in memory."""

    words: pl.DataFrame = field(repr=False)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """All of them as one table: `word: str, count: u64`."""
        yield self.words

    def parted(self, rows: pl.Expr) -> tuple["Held", "Held"]:
        """Those that an expression is true of, and the others, each in order."""
        there = self.words.select(rows).to_series()
        return Held(self.words.filter(there)), Held(self.words.filter(~there))


@dataclass(frozen=True, eq=False)
class Stored:
    """Word counts in a file that `count` left, which is read whenever they are asked for."""

    path: Path
    written: int
    rows: pl.Expr = field(default_factory=lambda: pl.lit(True), repr=False)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Some at a time, in the order of the file: `word: str, count: u64`.

        Raises:
            CorpusError: the file cannot be read, or is another than it was.
        """
        if _written(self.path) != self.written:
            raise CorpusError(f"{self.path} was replaced while it was read; begin again")
        for words in tables_of(self.path):
            yield words.filter(self.rows)

    def parted(self, rows: pl.Expr) -> tuple["Stored", "Stored"]:
        """As `Held.parted`."""
        return replace(self, rows=self.rows & rows), replace(self, rows=self.rows & ~rows)


Tables = Held | Stored


@dataclass(frozen=True)
class CountedFile:
    """Word counts that stay in their file, and its record; see `Counted`. `written` is when it was, in ns."""

    path: Path
    record: Record = field(repr=False)
    written: int


WordCounts = Counted | CountedFile


def opened(
    words: WordCounts | pl.DataFrame | str | Path, memory: int | str | None = None, files: int = 1
) -> WordCounts:
    """Word counts as they come: of a file, in memory where as many `files` like it are a quarter of `memory` at most.

    Raises:
        CorpusError: as `load_counted`.
        UsageError: a frame is of no word counts, or `memory` is no size.
    """
    if isinstance(words, pl.DataFrame):
        return of_frame(words)
    if isinstance(words, Counted):
        check_words(words.words)
    if isinstance(words, WordCounts):
        return words
    if not isinstance(words, str | Path):
        raise UsageError(f"words are of type {type(words).__name__}; wanted what count left: words, or their file")
    most = bound(memory) // 4 // files
    record, written = read_counted(words), _written(Path(words))
    left, held = most - record["distinct_words"] * _WORD, [pl.DataFrame(schema=WORDS)]
    for table in tables_of(words) if left >= 0 else ():
        left -= int(table["word"].str.len_bytes().sum()) * _BYTE
        if left < 0:
            break
        held.append(table)
    return CountedFile(Path(words), record, written) if left < 0 else Counted(pl.concat(held), record)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}") from error


def tables(words: WordCounts) -> Tables:
    """The tables of word counts."""
    return Held(words.words) if isinstance(words, Counted) else Stored(words.path, words.written)


def bytes_of(words: WordCounts) -> int:
    """UTF-8 bytes of the text: of that which was counted, or, where no record says it, of all words."""
    size = pl.col("word").str.len_bytes() * pl.col("count")
    said = words.record.get("bytes")
    return sum(int(table.select(size.sum()).item()) for table in tables(words)) if said is None else int(said)


def apart(words: Tables, ids: Mapping[str, int]) -> tuple[Tables, pl.DataFrame]:
    """The words that are none of these tokens, and those that are: `word`, `count`, and `id`."""
    tokens = pl.DataFrame({"word": list(ids), "id": list(ids.values())}, {"word": pl.String, "id": pl.UInt32})
    if not ids:
        return words, tokens.with_columns(count=pl.lit(0, pl.UInt64))
    taken, others = words.parted(pl.col("word").is_in(tokens["word"].implode()))
    return others, pl.concat(taken).join(tokens, on="word")
