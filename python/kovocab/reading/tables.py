"""Tables: a Parquet file or a Polars frame as series of documents, a row each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import polars as pl

from kovocab.corpus.archives import Member
from kovocab.corpus.faults import POLARS_ERRORS, Fault, Skip, fail, first_line
from kovocab.corpus.files import File, no_table, source
from kovocab.corpus.paths import EACH, field, nested, shared
from kovocab.corpus.remote import Remote, hidden
from kovocab.corpus.settings import Reading
from kovocab.corpus.stores import missing, said
from kovocab.errors import CorpusError

Scan: TypeAlias = Callable[..., pl.LazyFrame]
"""`pl.scan_parquet` or its like."""

ROW = "kovocab: row"  # a name that no column has
LARGEST = 1 << 30
"""Bytes of a table in an archive, at most: it is held in memory."""

MISSING = "cannot be read: what follows is missing"


def read_parquet(
    path: File | Member, reading: Reading, skip: Skip, start: int = 0, scan: Scan = pl.scan_parquet
) -> Iterator[pl.Series]:
    """Read a Parquet file, or what `scan` reads, from row `start` on; of a damaged one all rows that can be decoded.

    Yields:
        Series of type String, without nulls; they may be empty.

    Raises:
        CorpusError: a remote file cannot be reached.
    """
    name = str(path)
    if isinstance(path, Remote):
        skip = _discreetly(path, skip)
    found = _scan(path, reading, skip, scan)
    if found is None:
        return
    query, told = found.query, found.told(name, skip)
    try:
        total = query.select(pl.len()).collect().item()
    except POLARS_ERRORS as error:
        skip(Fault(name, "", _why(error, name)))
        return
    row = start
    for batch in _batches(query.slice(start), start, name):
        if isinstance(batch, str):
            break
        yield told(batch)
        row += batch.height
    for part in _each(query, row, total, name):  # also where no error was raised, see `_batches`
        if isinstance(part, pl.DataFrame):
            yield told(part)
            row += len(part)
        else:
            end, why = part
            skip(Fault(name, f"rows {row + 1} to {end}", why, end - row))
            row = end


def read_frame(frame: pl.DataFrame | pl.LazyFrame, reading: Reading, name: str, skip: Skip) -> Iterator[pl.Series]:
    """Read a frame, as `read_parquet`; what cannot be read ends it. `name` is what faults call it."""
    texts = _texts(frame.lazy().with_row_index(ROW), reading, name, skip)
    if texts is None:
        return
    query, told = texts.query, texts.told(name, skip)
    row = 0
    found: pl.DataFrame | str | None = None
    for batch in _batches(query, 0, name):
        if isinstance(batch, str):
            found = batch
            break
        yield told(batch)
        row += batch.height
    else:
        rest = _slice(query, row, 1, name) if isinstance(frame, pl.LazyFrame) else None
        found = MISSING if isinstance(rest, pl.DataFrame) and len(rest) else rest
    if isinstance(found, str):
        skip(Fault(name, f"after row {row}" if row else "", found))


def check_parquet(path: File | Member, reading: Reading) -> None:
    """See that a Parquet file has a column of texts, without reading them.

    Raises:
        CorpusError: it has not, or cannot be reached.
    """
    _scan(path, reading, _discreetly(path, fail) if isinstance(path, Remote) else fail)


@dataclass(frozen=True)
class _Texts:
    """The rows of a table with their numbers, and where the texts are in them."""

    query: pl.LazyFrame
    reading: Reading
    place: "Place"

    def told(self, name: str, skip: Skip) -> Callable[[pl.DataFrame], pl.Series]:
        """What makes documents of rows."""
        return lambda rows: without_nulls(self.place.texts(rows), self.reading, name, skip)


def _scan(path: File | Member, reading: Reading, skip: Skip, scan: Scan = pl.scan_parquet) -> _Texts | None:
    if not isinstance(path, Member):
        if isinstance(path, Path) and (said := no_table(path)):
            skip(Fault(str(path), "", said))
            return None
        return _texts(scan(**source(path), glob=False, row_index_name=ROW), reading, str(path), skip)
    if path.size > LARGEST:
        skip(Fault(str(path), "", f"is a table of {path.size / 1e9:.1f} GB in an archive; wanted it unpacked"))
        return None
    try:
        with path.open() as file:
            held = file.read()
    except (OSError, EOFError) as error:
        skip(Fault(str(path), "", f"cannot be read: {first_line(error)}"))
        return None
    return _texts(scan(held, row_index_name=ROW), reading, str(path), skip)


def _discreetly(path: Remote, skip: Skip) -> Skip:
    """`skip`, told nothing of what the URL of a remote file hides."""
    return lambda fault: skip(replace(fault, what=hidden(path, fault.what)))


def _texts(frame: pl.LazyFrame, reading: Reading, name: str, skip: Skip) -> _Texts | None:
    """The row numbers and the texts of `frame`; or the fault that it has no texts."""
    what: str | Place
    try:
        schema = frame.collect_schema()
    except POLARS_ERRORS as error:  # told below: nothing that belongs to a CorpusError is to hold what a URL hides
        what = _why(error, name)
    else:
        what = place_of(pl.Schema({key: type_ for key, type_ in schema.items() if key != ROW}), reading)
    if isinstance(what, str):
        skip(Fault(name, "", what))
        return None
    return _Texts(frame.select(ROW, what.taken), reading, what)


@dataclass(frozen=True)
class Place:
    """Where the documents of a table are.

    Attributes:
        columns: What is read of it.
        taken: What is made of them, named `text`: documents, or what the steps begin with.
        steps: From there to a row.
        document: Of a row there.
    """

    columns: list[str]
    taken: pl.Expr
    steps: list[str]
    document: pl.Expr | None = None

    def texts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The documents of what was taken, each with its row; a null on the way is a null."""
        for step in self.steps:
            if step == EACH:
                # An empty list holds no document, and a null is to be told.
                rows = rows.explode("text", empty_as_null=False)
            else:
                rows = rows.select(ROW, pl.col("text").struct.field(step).alias("text"))
        return rows if self.document is None else rows.select(ROW, self.document)


