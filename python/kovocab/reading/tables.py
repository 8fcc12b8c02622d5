"""Tables: a Parquet file or a Polars frame as series of documents, a row each."""

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from kovocab.corpus.faults import POLARS_ERRORS, Fault, Skip, fail, first_line
from kovocab.corpus.files import File, source
from kovocab.corpus.remote import Remote, hidden
from kovocab.corpus.settings import Reading
from kovocab.corpus.stores import missing, said
from kovocab.errors import CorpusError

ROW = "kovocab: row"  # a name that no column has
MISSING = "cannot be read: what follows is missing"


def read_parquet(path: File, reading: Reading, skip: Skip, start: int = 0) -> Iterator[pl.Series]:
    """Read a Parquet file from row `start` on; of a damaged one all rows that Polars can decode.

    Yields:
        Series of type String, without nulls; they may be empty.

    Raises:
        CorpusError: a remote file cannot be reached.
    """
    name = str(path)
    if isinstance(path, Remote):
        skip = _discreetly(path, skip)
    query = _scan(path, reading, skip)
    if query is None:
        return
    try:
        total = query.select(pl.len()).collect().item()
    except POLARS_ERRORS as error:
        skip(Fault(name, "", _why(error, name)))
        return
    row = start
    for batch in _batches(query.slice(start), start, name):
        if isinstance(batch, str):
            break
        yield _without_nulls(batch["text"], reading, row, name, skip)
        row += batch.height
    for part in _each(query, row, total, name):  # also where no error was raised, see `_batches`
        if isinstance(part, pl.Series):
            yield _without_nulls(part, reading, row, name, skip)
            row += len(part)
        else:
            end, why = part
            skip(Fault(name, f"rows {row + 1} to {end}", why, end - row))
            row = end


def read_frame(frame: pl.DataFrame | pl.LazyFrame, reading: Reading, name: str, skip: Skip) -> Iterator[pl.Series]:
    """Read a frame, as `read_parquet`; what cannot be read ends it. `name` is what faults call it."""
    query = _texts(frame.lazy().with_row_index(ROW), reading, name, skip)
    if query is None:
        return
    row = 0
    found: pl.Series | str | None = None
    for batch in _batches(query, 0, name):
        if isinstance(batch, str):
            found = batch
            break
        yield _without_nulls(batch["text"], reading, row, name, skip)
        row += batch.height
    else:
        rest = _slice(query, row, 1, name) if isinstance(frame, pl.LazyFrame) else None
        found = MISSING if isinstance(rest, pl.Series) and len(rest) else rest
    if isinstance(found, str):
        skip(Fault(name, f"after row {row}" if row else "", found))


def check_parquet(path: File, reading: Reading) -> None:
    """See that a Parquet file has a column of texts, without reading them.

    Raises:
        CorpusError: it has not, or cannot be reached.
    """
    _scan(path, reading, _discreetly(path, fail) if isinstance(path, Remote) else fail)


def _scan(path: File, reading: Reading, skip: Skip) -> pl.LazyFrame | None:
    return _texts(pl.scan_parquet(**source(path), glob=False, row_index_name=ROW), reading, str(path), skip)


def _discreetly(path: Remote, skip: Skip) -> Skip:
    """`skip`, told nothing of what the URL of a remote file hides."""
    return lambda fault: skip(replace(fault, what=hidden(path, fault.what)))


def _texts(frame: pl.LazyFrame, reading: Reading, name: str, skip: Skip) -> pl.LazyFrame | None:
    """The row numbers and the texts of `frame`; or the fault that it has no texts."""
    what = None
    try:
        schema = frame.collect_schema()
    except POLARS_ERRORS as error:
        what = _why(error, name)
    else:
        for column in reading.columns:
            if column not in schema or column == ROW:
                what = f"no column {column!r}; it has {', '.join(name for name in schema if name != ROW) or 'none'}"
                break
            if schema[column] not in (pl.String, pl.Categorical, pl.Enum):
                what = f"column {column!r} is of type {schema[column]}; wanted String"
                break
    if what is None:
        return frame.select(ROW, reading.expression())
    skip(Fault(name, "", what))
    return None


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


def _slice(query: pl.LazyFrame, first: int, count: int, name: str) -> pl.Series | str:
    try:
        return query.slice(first, count).collect().to_series(1)
    except POLARS_ERRORS as error:
        return _why(error, name)


def _each(query: pl.LazyFrame, row: int, total: int, name: str) -> Iterator[pl.Series | tuple[int, str]]:
    """The texts of the rows from `row` to `total`; in place of rows that cannot be read, where they end and why."""
    size = most = 1 << 16
    while row < total:
        part = _slice(query, row, min(size, total - row), name)
        if isinstance(part, pl.Series):
            yield part
            row += min(size, total - row)
            size = min(2 * size, most)
        elif size > 1:
            size //= 2
        else:  # the first that cannot be read: search the next that can, with ever longer strides
            bad, good, stride = row, row + 1, 1
            while good < total and not isinstance(_slice(query, good, 1, name), pl.Series):
                bad, good, stride = good, good + stride, min(2 * stride, 512)
            good = min(good, total)
            while good - bad > 1:
                middle = (bad + good) // 2
                bad, good = (bad, middle) if isinstance(_slice(query, middle, 1, name), pl.Series) else (middle, good)
            yield good, part
            row, size = good, most


def _without_nulls(part: pl.Series, reading: Reading, row: int, name: str, skip: Skip) -> pl.Series:
    if not part.null_count():
        return part
    what = f"column {reading.column!r} is null; wanted a string"
    if reading.templates is not None:
        what = f"null or empty in one of the columns {', '.join(reading.columns)}; wanted strings in all of them"
    for index in part.is_null().arg_true():
        skip(Fault(name, f"row {row + index + 1}", what, 1))
    return part.drop_nulls()
