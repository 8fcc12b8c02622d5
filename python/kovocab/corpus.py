"""The reader: a corpus, whatever it is kept in, as batches of documents.

Polars reads every format, at the speed of the disk. It is lenient where we are not, so each file is read in
a way that turns what it would let pass into a null or an error, and only then does `faults` read the file
again, slowly, to say which line is at fault.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import polars as pl

from kovocab.errors import CorpusError, UsageError
from kovocab.faults import (
    BOM,
    COMPRESSED,
    POLARS_ERRORS,
    check_head,
    fault,
    first_line,
    half_pair,
    json_documents,
    lines,
)
from kovocab.files import File, files, identities, kind, source
from kovocab.remote import Remote, discreet, shown

Corpus: TypeAlias = str | Path | Sequence[str | Path] | pl.DataFrame | pl.LazyFrame | pl.Series | Iterable[str]
"""What can be read as a corpus.

- a `str` or `Path`: a file, a folder or a glob; a `list` or `tuple` of them: all of these;
- a `str` may be a URL: `s3://`, `gs://` or `hf://`, with the same rules, or `https://`, of one file;
- a Polars frame or lazy frame: its column of text; a Polars series: its texts;
- any other iterable of `str` (generator, iterator, map ...): its texts.

A list of strings is therefore a list of *paths*: pass texts in a list as `pl.Series(texts)` or `iter(texts)`.
"""

BATCH_SIZE = 8 << 20  # the work on a batch outweighs handing it over, and it is small beside the counts


def corpus_files(corpus: Corpus) -> list[File]:
    """List the files of a corpus, see `files`; none where it is in memory."""
    return files(corpus) if _is_paths(corpus) else []


def batches(
    corpus: Corpus,
    *,
    column: str = "text",
    batch_size: int = BATCH_SIZE,
    finished: Callable[[File, int], None] | None = None,
) -> Iterator[pl.Series]:
    """Read a corpus, in order, as series of documents.

    Memory is bounded by `batch_size`, by what Polars reads ahead, and by the largest document. A byte-order
    mark at the start of a file is removed, and so is a carriage return before a newline. A blank line is a
    document in a text file, and nothing in a JSON file.

    Args:
        corpus: see `Corpus`.
        column: the column (Parquet, frame) or key (JSON) that holds the text.
        batch_size: bytes of text, at most, in a batch; a larger document comes alone.
        finished: called with each file that was read to its end and the bytes of text it held; its last
            batch may be still to come.

    Yields:
        Series of type String, named `text`, never empty, without nulls; they may have several chunks.

    Raises:
        CorpusError: something is missing, broken or not text: names the file and the place in it. Or there
            are no documents at all.
        UsageError: `corpus` is not a corpus, or `batch_size` is not positive.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; wanted at least 1 byte")
    empty = True
    for batch in _sized(_parts(corpus, column, finished), batch_size):
        empty = False
        yield batch
    if empty:
        name = shown(corpus) if isinstance(corpus, str | Path) else "the corpus"
        raise CorpusError(f"{name} holds no documents; wanted at least one")


def fingerprint(corpus: Corpus, column: str = "text") -> dict[str, Any]:
    """Say what identifies a corpus, for the record of what was made from it.

    Cheap: of each file its size, and a hash of that and of its first, middle and last 64 KiB; of a remote one its
    size and what its server says changes with it. Names are
    relative to the folder that the files share, so a corpus that was moved is still the same corpus.

    Returns:
        `{"kind": "files", "column", "bytes", "files": [{"name", "bytes", "blake2b"}, ...]}` (see `identities`), or
        `{"kind": "memory"}`.
    """
    if not _is_paths(corpus):
        return {"kind": "memory"}
    rows = identities(files(corpus))
    return {"kind": "files", "column": column, "bytes": sum(row["bytes"] for row in rows), "files": rows}


def _is_paths(corpus: Corpus) -> TypeGuard[str | Path | Sequence[str | Path]]:
    return isinstance(corpus, str | Path | list | tuple)


def _parts(corpus: Corpus, column: str, finished: Callable[[File, int], None] | None) -> Iterator[pl.Series]:
    """Documents in pieces of whatever size is at hand."""
    if _is_paths(corpus):
        readers = {"lines": _read_lines, "json": _read_json, "parquet": _read_parquet}
        for path in files(corpus):
            size = 0
            with discreet(path):
                for part in readers[kind(path)](path, column):
                    yield part
                    size += int(part.str.len_bytes().sum())
            if finished is not None:
                finished(path, size)
    elif isinstance(corpus, pl.DataFrame | pl.LazyFrame):
        yield from _read_frame(corpus.lazy(), column, "the frame")
    elif isinstance(corpus, pl.Series):
        yield from _read_frame(corpus.alias(column).to_frame().lazy(), column, "the series")
    elif isinstance(corpus, Iterable) and not isinstance(corpus, bytes | bytearray):
        yield from _read_iterable(corpus)
    else:
        wanted = "a path, a glob, a list of them, a Polars frame or series, or an iterable of strings"
        raise UsageError(f"a corpus cannot be of type {type(corpus).__name__}; wanted {wanted}")


