"""Blocks: a file of lines, compressed or not, in pieces of whole lines, up to its end or to where it is damaged.

Not left to Polars, which does not say where a damaged stream breaks, and may leave out a batch before it says
that it does.
"""

import bz2
import codecs
import lzma
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from zlib_ng import zlib_ng

from kovocab import _core
from kovocab.corpus.archives import Member
from kovocab.corpus.faults import Fault, first_line
from kovocab.corpus.files import File
from kovocab.errors import CorpusError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 8 << 20
"""Bytes of text, at least, in each block but the last: enough for Polars to use all cores."""

PIECE = 256 << 10  # bytes of a compressed file at a time
BOM = b"\xef\xbb\xbf"
BROKEN: tuple[type[Exception], ...] = (zlib_ng.error, zstd.ZstdError, lzma.LZMAError)  # type: ignore[assignment] # by its stub
UNREADABLE: tuple[type[Exception], ...] = (EOFError, *BROKEN)
Item = TypeVar("Item")


def blocks(path: File | Member, data: Iterator[bytes] | None = None) -> Iterator[tuple[int, bytes] | Fault]:
    """Read a file in blocks of whole lines, without a byte-order mark; a line that is longer is a block.

    Args:
        path: the file.
        data: its bytes, if they are not what `pieces` gives.

    A compressed file may be of several streams. Of a damaged one all lines that end before the damage are
    given. Where gzip's damage shows only later, or in the checksum at the end, lines before that may be wrong.

    Yields:
        The number of the block's first line and the block; at last, if not all could be read, a Fault.

    Raises:
        CorpusError: a remote file cannot be reached.
    """
    held: list[bytes] = []
    size = 0
    number = 1
    fault = None
    data = pieces(path) if data is None else data
    while True:
        try:
            piece = next(data, None)
        except CorpusError:  # a remote file cannot be reached, which is no fault of the corpus
            raise
        except (OSError, EOFError) as error:
            fault, piece = error, None
        if piece is None:
            break
        end = piece.rfind(b"\n") + 1 if size + len(piece) >= BLOCK else 0
        if end:
            block = b"".join((*held, piece[:end]))
            yield number, block.removeprefix(BOM) if number == 1 else block
            number += block.count(b"\n")
            held, size = [], 0
        held.append(piece[end:])
        size += len(piece) - end
    rest = b"".join(held)
    if fault is not None:  # what is left after the last newline may be half of a line
        rest = rest[: rest.rfind(b"\n") + 1]
    if number == 1:
        rest = rest.removeprefix(BOM)
    if rest:
        yield number, rest
        number += rest.count(b"\n")
    if fault is not None:
        yield damage(path, f"after line {number - 1}" if number > 1 else "", fault)


def line_reader(path: File | Member, key: str | None) -> _core.LineReader | None:
    """The engine's own reader of lines, or of the texts at a key of JSON lines; None of what it does not read.

    It does what `blocks` does and parses at once, as long as all is plain; it says neither what is wrong nor where.
    """
    suffix = path.suffix.lower()
    if not isinstance(path, Path) or (suffix in DECOMPRESSORS and suffix not in (".gz", ".zst")):
        return None
    try:
        return _core.LineReader(path, suffix if suffix in DECOMPRESSORS else "", key, BLOCK)
    except OSError:  # told by whoever comes next
        return None


def ahead(items: Iterator[Item]) -> Generator[Item]:
    """Fetch each of `items` in another thread while the one before is worked on."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc] # mypy takes it for the end


def damage(path: File | Member, place: str, error: Exception) -> Fault:
    """The fault that a file cannot be read on from a place."""
    if isinstance(error, EOFError):
        return Fault(str(path), place, str(error))
    return Fault(str(path), place, f"cannot be read: {getattr(error, 'strerror', None) or first_line(error)}")


def transcoded(data: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Bytes of an encoding as those of UTF-8; an EOFError tells where they are none of it."""
    decoder, at = codecs.getincrementaldecoder(encoding)(), 0
    for piece in chain(data, [None]):
        held = len(decoder.getstate()[0])
        try:
            text = decoder.decode(piece or b"", final=piece is None)
        except UnicodeDecodeError as error:
            yield error.object[: error.start].decode(encoding, "ignore").encode() if at == held else b""
            raise EOFError(f"invalid {encoding} at byte {at - held + error.start}; wanted {encoding}") from error
        except UnicodeError as error:  # of UTF-16 alone, which may be in either order
            raise EOFError(f"no byte-order mark at its beginning; wanted {encoding} with one") from error
        at += len(piece or b"")
        yield text.encode("utf-8", "replace")


def pieces(path: File | Member) -> Iterator[bytes]:
    """The bytes of a file, decompressed.

    Raises:
        EOFError: it is damaged.
        OSError: it cannot be read.
    """
    new = DECOMPRESSORS.get(path.suffix.lower())
    with path.open("rb") as file:
        if new is None:
            while piece := file.read(max(1, BLOCK >> 3)):
                yield piece
            return
        try:
            yield from _all(file, new)
        except UNREADABLE as error:
            found = f"broken at byte {file.tell()}: {first_line(error)}"
            raise EOFError(f"{found}; wanted a whole {path.suffix} file") from error


def _all(file: BinaryIO, new: Callable[[], Any]) -> Iterator[bytes]:
    """All of a compressed file that can be decompressed."""
    given = 0
    try:
        for piece in _decompressed(file, new):
            given += len(piece)
            yield piece
    except BROKEN:
        if not file.seekable():
            raise
        # The call that failed gave nothing of what it was fed: go there again, and on by single bytes.
        careful = file.tell() - PIECE
        file.seek(0)
        for piece in _decompressed(file, new, careful):
            known = min(given, len(piece))
            given -= known
            yield piece[known:]


def _decompressed(file: BinaryIO, new: Callable[[], Any], careful: float = inf) -> Iterator[bytes]:
    """The streams of a compressed file, one after the other; from byte `careful` on it is fed byte by byte."""
    stream: Any = None
    data = b""
    streams = 0
    while data or (data := file.read(PIECE if file.tell() < careful else 1)):
        if stream is None:
            if streams and new in (_gzip, lzma.LZMADecompressor):  # between and after streams it may be padded
                data = data.lstrip(b"\0")
            if not data:
                continue
            stream = new()
            streams += 1
        if new is _gzip:
            yield stream.decompress(data)
        else:
            yield stream.decompress(data, BLOCK)
            while not (stream.eof or stream.needs_input):
                yield stream.decompress(b"", BLOCK)
        data = b""
        if stream.eof:
            data, stream = stream.unused_data, None
    if stream is not None or not streams:
        raise EOFError("the stream ends too early")


def _gzip() -> Any:
    return zlib_ng.decompressobj(wbits=31)


class _Bzip2:
    """One whose errors are not those of the disk."""

    def __init__(self) -> None:
        self._stream = bz2.BZ2Decompressor()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def decompress(self, data: bytes, most: int) -> bytes:
        try:
            return self._stream.decompress(data, most)
        except OSError as error:
            raise lzma.LZMAError(str(error)) from error


DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": _gzip,
    ".tgz": _gzip,
    ".zst": zstd.ZstdDecompressor,
    ".bz2": _Bzip2,
    ".xz": lzma.LZMADecompressor,
}