def place_of(schema: pl.Schema, reading: Reading) -> Place | str:
    """Where the documents of a table are, or what is missing."""
    paths: list[list[str]] = []
    for column in reading.columns:
        found = nested(schema, column)
        if isinstance(found, str):
            return found
        paths.append(found)
    count = shared(paths)
    if count is None:
        return f"the columns {' and '.join(reading.columns)} are not of one row; it has {', '.join(schema)}"
    columns = list(dict.fromkeys(path[0] for path in paths))
    inner = [(pl.col("text"), path[count:]) if count else (pl.col(path[0]), path[1:]) for path in paths]
    texts = {column: field(*place) for column, place in zip(reading.columns, inner, strict=True)}
    if not count:
        return Place(columns, reading.expression(texts), [])
    return Place(columns, pl.col(columns[0]).alias("text"), paths[0][1:count], reading.expression(texts))


def _why(error: BaseException, name: str) -> str:
    """What a fault of `name` says of Polars' `error`; a CorpusError where it was not reached."""
    if "object-store error" not in str(error):
        return f"cannot be read: {first_line(error)}"
    if not missing(error):
        raise CorpusError(f"{name}: cannot be read: {said(error)}") from None
    return f"cannot be read: {said(error)}"


def _batches(query: pl.LazyFrame, row: int, name: str) -> Iterator[pl.DataFrame | str]:
    """Stream `query`, whose first row is number `row`, up to where it cannot be read; why comes last.

    Where Polars panics, its batches just end: whoever takes them must see whether these were all.
    """
    try:
        for batch in query.collect_batches(maintain_order=True):
            if batch.height and batch[ROW][0] != row:
                yield MISSING
                return
            yield batch
            row += batch.height
    except POLARS_ERRORS as error:
        yield _why(error, name)


def _slice(query: pl.LazyFrame, first: int, count: int, name: str) -> pl.DataFrame | str:
    try:
        return query.slice(first, count).collect()
    except POLARS_ERRORS as error:
        return _why(error, name)


def _each(query: pl.LazyFrame, row: int, total: int, name: str) -> Iterator[pl.DataFrame | tuple[int, str]]:
    """The texts of the rows from `row` to `total`; in place of rows that cannot be read, where they end and why."""
    size = most = 1 << 16
    while row < total:
        part = _slice(query, row, min(size, total - row), name)
        if isinstance(part, pl.DataFrame):
            yield part
            row += min(size, total - row)
            size = min(2 * size, most)
        elif size > 1:
            size //= 2
        else:  # the first that cannot be read: search the next that can, with ever longer strides
            bad, good, stride = row, row + 1, 1
            while good < total and not isinstance(_slice(query, good, 1, name), pl.DataFrame):
                bad, good, stride = good, good + stride, min(2 * stride, 512)
            good = min(good, total)
            while good - bad > 1:
                middle = (bad + good) // 2
                bad, good = (
                    (bad, middle) if isinstance(_slice(query, middle, 1, name), pl.DataFrame) else (middle, good)
                )
            yield good, part
            row, size = good, most


def without_nulls(texts: pl.DataFrame, reading: Reading, name: str, skip: Skip) -> pl.Series:
    """The texts of a column, as `Place.texts` gives them; each that is null is a fault."""
    part = texts.to_series(1)
    if not part.null_count():
        return part
    what = f"column {reading.column!r} is null; wanted a string"
    if reading.templates is not None:
        what = f"null or empty in one of the columns {', '.join(reading.columns)}; wanted strings in all of them"
    for row in texts.filter(part.is_null())[ROW]:
        skip(Fault(name, f"row {row + 1}", what, 1))
    return part.drop_nulls()