def _sized(parts: Iterator[pl.Series], limit: int) -> Iterator[pl.Series]:
    """Join and split `parts` into series of at most `limit` bytes of text."""
    held: list[pl.Series] = []
    size = 0
    for part in parts:
        stack = [part.alias("text")]
        while stack:
            piece = stack.pop()
            bytes_ = int(piece.str.len_bytes().sum())
            if bytes_ > limit and len(piece) > 1:
                half = len(piece) // 2
                stack += [piece[half:], piece[:half]]
                continue
            if held and size + bytes_ > limit:
                yield pl.concat(held, rechunk=False)
                held, size = [], 0
            if len(piece):
                held.append(piece)
                size += bytes_
    if held:
        yield pl.concat(held, rechunk=False)


def _run(query: pl.LazyFrame, explain: Callable[[BaseException, int], CorpusError]) -> Iterator[pl.Series]:
    """Stream the one column of `query`; what Polars cannot read becomes `explain(error, rows read)`."""
    rows = 0
    try:
        stream = query.collect_batches(maintain_order=True)
    except POLARS_ERRORS as error:
        raise explain(error, rows) from error
    while True:
        try:
            part = next(stream).to_series()
        except StopIteration:
            return
        except POLARS_ERRORS as error:
            raise explain(error, rows) from error
        yield part
        rows += len(part)


def _read_lines(path: File, _column: str) -> Iterator[pl.Series]:
    check_head(path)
    first = True
    for part in _run(pl.scan_lines(**source(path), glob=False), lambda error, _: fault(path, lines(path), error)):
        if first and len(part) and part[0].startswith(BOM):
            part = pl.concat([part[:1].str.strip_prefix(BOM), part[1:]])  # noqa: PLW2901
        first = False
        yield part


def _read_json(path: File, column: str) -> Iterator[pl.Series]:
    check_head(path)
    # Polars takes a byte-order mark for a broken line, and a `*` in a URL for a glob: rare enough to be read slowly.
    if _starts_with_bom(path) or (isinstance(path, Remote) and path.like_a_glob):
        yield from _read_iterable(json_documents(path, column))
        return

    def explain(error: BaseException | None, _rows: int = 0) -> CorpusError:
        return fault(path, json_documents(path, column), error)

    # As String, Polars would read 5 as "5" and true as "true". As Binary, what is not a JSON string is null;
    # with ignore_errors that goes for lists and objects too, while a line that is not JSON remains an error.
    query = pl.scan_ndjson(**source(path, glob_=True), schema={column: pl.Binary}, ignore_errors=True)
    checked = False
    for part in _run(query.select(pl.col(column).cast(pl.String)), explain):
        if part.null_count():
            raise explain(None)
        # Polars reads half a surrogate pair, \ud800, as \0: where there is a \0, see which of the two it was.
        if not checked and part.str.contains("\0", literal=True).any():
            for _ in json_documents(path, column):
                pass
            checked = True
        yield part


def _read_parquet(path: File, column: str) -> Iterator[pl.Series]:
    yield from _read_frame(pl.scan_parquet(**source(path), glob=False), column, str(path))


def _read_frame(frame: pl.LazyFrame, column: str, name: str) -> Iterator[pl.Series]:
    def explain(error: BaseException, rows: int) -> CorpusError:
        return CorpusError(f"{name}: cannot be read after row {rows}: {first_line(error)}")

    try:
        schema = frame.collect_schema()
    except POLARS_ERRORS as error:
        raise explain(error, 0) from error
    if column not in schema:
        raise CorpusError(f"{name}: no column {column!r}; it has {', '.join(schema) or 'none'}")
    if schema[column] not in (pl.String, pl.Categorical, pl.Enum):
        raise CorpusError(f"{name}: column {column!r} is of type {schema[column]}; wanted String")
    row = 0
    for part in _run(frame.select(pl.col(column).cast(pl.String)), explain):
        if part.null_count():
            place = row + int(part.is_null().arg_true()[0]) + 1
            raise CorpusError(f"{name}: row {place}: column {column!r} is null; wanted a string")
        row += len(part)
        yield part


def _read_iterable(texts: Iterable[object]) -> Iterator[pl.Series]:
    held: list[str] = []
    size = number = 0
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise CorpusError(f"document {number} is of type {type(text).__name__}; wanted a string")
        held.append(text)
        size += len(text)
        if size >= BATCH_SIZE // 4 or len(held) == 1 << 16:
            yield _series(held, number)
            held, size = [], 0
    yield _series(held, number)


def _series(texts: list[str], last: int) -> pl.Series:
    try:
        return pl.Series(texts, dtype=pl.String)
    except UnicodeEncodeError as error:
        index, half = next((i, half) for i, text in enumerate(texts) if (half := half_pair(text)))
        number = last - len(texts) + index + 1
        raise CorpusError(f"document {number} holds {half}, half of a surrogate pair; wanted text") from error


def _starts_with_bom(path: File) -> bool:
    try:
        if path.suffix.lower() not in COMPRESSED:
            with path.open("rb") as file:
                return file.read(3) == BOM.encode()
        head = pl.scan_lines(**source(path), glob=False).head(1).collect()
    except POLARS_ERRORS:
        return False  # reading says why
    return bool(head.height and head.item().startswith(BOM))
