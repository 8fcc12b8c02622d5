"""Word counts as an artefact: a Parquet file, sorted, with the record of what made it in its metadata.

The file need not fit the memory, neither where it is written nor where it is read.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from kovocab.artefact import Record, check_file, new_file
from kovocab.corpus.faults import POLARS_ERRORS, Fault, first_line
from kovocab.counting.tally import ROWS
from kovocab.errors import CorpusError, UsageError
from kovocab.ownership import MARK, parquet_of

WORDS = pl.Schema({"word": pl.String, "count": pl.UInt64})
WORDS_FILE = (parquet_of("count"), "file of word counts")
"""What a file of word counts is known by, and called: for `check_file`."""


@dataclass(frozen=True)
class Counted:
    """Word counts with the record of what was counted.

    Attributes:
        words: `word: str, count: u64`, sorted by count (descending) and word (ascending).
        record: Corpus fingerprint, tokenizer, cut, sums.
        skipped: Faults of the corpus that were skipped, the first 100,000 of them.
    """

    words: pl.DataFrame
    record: Record
    skipped: list[Fault] = field(default_factory=list)

    def save(self, path: str | Path) -> None:
        """Write the words as Parquet, the record in its metadata under the key `kovocab`."""
        write_words(path, (self.words[at : at + ROWS] for at in range(0, len(self.words), ROWS)), self.record)


def load_counted(path: str | Path) -> Counted:
    """Read what `Counted.save` or `count_to` wrote.

    Raises:
        CorpusError: the file is missing, not Parquet, or not of `kovocab count`.
    """
    record = read_counted(path)
    return Counted(pl.concat([pl.DataFrame(schema=WORDS), *tables_of(path)]), record)


def read_counted(path: str | Path) -> Record:
    """Read the record of what `Counted.save` or `count_to` wrote; errors as `load_counted`."""
    wanted = "wanted word counts as `kovocab count` leaves them"
    try:
        metadata = pl.read_parquet_metadata(path)
        schema = pl.scan_parquet(path, glob=False).collect_schema()
    except POLARS_ERRORS as error:
        raise CorpusError(f"{path} cannot be read ({first_line(error)}); {wanted}") from error
    if MARK not in metadata or schema != WORDS:
        raise CorpusError(f"{path} holds {dict(schema)}; {wanted}: {dict(WORDS)} and their record")
    record: Record = json.loads(metadata[MARK])
    return record


def check_words(words: pl.DataFrame) -> pl.DataFrame:
    """Hand back `words` if they are word counts: `word: str, count: u64`, without nulls.

    Raises:
        UsageError: they are not; says what they are, or which row is null.
    """
    if words.schema != WORDS:
        raise UsageError(f"word counts have the columns {dict(words.schema)}; wanted {dict(WORDS)}")
    if sum(words.null_count().row(0)):
        row = words.select(pl.any_horizontal(pl.all().is_null()).arg_max()).item()
        raise UsageError(f"row {row} of the word counts is null; wanted {dict(WORDS)}")
    return words


def tables_of(path: str | Path) -> Iterator[pl.DataFrame]:
    """Word counts of a file, some at a time."""
    query = pl.scan_parquet(path, glob=False)
    try:
        left = query.select(pl.len()).collect().item()
        for words in query.collect_batches(chunk_size=ROWS, maintain_order=True):
            left -= len(words)
            yield check_words(words)
    except POLARS_ERRORS as error:
        raise CorpusError(f"{path} cannot be read: {first_line(error)}") from error
    if left:  # where Polars panics, its batches just end
        raise CorpusError(f"{path} cannot be read: {left:,} words are missing")


def write_words(path: str | Path, tables: Iterable[pl.DataFrame], record: Record) -> None:
    """Write words as Parquet, without having them all in memory; the same bytes however they are divided.

    Raises:
        ArtefactError: `path` cannot be written, or is there and is no file of word counts.
    """
    check_file(path, *WORDS_FILE)
    given = iter(tables)

    def source(*_: object) -> Iterator[pl.DataFrame]:
        yield from given

    with new_file(path) as beside:
        frame = register_io_source(source, schema=WORDS)
        # A file's name may be no UTF-8, and then holds what JSON writes as \\udcff too.
        said = json.dumps(record, ensure_ascii=False).encode("utf-8", errors="backslashreplace").decode()
        metadata = {MARK: said}
        frame.sink_parquet(beside, metadata=metadata, row_group_size=ROWS, maintain_order=True)


def check_same_cut(parts: Sequence[Record], wanted: Record) -> None:
    """Check that word counts can be added.

    Raises:
        UsageError: a record of `parts` is of another tokenizer than `wanted`.
    """
    if any(part["tokenizer"] != wanted["tokenizer"] for part in parts):
        raise UsageError("the word counts were made with different tokenizers, so their words differ; count again")


def combined(parts: Sequence[Record]) -> Record:
    """What the counts of several corpora were made from, by their records."""
    together: Record = {
        "corpus": {"kind": "combined", "parts": [part["corpus"] for part in parts]},
        "documents": sum(part["documents"] for part in parts),
        "bytes": sum(part["bytes"] for part in parts),
    }
    if skipped := [part["skipped"] for part in parts if "skipped" in part]:
        together["skipped"] = {key: sum(part[key] for part in skipped) for key in ("faults", "documents")}
    return together


def new_record(made_from: Record, made_for: Record, distinct: int, total: int) -> Record:
    """The record of word counts.

    Args:
        made_from: Corpus, documents, bytes, what was skipped.
        made_for: Tokenizer and cut; another record will do.
        distinct: How many distinct words there are.
        total: The sum of their counts.
    """
    return {
        "verb": "count",
        "kovocab": version("kovocab"),
        **made_from,
        "words": total,
        "distinct_words": distinct,
        "tokenizer": made_for["tokenizer"],
        "cut": made_for["cut"],
    }
