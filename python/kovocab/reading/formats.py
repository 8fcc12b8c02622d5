"""Formats: one file, whatever it is kept in, as documents.

Polars reads most of it, at the speed of the disk. It is lenient where we are not, so each block of a file is
read in a way that turns what it would let pass into a null or an error, and only then does `faults` read that
block again, slowly, to say which line is at fault.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain

import polars as pl

from kovocab import _core
from kovocab.corpus.archives import DAMAGE, Member, tar_members, zip_members
from kovocab.corpus.faults import POLARS_ERRORS, Fault, Skip, fail, first_line, line_documents
from kovocab.corpus.files import File, corpus_of, kind
from kovocab.corpus.paths import EACH, is_path
from kovocab.corpus.settings import TEXT, Reading
from kovocab.errors import CorpusError, UsageError
from kovocab.reading.blocks import Item, ahead, blocks, line_reader, pieces, transcoded
from kovocab.reading.delimited import read_delimited
from kovocab.reading.streams import read_stream
from kovocab.reading.tables import read_parquet
from kovocab.reading.values import documents, is_lines, read_values, utf8, wanted

MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x\x01", b"x^", b"x\x9c", b"x\xda")
"""By these Polars would take text for a compressed stream, and may give nothing at all for it."""

SMALL = 64 << 10
"""Bytes in memory that are not worth a thread."""

_TOGETHER = 1_000  # series of small files that are handed over as one


def read_file(path: File, reading: Reading = TEXT, *, start: int = 0, skip: Skip | None = None) -> Iterator[pl.Series]:
    """Read the documents of one file, in order, as series of whatever size is at hand.

    In an archive, each file is read as it would be by itself, in the archive's order.

    With `skip`, each fault is handed over and reading goes on with the next document that can be read. Lost is:

    - of a line that is not UTF-8, not JSON or without a text, and of a row that is null: that line or row;
    - of a damaged compressed file: what follows the last whole line before the damage;
    - of whole JSON that is broken, of an Arrow file and of an archive: what follows that place;
    - of a damaged Parquet file: the rows that Polars cannot decode, mostly those of a row group, and with them
      what lies between two such groups if it is shorter than 512 rows; of one whose footer is damaged, or that
      lacks the column: all.

    Faults come in the order of the file, and are the same each time; with a `start`, those before it come again.
    Damage that leaves valid text is not noticed in an uncompressed file, in Parquet, and in a `.zst` without
    checksums. There is Parquet damage, rare, that makes Polars ask for more memory than there is, which ends the
    process.

    Args:
        path: the file; its suffix says how it is read.
        reading: how documents are found in it.
        start: how many documents to pass over, as this function gives them: a reader that was stopped after N
            documents goes on with `start=N`.
        skip: told of each fault; None: the first fault is an error.

    Yields:
        Series of type String, without nulls; they may be empty.

    Raises:
        CorpusError: the suffix is unknown; or a remote file cannot be reached, which says nothing of the corpus; or
            `skip` is None and there is a fault: names the file and the place.
    """
    if kind(path) == "parquet" and skip is None and not any(EACH in column for column in reading.columns):
        parts = read_parquet(path, reading, fail, start)  # there was no null, so documents are rows
    else:
        parts = _after(_read(path, reading, skip or fail), start)
    return normalized(parts, reading)


def normalized(parts: Iterator[pl.Series], reading: Reading) -> Iterator[pl.Series]:
    """Documents as they are to be read: as they stand, or in NFC."""
    if reading.normalize is None:
        return parts
    return (part if (nfc := _core.nfc(part)) is None else pl.DataFrame(nfc).to_series() for part in parts)


def _after(parts: Iterator[pl.Series], start: int) -> Iterator[pl.Series]:
    """`parts` without their first `start` documents."""
    for part in parts:
        if start < len(part):
            yield part[start:]
        start = max(0, start - len(part))


def _read(path: File | Member, reading: Reading, skip: Skip) -> Iterator[pl.Series]:
    """All documents of a file."""
    given = told = 0

    def counted(fault: Fault) -> None:
        nonlocal told
        told += 1
        skip(fault)

    if (reader := _plain(path, reading)) is not None:
        with _aside(path, iter(reader.take, None)) as parts:
            for texts, first, others in parts:
                found = [pl.DataFrame(texts).to_series()]
                items = [(first, others)] if others else []
                for part in chain(found, _read_lines(path, iter(items), _as_lines(path, reading), "utf-8", counted)):
                    given += len(part)
                    yield part
        if reader.whole:
            return
    # What was given of a damaged file, and told, comes first here too.
    before = iter(range(told))

    def anew(fault: Fault) -> None:
        if next(before, None) is None:
            skip(fault)

    yield from _after(_read_any(path, reading, anew), given)


def _plain(path: File | Member, reading: Reading) -> _core.LineReader | None:
    """What reads a file faster, if it is one for that; what is not plain in it is left to `_read_lines`."""
    how = kind(path)
    wanted = how == "lines" or (how == "json" and not is_path(reading.column))
    if not wanted or reading.templates is not None or reading.encoding != "utf-8":
        return None
    return line_reader(path, reading.column if how == "json" else None)


def _as_lines(path: File | Member, reading: Reading) -> Reading | None:
    """How a text is found in a line; None where the line is the text."""
    return None if kind(path) == "lines" else reading


def _read_any(path: File | Member, reading: Reading, skip: Skip) -> Iterator[pl.Series]:
    """All documents of a file, by whatever reads its kind."""
    how, encoding = kind(path), str(reading.encoding)
    if how == "lines" and reading.templates is not None:
        raise UsageError(f"{path} is of lines, which have no columns; wanted no template, or .jsonl, .csv or a table")
    if how == "parquet":
        yield from read_parquet(path, reading, skip)
    elif how == "arrow":
        yield from read_stream(path, reading, skip)
    elif how == "archive":
        yield from _read_archive(path, reading, skip)
    else:
        data = pieces(path)
        if encoding == "utf-16" or (how == "value" and encoding != "utf-8"):
            data, encoding = transcoded(data, encoding), "utf-8"
        if how == "value":
            lines, data = is_lines(data)
            if not lines:
                yield from _read_values(path, data, reading, skip)
                return
        with _aside(path, blocks(path, data)) as parted:
            if how in ("csv", "tsv"):
                yield from read_delimited(path, parted, reading, encoding, skip)
            else:
                yield from _read_lines(path, parted, _as_lines(path, reading), encoding, skip)


def _read_values(path: File | Member, data: Iterator[bytes], reading: Reading, skip: Skip) -> Iterator[pl.Series]:
    """The documents of a file of whole JSON."""
    with _aside(path, read_values(path, data, reading)) as found:
        for item in found:
            if isinstance(item, Fault):
                skip(item)
            else:
                yield documents(item, reading, str(path), skip)


def _read_archive(path: File | Member, reading: Reading, skip: Skip) -> Iterator[pl.Series]:
    """The documents of the files in an archive, those of small ones together."""
    held: list[pl.Series] = []
    failed: CorpusError | None = None
    try:
        for member in _members(path, skip):
            if kind(member) == "archive":
                skip(Fault(str(member), "", "is an archive in an archive; wanted it unpacked"))
            elif member.fault is not None:
                skip(Fault(str(member), "", member.fault))
            else:
                for part in _read(member, reading, skip):
                    held.append(part)
                    if not _is_small(member) or len(held) >= _TOGETHER:
                        yield pl.concat(held)
                        held = []
    except CorpusError as error:  # what was read before comes first
        failed = error
    if held:
        yield pl.concat(held)
    if failed is not None:
        raise failed


def _members(path: File | Member, skip: Skip) -> Iterator[Member]:
    """The files in an archive that are a corpus; a fault where it cannot be read on."""
    last = ""
    try:
        with ExitStack() as stack:
            if path.suffix.lower() == ".zip":
                found = zip_members(stack.enter_context(path.open("rb")), str(path))
            else:
                found = tar_members(pieces(path), str(path))
            for member in found:
                last = str(member)
                if any(part != ".." and part.startswith((".", "__MACOSX")) for part in member.path.parts):
                    continue
                try:
                    chosen = corpus_of([str(member.path)], f"{path}: the archive", empty=True)
                except CorpusError as error:
                    if member.is_file:  # a link that would not be read hides nothing
                        skip(Fault(str(path), "", str(error).removeprefix(f"{path}: ")))
                    continue
                if chosen:
                    yield member
    except CorpusError:
        raise
    except (OSError, *DAMAGE) as error:
        why = getattr(error, "strerror", None) or f"{first_line(error)}; wanted a whole {path.suffix} file"
        skip(Fault(str(path), f"after {last}" if last else "", f"cannot be read: {why}"))


def _is_small(path: File | Member) -> bool:
    """Whether it is worth neither a thread nor Polars."""
    return isinstance(path, Member) and path.size <= SMALL


def _read_lines(
    path: File | Member, parted: Iterator[tuple[int, bytes] | Fault], reading: Reading | None, encoding: str, skip: Skip
) -> Iterator[pl.Series]:
    """A file of lines, or of JSON lines where there is a `reading`."""
    name = str(path)
    if reading is not None and any(map(is_path, reading.columns)):
        places = wanted(reading)
        for item in parted:
            if isinstance(item, Fault):
                skip(item)
                continue
            number, block = item
            batch = _core.json_lines(utf8(block, number, name, encoding, skip), number, **places)
            yield documents(batch, reading, name, skip)
        return
    # In a small member Polars would take longer to begin than plain Python takes to end.
    with _aside(path, parted if _is_small(path) else _parsed(parted, reading, encoding)) as parsed:
        for part in parsed:
            if isinstance(part, Fault):
                skip(part)
            elif isinstance(part, pl.Series):
                yield part
            else:
                number, block = part
                yield pl.Series(list(line_documents(block, number, name, reading, skip, encoding)), dtype=pl.String)


@contextmanager
def _aside(path: File | Member, items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """`items`, fetched ahead where that is worth it, and closed here: the collector might do it in any thread."""
    if _is_small(path):
        yield items
        return
    fetched = ahead(items)
    try:
        yield fetched
    finally:
        fetched.close()


def _parsed(
    parted: Iterator[tuple[int, bytes] | Fault], reading: Reading | None, encoding: str
) -> Iterator[pl.Series | tuple[int, bytes] | Fault]:
    """The blocks of a file as documents, but for those that are to be read slowly, and a fault at the end."""
    for item in parted:
        if isinstance(item, Fault):
            yield item
            continue
        block = item[1]
        try:
            if encoding != "utf-8":
                block = block.decode(encoding).encode()
            if block.startswith(MAGIC):
                yield item
                continue
            part = _lines(block) if reading is None else _json(block, reading)
        except (UnicodeDecodeError, *POLARS_ERRORS):
            yield item
        else:
            yield item if part is None else part


def _lines(block: bytes) -> pl.Series:
    return pl.scan_lines(block).collect().to_series()


def _json(block: bytes, reading: Reading) -> pl.Series | None:
    # As String, Polars would read 5 as "5" and true as "true". As Binary, what is not a JSON string is null;
    # with ignore_errors that goes for lists and objects too, while a line that is not JSON remains an error.
    query = pl.scan_ndjson(block, schema=dict.fromkeys(reading.columns, pl.Binary), ignore_errors=True)
    part = query.select(reading.expression()).collect().to_series()
    # Polars reads half a surrogate pair, \ud800, as \0: where there is a \0, see which of the two it was.
    return None if part.null_count() or part.str.contains("\0", literal=True).any() else part
