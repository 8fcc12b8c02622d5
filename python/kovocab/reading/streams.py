"""Arrow's own files, `.arrow` and `.feather`: tables with an index, and streams, as Hugging Face's `datasets` saves.

A stream is not left to Polars alone, which reads it whole: it gets batch by batch, and with each what stands in front
of all, schema and dictionaries.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import polars as pl

from kovocab.corpus.archives import Member
from kovocab.corpus.faults import POLARS_ERRORS, Fault, Skip, first_line
from kovocab.corpus.files import File
from kovocab.corpus.settings import Reading
from kovocab.errors import CorpusError
from kovocab.reading.blocks import damage
from kovocab.reading.tables import ROW, Place, place_of, read_parquet, without_nulls

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
    name, row = str(path), 0
    start = b""
    with suppress(OSError, EOFError), path.open("rb") as file:  # which come again where it is read
        start = file.read(6)
    if start == b"ARROW1":
        yield from read_parquet(path, reading, skip, scan=pl.scan_ipc)
        return
    front, held, rows = b"", b"", 0
    found: Place | None = None

    def texts() -> Iterator[pl.Series]:
        assert found is not None
        try:
            frame = pl.read_ipc_stream(io.BytesIO(front + held + _END), columns=found.columns, row_index_name=ROW)
            part = found.texts(frame.select(pl.col(ROW) + row, found.taken))
        except POLARS_ERRORS as error:
            skip(Fault(name, f"rows {row + 1} to {row + rows}", f"cannot be read: {first_line(error)}", rows))
        else:
            yield without_nulls(part, reading, name, skip)

    fault = None
    try:
        with path.open("rb") as file:
            size = path.size if isinstance(path, Member) else path.stat().st_size
            if start[:4] == b"FEA1":
                raise EOFError("a Feather file of version 1; wanted version 2, or Parquet")
            for kind, count, message in _messages(file, size):
                if kind == _SCHEMA:
                    front = message
                    schema = pl.read_ipc_stream(io.BytesIO(front + _END)).schema
                    where = place_of(schema, reading)
                    if isinstance(where, str):
                        skip(Fault(name, "", where))
                        return
                    found = where
                elif kind == _DICTIONARY:
                    front += message
                elif kind == _BATCH:
                    held, rows = held + message, rows + count
                    if len(held) >= _AT_ONCE:
                        yield from texts()
                        held, row, rows = b"", row + rows, 0
    except (OSError, EOFError, *POLARS_ERRORS) as error:
        fault = error
    if held:
        yield from texts()
    if isinstance(fault, CorpusError):  # a remote file cannot be reached, which is no fault of the corpus
        raise fault
    if fault is not None:
        skip(damage(path, f"after row {row + rows}" if row + rows else "", fault))


def _messages(file: BinaryIO, size: int) -> Iterator[tuple[int, int, bytes]]:
    """The messages of a stream: kind, rows of a batch, and all its bytes.

    Raises:
        EOFError: it is broken, or no stream.
    """
    at, first = 0, True

    def take(count: int) -> bytes:
        nonlocal at
        data = file.read(count) if count <= size - at else b""
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
            return
        begun = at
        try:
            meta = take(length)
            kind, rows, body = _header(meta)
        except (struct.error, IndexError) as error:
            raise EOFError(f"broken at byte {begun}: no message; wanted an Arrow file") from error
        if first and kind != _SCHEMA:
            raise EOFError(f"broken at byte {begun}: no schema; wanted an Arrow file")
        first = False
        yield kind, rows, _MARK * marked + prefix + meta + take(body)


def _header(meta: bytes) -> tuple[int, int, int]:
    """Kind of a message, rows of its batch, and bytes of its body: three fields of its flatbuffer."""

    def field(table: int, number: int) -> int:
        entries = table - struct.unpack_from("<i", meta, table)[0]
        if 4 + 2 * number >= struct.unpack_from("<H", meta, entries)[0]:
            return 0
        offset: int = struct.unpack_from("<H", meta, entries + 4 + 2 * number)[0]
        return table + offset if offset else 0

    root: int = struct.unpack_from("<I", meta)[0]
    kind = meta[field(root, 1)] if field(root, 1) else 0
    body: int = struct.unpack_from("<q", meta, field(root, 3))[0] if field(root, 3) else 0
    rows = 0
    if kind == _BATCH and (header := field(root, 2)):
        inner = header + struct.unpack_from("<I", meta, header)[0]
        rows = struct.unpack_from("<q", meta, field(inner, 0))[0] if field(inner, 0) else 0
    if body < 0:
        raise struct.error("a body of negative size")
    return kind, rows, body
