"""The reader: a corpus, whatever it is kept in, as batches of documents.

Polars reads every format, at the speed of the disk. It is lenient where we are not, so each file is read in
a way that turns what it would let pass into a null or an error, and only then is the file read again, slowly,
in Python, to say which line is at fault.
"""

import glob
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from os.path import commonpath
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import polars as pl

from kovocab.errors import CorpusError, UsageError

Corpus: TypeAlias = (
    str | Path | Sequence[str | Path] | pl.DataFrame | pl.LazyFrame | pl.Series | Iterable[str]
)
"""What can be read as a corpus.

- a `str` or `Path`: a file, a folder or a glob; a `list` or `tuple` of them: all of these;
- a Polars frame or lazy frame: its column of text; a Polars series: its texts;
- any other iterable of `str` (generator, iterator, map ...): its texts.

A list of strings is therefore a list of *paths*: pass texts in a list as `pl.Series(texts)` or `iter(texts)`.
"""

SUFFIXES = {
    ".txt": "lines",
    ".txt.gz": "lines",
    ".txt.zst": "lines",
    ".jsonl": "json",
    ".ndjson": "json",
    ".jsonl.gz": "json",
    ".json.gz": "json",
    ".jsonl.zst": "json",
    ".parquet": "parquet",
}
"""The suffixes that are read: a document a line, a JSON object a line, or a table."""

BATCH_SIZE = (
    8 << 20
)  # large enough that the work on a batch outweighs handing it over, small beside the counts

_POLARS_ERRORS = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
_COMPRESSED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
_BOM = "\ufeff"


