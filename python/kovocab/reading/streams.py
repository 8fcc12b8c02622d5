"""Arrow's own files, `.arrow` and `.feather`: tables with an index, and streams, as Hugging Face's `datasets` saves.

A stream is not left to Polars alone, which reads it whole: it gets batch by batch, and with each what stands in front
of it, schema and dictionaries.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import BinaryIO, NamedTuple

import polars as pl

from kovocab.corpus.archives import Member
from kovocab.corpus.faults import POLARS_ERRORS, Fault, Skip, first_line
from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError
from kovocab.reading.blocks import damage
from kovocab.reading.tables import LARGEST, ROW, Place, place_of, read_parquet, without_nulls

_AT_ONCE = 8 << 20  # bytes of batches that are read together
_MARK, _END = b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\0\0\0\0"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3


def read_stream(path: File | Member, reading: Reading, skip: Skip) -> Iterator[pl.Series]:
    """Read the documents of a file of Arrow's; of a damaged one all batches before the damage.

    Yields:
        Series of type String, without nulls.

    Raises:
        CorpusError: a remote file cannot be reached.
    """
    twice = None
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if start[:4] == b"FEA1":
                raise EOFError("a Feather file of version 1; wanted version 2, or Parquet")
            if start[:6] != b"ARROW1":
                yield from _read_messages(path, file, start, reading, skip)
                return
            if isinstance(path, Member) and path.size <= LARGEST:  # which a tar gives once
                path = replace(path, _open=partial(io.BytesIO, start + file.read()))
            # A file is a stream with this before it, and an index behind it.
            with suppress(EOFError), path.open("rb") as again:
                again.read(8)
                twice = _twice(next(_messages(again, _size(path) - 8)))
    except CorpusError:  # a remote file cannot be reached, which is no fault of the corpus
        raise
    except (OSError, EOFError) as error:
        skip(damage(path, "", error))
        return
    if twice is None:
        yield from read_parquet(path, reading, skip, scan=pl.scan_ipc)
    else:
        skip(Fault(str(path), "", twice))


def _read_messages(
    path: File | Member, file: BinaryIO, start: bytes, reading: Reading, skip: Skip
) -> Iterator[pl.Series]:
    """The documents of a stream, of which `start` is read already."""
    name, row = str(path), 0
    schema, held, rows = b"", b"", 0
    dictionaries: dict[int, bytes] = {}  # those that the next batch is read with
    found: Place | None = None

    def texts() -> Iterator[pl.Series]:
        assert found is not None
        try:
            data = io.BytesIO(b"".join((schema, *dictionaries.values(), held, _END)))
            frame = pl.read_ipc_stream(data, columns=found.columns, row_index_name=ROW)
            part = found.texts(frame.select(pl.col(ROW) + row, found.taken))
        except POLARS_ERRORS as error:
            skip(Fault(name, f"rows {row + 1} to {row + rows}", f"cannot be read: {first_line(error)}", rows))
        else:
            yield without_nulls(part, reading, name, skip)

    fault = None
    try:
        for message in _messages(file, _size(path), start):
            if message.kind == _SCHEMA:
                schema = message.data
                where = _twice(message) or place_of(pl.read_ipc_stream(io.BytesIO(schema + _END)).schema, reading)
                if isinstance(where, str):
                    skip(Fault(name, "", where))
                    return
                found = where
                continue
            # What is held is to be read with the dictionaries that stand before it.
            if held and (message.kind == _DICTIONARY or len(held) >= _AT_ONCE):
                yield from texts()
                held, row, rows = b"", row + rows, 0
            if message.kind == _DICTIONARY:
                before = dictionaries.get(message.dictionary, b"") if message.delta else b""
                dictionaries[message.dictionary] = before + message.data
            elif message.kind == _BATCH:
                held, rows = held + message.data, rows + message.rows
    except (OSError, EOFError, *POLARS_ERRORS) as error:
        fault = error
    if held:
        yield from texts()
    if isinstance(fault, CorpusError):  # a remote file cannot be reached, which is no fault of the corpus
        raise fault
    if fault is not None:
        skip(damage(path, f"after row {row + rows}" if row + rows else "", fault))


def _size(path: File | Member) -> int:
    return path.size if isinstance(path, Member) else path.stat().st_size


class _Message(NamedTuple):
    """A message of a stream: what its flatbuffer says, and all its bytes."""

    kind: int
    body: int  # bytes behind the flatbuffer
    rows: int = 0  # of a batch
    dictionary: int = 0  # which it is
    delta: bool = False  # whether it goes on with the dictionary before, or is in place of it
    names: tuple[bytes, ...] = ()  # of a schema's columns
    data: bytes = b""


def _twice(schema: _Message) -> str | None:
    """What to say of two columns of one name, at which Polars panics; as it says it of Parquet."""
    name = next((name for at, name in enumerate(schema.names) if name in schema.names[:at]), None)
    if name is None:
        return None
    return f"cannot be read: column with name '{name.decode(errors='replace')}' has more than one occurrence"


def _messages(file: BinaryIO, size: int, start: bytes = b"") -> Iterator[_Message]:
    """The messages of a stream, of which `start` is read already.

    Raises:
        EOFError: it is broken, or no stream.
    """
    at, first = 0, True

    def take(count: int) -> bytes:
        nonlocal at
        data = start[at : at + count]
        if count <= size - at:
            data += file.read(count - len(data))
        if len(data) < count:
            raise EOFError(f"broken at byte {at}: the stream ends too early; wanted a whole Arrow file")
        at += count
        return data

    while at < size or first:
        prefix = take(4)
        marked = prefix == _MARK
        prefix = take(4) if marked else prefix
        length = int.from_bytes(prefix, "little")
        if not length and not first:
            if file.read(64).strip(b"\0"):
                raise EOFError(f"more follows the end of the stream, at byte {at}; wanted one stream")
            return
        begun = at
        try:
            meta = take(length)
            message = _message(meta)
        except (struct.error, IndexError) as error:
            raise EOFError(f"broken at byte {begun}: no message; wanted an Arrow file") from error
        if first and message.kind != _SCHEMA:
            raise EOFError(f"broken at byte {begun}: no schema; wanted an Arrow file")
        first = False
        yield message._replace(data=_MARK * marked + prefix + meta + take(message.body))


def _message(meta: bytes) -> _Message:
    """What a flatbuffer says."""

    def value(form: str, at: int) -> int:
        return int(struct.unpack_from(form, meta, at)[0])

    def field(table: int, number: int) -> int:
        """Where a field of a table is; 0 where it is left out."""
        entries = table - value("<i", table)
        if 4 + 2 * number >= value("<H", entries):
            return 0
        offset = value("<H", entries + 4 + 2 * number)
        return table + offset if offset else 0

    def scalar(form: str, table: int, number: int) -> int:
        at = field(table, number)
        return value(form, at) if at else 0

    def led(at: int) -> int:
        """Where an offset leads; 0 where there is none."""
        return at + value("<I", at) if at else 0

    def name(column: int) -> bytes:
        at = led(field(column, 0))
        return meta[at + 4 : at + 4 + value("<I", at)] if at else b""

    root = value("<I", 0)
    message = _Message(scalar("<B", root, 1), scalar("<q", root, 3))
    if message.body < 0:
        raise struct.error("a body of negative size")
    if not (header := led(field(root, 2))):
        return message
    if message.kind == _BATCH:
        return message._replace(rows=scalar("<q", header, 0))
    if message.kind == _DICTIONARY:
        return message._replace(dictionary=scalar("<q", header, 0), delta=bool(scalar("<B", header, 2)))
    if message.kind == _SCHEMA and (columns := led(field(header, 1))):
        places = range(columns + 4, columns + 4 + 4 * value("<I", columns), 4)
        return message._replace(names=tuple(name(led(at)) for at in places))
    return message