def files(corpus: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the files of a corpus: globs and folders expanded, sorted, each once.

    A folder stands for all files below it with a known suffix; hidden files and folders are left out.

    Raises:
        CorpusError: a path is missing or remote, a glob or folder holds nothing, or a suffix is unknown.
        UsageError: an item is neither `str` nor `Path`.
    """
    found: dict[Path, Path] = {}
    for item in [corpus] if isinstance(corpus, str | Path) else corpus:
        if not isinstance(item, str | Path):
            raise UsageError(f"a corpus in a list holds {item!r}; wanted paths, folders or globs")
        for path in _expand(item):
            _kind(path)
            found.setdefault(path.resolve(), path)
    if not found:
        raise CorpusError("the corpus names no files; wanted at least one path, folder or glob")
    return sorted(found.values())


def size_on_disk(corpus: Corpus) -> int | None:
    """Sum the sizes in bytes of the corpus' files, as they lie (compressed); None where it is in memory."""
    if not _is_paths(corpus):
        return None
    return sum(path.stat().st_size for path in files(corpus))


def batches(corpus: Corpus, *, column: str = "text", batch_size: int = BATCH_SIZE) -> Iterator[pl.Series]:
    """Read a corpus, in order, as series of documents.

    Memory is bounded by `batch_size`, by what Polars reads ahead, and by the largest document. A byte-order
    mark at the start of a file is removed, and so is a carriage return before a newline. A blank line is a
    document in a text file, and nothing in a JSON file.

    Args:
        corpus: see `Corpus`.
        column: the column (Parquet, frame) or key (JSON) that holds the text.
        batch_size: bytes of text, at most, in a batch; a larger document comes alone.

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
    for batch in _sized(_parts(corpus, column), batch_size):
        empty = False
        yield batch
    if empty:
        name = f"{corpus}" if isinstance(corpus, str | Path) else "the corpus"
        raise CorpusError(f"{name} holds no documents; wanted at least one")


def fingerprint(corpus: Corpus, column: str = "text") -> dict[str, Any]:
    """Say what identifies a corpus, for the record of what was made from it.

    Cheap: of each file its size, and a hash of that and of its first, middle and last 64 KiB. Names are
    relative to the folder that the files share, so a corpus that was moved is still the same corpus.

    Returns:
        `{"kind": "files", "column", "bytes", "files": [{"name", "bytes", "blake2b"}, ...]}`, or
        `{"kind": "memory"}`.
    """
    if not _is_paths(corpus):
        return {"kind": "memory"}
    paths = files(corpus)
    root = commonpath([path.absolute().parent for path in paths])
    rows = []
    for path in paths:
        size = path.stat().st_size
        digest = blake2b(str(size).encode(), digest_size=16)
        try:
            with path.open("rb") as file:
                for start in (0, max(0, size // 2 - (32 << 10)), max(0, size - (64 << 10))):
                    file.seek(start)
                    digest.update(file.read(64 << 10))
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
        name = path.absolute().relative_to(root).as_posix()
        rows.append({"name": name, "bytes": size, "blake2b": digest.hexdigest()})
    return {"kind": "files", "column": column, "bytes": sum(row["bytes"] for row in rows), "files": rows}


def _is_paths(corpus: Corpus) -> TypeGuard[str | Path | Sequence[str | Path]]:
    return isinstance(corpus, str | Path | list | tuple)


def _expand(item: str | Path) -> Iterator[Path]:
    # Path("s3://a") is "s3:/a"; a single letter is a drive of Windows.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(item)):
        raise CorpusError(
            f"{item}: remote corpora are not supported yet; wanted a local file, folder or glob"
        )
    path = Path(item).expanduser()
    if path.is_dir():
        below = (p for p in path.rglob("*") if not any(s.startswith(".") for s in p.relative_to(path).parts))
        inside = [p for p in below if _suffix(p) and p.is_file()]
        if not inside:
            raise CorpusError(f"{item}: the folder holds no file to read; wanted {_wanted()}")
        yield from inside
    elif path.exists() or not glob.has_magic(str(path)):  # a name that exists may hold `[`
        if not path.exists():
            raise CorpusError(f"{item}: no such file or folder")
        yield path
    else:
        names = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        matches = [found for found in map(Path, names) if found.is_file()]
        if not matches:
            raise CorpusError(f"{item}: the glob matches no file")
        yield from matches


def _wanted() -> str:
    return "one of " + ", ".join(SUFFIXES)


def _suffix(path: Path) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def _kind(path: Path) -> str:
    suffix = _suffix(path)
    if suffix is None:
        raise CorpusError(f"{path}: unknown suffix; wanted {_wanted()}")
    return SUFFIXES[suffix]


def _parts(corpus: Corpus, column: str) -> Iterator[pl.Series]:
    """Documents in pieces of whatever size is at hand."""
    if _is_paths(corpus):
        readers = {"lines": _read_lines, "json": _read_json, "parquet": _read_parquet}
        for path in files(corpus):
            yield from readers[_kind(path)](path, column)
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
    except _POLARS_ERRORS as error:
        raise explain(error, rows) from error
    while True:
        try:
            part = next(stream).to_series()
        except StopIteration:
            return
        except _POLARS_ERRORS as error:
            raise explain(error, rows) from error
        yield part
        rows += len(part)


def _read_lines(path: Path, _column: str) -> Iterator[pl.Series]:
    _check_head(path)
    first = True
    for part in _run(pl.scan_lines(path, glob=False), lambda error, _: _fault(path, _lines(path), error)):
        if first and len(part) and part[0].startswith(_BOM):
            part = pl.concat([part[:1].str.strip_prefix(_BOM), part[1:]])  # noqa: PLW2901
        first = False
        yield part


def _read_json(path: Path, column: str) -> Iterator[pl.Series]:
    _check_head(path)
    if _starts_with_bom(path):  # Polars takes it for a broken line; rare enough to be read slowly
        yield from _read_iterable(_json_documents(path, column))
        return

    def explain(error: BaseException | None, _rows: int = 0) -> CorpusError:
        return _fault(path, _json_documents(path, column), error)

    # As String, Polars would read 5 as "5" and true as "true". As Binary, what is not a JSON string is null;
    # with ignore_errors that goes for lists and objects too, while a line that is not JSON remains an error.
    query = pl.scan_ndjson(path, schema={column: pl.Binary}, ignore_errors=True)
    checked = False
    for part in _run(query.select(pl.col(column).cast(pl.String)), explain):
        if part.null_count():
            raise explain(None)
        # Polars reads half a surrogate pair, \ud800, as \0: where there is a \0, see which of the two it was.
        if not checked and part.str.contains("\0", literal=True).any():
            for _ in _json_documents(path, column):
                pass
            checked = True
        yield part


def _read_parquet(path: Path, column: str) -> Iterator[pl.Series]:
    yield from _read_frame(pl.scan_parquet(path, glob=False), column, str(path))


def _read_frame(frame: pl.LazyFrame, column: str, name: str) -> Iterator[pl.Series]:
    def explain(error: BaseException, rows: int) -> CorpusError:
        return CorpusError(f"{name}: cannot be read after row {rows}: {_first_line(error)}")

    try:
        schema = frame.collect_schema()
    except _POLARS_ERRORS as error:
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
        index, half = next((i, half) for i, text in enumerate(texts) if (half := _half_pair(text)))
        number = last - len(texts) + index + 1
        raise CorpusError(f"document {number} holds {half}, half of a surrogate pair; wanted text") from error


def _check_head(path: Path) -> None:
    # Polars goes by the content, so a file that was cut before its magic number would be read as text.
    magic = _COMPRESSED.get(path.suffix.lower())
    if magic is None:
        return
    try:
        with path.open("rb") as file:
            head = file.read(len(magic))
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    if head != magic:
        found = head.hex(" ") or "an empty file"
        wanted = f"wanted a {path.suffix} stream (and not one of skippable frames, as pzstd writes)"
        raise CorpusError(f"{path}: byte 0: found {found}; {wanted}")


def _starts_with_bom(path: Path) -> bool:
    try:
        if path.suffix.lower() not in _COMPRESSED:
            with path.open("rb") as file:
                return file.read(3) == _BOM.encode()
        head = pl.scan_lines(path, glob=False).head(1).collect()
    except _POLARS_ERRORS:
        return False  # reading says why
    return bool(head.height and head.item().startswith(_BOM))


# ── the slow way: exact, in Python, to find what is at fault ──


def _fault(path: Path, rest: Iterable[object], error: BaseException | None) -> CorpusError:
    """Read `rest` until it raises, and give what it raised; else what Polars said."""
    try:
        for _ in rest:
            pass
    except CorpusError as found:
        return found
    return CorpusError(f"{path}: cannot be read: {_first_line(error)}")


def _first_line(error: BaseException | None) -> str:
    return str(error).split("\n", 1)[0]


def _json_documents(path: Path, column: str) -> Iterator[str]:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    wanted = f'wanted a JSON object with a string in the key "{column}"'
    for number, line in enumerate(_lines(path), start=1):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line, parse_constant=refuse)
        except json.JSONDecodeError as error:
            place = f"{error.msg.removesuffix(' at')} at character {error.pos + 1}"
            raise CorpusError(f"{path}: line {number}: {place}; {wanted}") from error
        except ValueError as error:
            raise CorpusError(f"{path}: line {number}: {error}; {wanted}") from error
        if not isinstance(row, dict):
            raise CorpusError(f"{path}: line {number}: found {line[:40]!r}; {wanted}")
        text = row.get(column)
        if not isinstance(text, str):
            found = f"found {json.dumps(text)[:40]}" if column in row else f"no such key in {sorted(row)}"
            raise CorpusError(f"{path}: line {number}: {found}; {wanted}")
        if half := _half_pair(text):
            raise CorpusError(f"{path}: line {number}: {half} is half of a surrogate pair; {wanted}")
        yield text


def _half_pair(text: str) -> str | None:
    found = re.search("[\ud800-\udfff]", text)
    return f"\\u{ord(found.group()):04x}" if found else None


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file, without a byte-order mark; a CorpusError names the first that cannot be read."""
    number = 0
    try:
        for number, line in enumerate(_raw_lines(path), start=1):
            text = line.decode() if isinstance(line, bytes) else line
            yield text.removeprefix(_BOM) if number == 1 else text
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: line {number}: invalid UTF-8 at byte {error.start} of the line; wanted UTF-8"
        ) from error
    except (EOFError, zlib.error, *_POLARS_ERRORS) as error:
        if isinstance(error, CorpusError):
            raise
        size = path.stat().st_size
        raise CorpusError(
            f"{path}: after line {number}, in a file of {size} bytes: {_first_line(error)}; wanted a whole"
            f" {path.suffix} file"
        ) from error


def _raw_lines(path: Path) -> Iterator[bytes | str]:
    if path.suffix.lower() == ".zst":  # Python 3.11 cannot decompress it, so Polars does
        yield from _zst_lines(path)
        return
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        for line in file:
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def _zst_lines(path: Path) -> Iterator[str]:
    try:
        for batch in pl.scan_lines(path, glob=False).collect_batches(maintain_order=True):
            yield from batch.to_series()
    except pl.exceptions.ComputeError as error:
        # Not UTF-8. What Polars decompresses in spite of that is CSV: make the file a table of one column.
        table = pl.scan_csv(
            path, has_header=False, quote_char=None, separator="\x01", schema={"line": pl.String}, glob=False,
            encoding="utf8-lossy", truncate_ragged_lines=True, missing_columns=None,
        )  # fmt: skip
        bad = table.with_row_index("number", 1).filter(pl.col("line").str.contains("\ufffd", literal=True))
        number = bad.select("number").head(1).collect().to_series()
        place = f"at or after line {number[0]}: " if len(number) else ""
        raise CorpusError(f"{path}: {place}{_first_line(error)}; wanted UTF-8") from error
